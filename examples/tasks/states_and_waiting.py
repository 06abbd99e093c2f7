"""The states of a task, and waiting for one of them."""

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="states and waiting")
print("mine:", task.status, task.status == Task.TaskStatusEnum.in_progress)

other = Task.create(project_name="examples/tasks", task_name="waited for")
print("made:", other.get_status(), other.state)

other.mark_started()
other.wait_for_status(status=(Task.TaskStatusEnum.in_progress,), timeout=10)
print("started:", other.status, other.last_worker is not None)

other.mark_failed(status_reason="out of data", status_message="line 7")
try:
    other.wait_for_status(check_interval_sec=1.0)
except RuntimeError as problem:
    print("waited:", problem)
other.wait_for_status(status=("failed",), raise_on_status=None)
print("message:", other.get_status_message()[1])

other.reset()
print("reset:", other.status)
try:
    other.wait_for_status(timeout=0.05)
except RuntimeError:
    print("not in time")
other.mark_started()
other.mark_stopped(status_message="enough")
other.wait_for_status()
print("stopped:", other.status, other.delete())
