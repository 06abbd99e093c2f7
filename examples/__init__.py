"""Scripts that run as they are."""
