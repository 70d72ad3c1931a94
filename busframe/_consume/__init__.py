"""Handling messages: poll, keep the lease, run the handler, settle, drain.

`opening` reads a message; `verdict` decides what becomes of it and does nothing; `consumer` does what was decided;
`leases` keeps messages ours meanwhile; `settling` tells the broker; `dead` buries.
"""
