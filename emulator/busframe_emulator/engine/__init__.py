"""SQS as a state machine: no clock, no chance, no I/O.

Read in this order: `requests` (what may be asked, what is answered), `engine` (the whole in one class), `queue` and
`fifo` (a standard and a FIFO queue), `timers` (what falls due), `receipts` and `ids` (names for things).
"""

from busframe_emulator.engine.engine import Engine
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.ids import Ids
from busframe_emulator.engine.settings import Limits, QueueAddress, QueueSettings, Redrive

__all__ = ["Engine", "Ids", "Limits", "QueueAddress", "QueueSettings", "Redrive", "SqsError"]
