"""The environments of a node: built once, kept, told of, let go."""
