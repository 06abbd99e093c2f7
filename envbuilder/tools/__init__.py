"""What every part of the room stands on: processes, logs, locks, interpreters, secrets."""
