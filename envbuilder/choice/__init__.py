"""What a task asks to have installed."""
