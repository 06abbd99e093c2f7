"""The dray command: one module per noun."""
