"""Specifications of `actors` that need no cluster."""
