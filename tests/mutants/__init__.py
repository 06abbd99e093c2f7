"""Protections that are taken away one at a time; for each, some test must fail."""
