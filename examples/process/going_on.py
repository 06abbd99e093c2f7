"""Go on with a run that was stopped: its points stay, and iterations count on from the last."""

from dray import Task


def train() -> None:
    """Three more epochs, numbered from 0 by the code."""
    for epoch in range(3):
        task.get_logger().report_scalar("loss", "train", iteration=epoch, value=1 / (epoch + 1))


task = Task.init(project_name="examples/process", task_name="going on")
train()
if Task.running_locally():
    task.mark_stopped(status_message="enough for today")
    task.close()
    task = Task.init(project_name="examples/process", task_name="going on", continue_last_task=True)
    print("goes on from iteration", task.get_initial_iteration())
    train()
