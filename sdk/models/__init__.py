"""Models as scripts see them."""
