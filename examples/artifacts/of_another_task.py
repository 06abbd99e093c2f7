"""Artifacts of one task used by another, and one added to a task that does not run."""

from dray import Task

first = Task.init(project_name="examples/artifacts", task_name="makes data")
first.upload_artifact("data", {"rows": 3}, wait_on_upload=True)
first.close()

second = Task.init(project_name="examples/artifacts", task_name="uses data")
source = Task.get_task(task_id=first.id)
print("data has", source.artifacts["data"].get()["rows"], "rows")
second.close()

source.upload_artifact("verdict", "good data")  # the task has ended, and is not published
print(sorted(Task.get_task(task_id=first.id).artifacts))
