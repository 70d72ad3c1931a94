"""Handling messages: poll, keep the lease, run the handler, settle, drain.

`verdict` decides what becomes of a message and does nothing; `consumer` does what was decided; `leases` keeps messages
ours meanwhile; `settling` tells the broker; `dead` buries.
"""
