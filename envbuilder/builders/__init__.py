"""Ways to make an environment, behind one protocol."""
