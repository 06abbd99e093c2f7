"""Whether a task's imports work, before it runs."""
