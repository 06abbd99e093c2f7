"""What is published is read-only for ever; it can happen in the moment a task is completed."""

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="publish on completion")

record = Task.create(project_name="examples/tasks", task_name="record")
record.publish_on_completion()
record.mark_started()
print("status:", record.status)
record.mark_completed(status_message="all numbers were checked")
print("status:", *record.get_status_message())

try:
    record.set_parameters({"General/a": 1})
except Exception as refused:
    print("refused:", type(refused).__name__)
record.add_tags(["kept"])
print("tags:", record.get_tags())

failed = Task.create(project_name="examples/tasks", task_name="failed record")
failed.publish_on_completion()
failed.mark_started()
failed.mark_failed(status_reason="numbers differ")
print("status:", failed.status)
print("deleted:", failed.delete(), record.delete())
