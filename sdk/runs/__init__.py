"""A run in its process: how it begins, goes on, moves and ends."""
