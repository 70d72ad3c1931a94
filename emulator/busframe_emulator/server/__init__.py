"""The emulator behind HTTP. The one place of the emulator that owns sockets, a clock and an event loop.

Read in this order: `emulator` (the whole), `driver` (engine, clock, the one timer, who waits), `routes` (which protocol
a request speaks), `connection` (bytes), `command` (the command line), `thread` (a server beside a test).
"""
