"""Tests of the actors room that need no cluster."""
