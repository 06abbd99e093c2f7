"""Tests without Ray: fast, on real files, processes and databases."""
