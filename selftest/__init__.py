"""Breaks a cluster of its own on purpose, and says which promises held."""
