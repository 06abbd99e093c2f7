"""The parts together on a real Ray cluster."""
