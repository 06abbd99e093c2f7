"""Random numbers are seeded when the script asks for it, and never otherwise."""

import random

from dray import Task

Task.set_random_seed(42)
task = Task.init(project_name="examples/process", task_name="seeds")
print("seed", Task.get_random_seed())
task.get_logger().report_single_value("first random number", random.random())
