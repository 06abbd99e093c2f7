"""Containers as places: engines behind one protocol, what is mounted, what users may ask for."""
