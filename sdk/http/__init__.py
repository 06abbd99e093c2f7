"""Requests to a server, blocking and for an event loop."""
