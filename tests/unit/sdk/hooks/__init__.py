"""Tests of what frameworks are captured by."""
