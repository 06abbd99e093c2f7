"""A task's code in a folder of the node."""
