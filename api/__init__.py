"""HTTP in, store call, model out."""
