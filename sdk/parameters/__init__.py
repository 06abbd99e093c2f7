"""Hyperparameters: what scripts connect, and command lines."""
