"""One script after another run: find it, read what it reported, and report beside it."""

from dray import Task

PROJECT = "examples/results"

# A baseline, if this is the first script of the project; others only read it.
baseline = Task.get_task(project_name=PROJECT, task_name="baseline")
task = Task.init(project_name=PROJECT, task_name="baseline" if baseline is None else "candidate")
logger = task.get_logger()
for iteration in range(5):
    logger.report_scalar("loss", "train", 1 / (iteration + 1), iteration)
print("this is the console of", task.name)

if baseline is not None and baseline.id != task.id:
    old = baseline.get_reported_scalars()["loss"]["train"]
    for iteration, value in zip(old["x"], old["y"], strict=True):
        logger.report_scalar("loss", "baseline", value, iteration)
    print("its last words:", baseline.get_reported_console_output(number_of_reports=1))
