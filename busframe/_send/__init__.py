"""Sending: batches, and an honest fate per message."""
