"""The HTTP layer against a real store, in process and over real sockets."""
