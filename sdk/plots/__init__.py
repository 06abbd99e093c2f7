"""Plots as plain JSON, made by pure functions."""
