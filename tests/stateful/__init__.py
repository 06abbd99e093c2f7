"""A generated user of the public API against a small model of what Dray promises."""
