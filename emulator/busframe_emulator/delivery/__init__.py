"""What decides among the behaviours that the delivery contract permits.

Wherever SQS may do one thing or another, the engine asks a `Chooser`. Calm is the answer that surprises nobody.
"""

from busframe_emulator.delivery.chooser import CALM, Calm, Chooser

__all__ = ["CALM", "Calm", "Chooser"]
