"""Tests of the environment builder, with real interpreters, git and uv."""
