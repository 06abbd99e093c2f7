"""Tasks in containers of real engines; run by ``make test-docker``."""
