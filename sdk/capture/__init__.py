"""What is recorded of a script: its code, its packages, where it lies."""
