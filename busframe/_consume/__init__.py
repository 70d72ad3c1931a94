"""Handling messages: poll, lease, run the handler, settle, retry, drain."""
