"""`memory://`: the SQS emulator's engine, in this process. For tests and for development without a network.

Everything SQS does it does: leases, redelivery, delays, dead letters, message groups, deduplication. Nothing is kept
when the connection ends.
"""

from busframe_memory.backend import MemoryBackend, open_memory, queue_address
from busframe_memory.recipients import MemoryRecipients, open_memory_recipients

__all__ = ["MemoryBackend", "MemoryRecipients", "open_memory", "open_memory_recipients", "queue_address"]
