"""Frameworks that are captured without code, by the name scripts know."""
