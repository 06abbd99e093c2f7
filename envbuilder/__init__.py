"""From a task's specification to a ready interpreter and working directory."""
