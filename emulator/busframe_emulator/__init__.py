"""An Amazon SQS emulator: a pure engine, and an HTTP server that any AWS SDK can talk to.

The engine (`busframe_emulator.engine`) is SQS as a state machine without clock, chance or I/O. The server
(`busframe_emulator.server`) puts it behind HTTP. Nothing here knows the bus.
"""
