"""SQS as a state machine: no clock, no chance, no I/O.

Read in this order: `requests` (what may be asked, what is answered), `engine` (the whole in one class), `message` and
`queue` (the states of a message, and the moves between them; it names the files of those who ask for the moves),
`standard`, `fairness` and `fifo` (what comes next), `directory` (which queues there are), `moving` (message move
tasks), `timers` (what falls due), `ids` (names for things).
"""

from busframe_emulator.engine.engine import Engine
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.ids import Ids
from busframe_emulator.engine.settings import Limits, QueueAddress, QueueSettings, Redrive

__all__ = ["Engine", "Ids", "Limits", "QueueAddress", "QueueSettings", "Redrive", "SqsError"]
