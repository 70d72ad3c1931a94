"""What there is besides SQS: sight of queues and messages, the clock, reset, metrics, and the page at `/`.

Loaded when the first of its URLs is asked for. `access` says who may ask, `handling` what there is, `views` what queues
and messages look like in JSON, `exposition` what Prometheus reads.
"""

from busframe_emulator.server.control.handling import Control

__all__ = ["Control"]
