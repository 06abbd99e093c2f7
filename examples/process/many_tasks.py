"""Several tasks, one after the other, in one process: each ends with close()."""

from dray import Task

for rate in (0.1, 0.2, 0.4):
    task = Task.init(project_name="examples/process", task_name=f"rate {rate}")
    task.connect({"rate": rate})
    task.get_logger().report_single_value("result", rate * 10)
    print("rate", rate)
    task.close()
