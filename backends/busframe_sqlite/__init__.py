"""The backend `sqlite:///path`: queues in one SQLite file, durable, for any number of processes on one machine.

`sqlite:///queues.db` is a file in the working directory, `sqlite:////var/lib/queues.db` an absolute path; it is made
if it is not there. Parameters: `synchronous=full` (the default: what was accepted survives a power cut) or `normal`
(survives the end of every process; a power cut may take the last moments), `busy_timeout_s=5` (how long a call waits
for other processes to let go of the file).

The parts, from the file upwards:

    settings, clock              what the URL says; time as the file keeps it
    schema, connection, errors   the file, the one thread that touches it, what SQLite's errors mean
    transaction, transactor      what work may use; much work in one transaction, each caller with a fate of its own
    queues, sending, claiming,   the operations: plain functions that run inside a transaction, on SQLite's thread
    groups, settling, sweeping,
    peeking, receipts, recipients
    committer                    collects operations into transactions
    waiting, log_watch           wakes receivers, also across processes
    backend, opening             the contract; how all is put together
"""

from busframe_sqlite.inbox import open_memory_inbox, open_sqlite_inbox
from busframe_sqlite.opening import open_sqlite, open_sqlite_recipients

__all__ = ["open_memory_inbox", "open_sqlite", "open_sqlite_inbox", "open_sqlite_recipients"]
