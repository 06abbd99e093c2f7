"""What brings a spool to the server."""
