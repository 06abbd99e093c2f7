"""Every route of the HTTP API as a pure function that says what to send and how to read it."""
