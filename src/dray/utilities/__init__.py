"""Small things by the names scripts know."""
