"""Protocols as pure functions: a request's head and body in, a status, a head and a body out. No sockets, no loop."""
