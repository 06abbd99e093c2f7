"""Recognise handwritten digits: the example behind ``dray demo``."""
