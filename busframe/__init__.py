"""Busframe: one async message bus over SQS, SQLite and an in-process SQS emulator.

Names are imported when first used: `busframe emulator` passes through here and has to start in milliseconds.
"""
