"""Rules and state; the rest of Dray stands on it."""
