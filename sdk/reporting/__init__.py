"""What stands behind ``Logger``: plots, media, console and logging."""
