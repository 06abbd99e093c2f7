"""How a task's process is started."""
