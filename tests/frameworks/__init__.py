"""Tests over real frameworks, in an environment of their own."""
