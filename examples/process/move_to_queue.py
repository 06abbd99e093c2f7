"""Try it here, then go on in a queue: the agent runs the script from its start."""

from dray import Task

task = Task.init(project_name="examples/process", task_name="moves to a queue")
settings = task.connect({"epochs": 2})
print("checked here" if Task.running_locally() else "runs in the queue")
task.execute_remotely(queue_name="default")

for epoch in range(settings["epochs"]):
    task.get_logger().report_scalar("loss", "train", iteration=epoch, value=1.0 / (epoch + 1))
