"""A script that looks at its own summary: the best value so far decides what happens next."""

from dray import Task

task = Task.init(project_name="examples/results", task_name="stop when good")
logger = task.get_logger()
for round_number in range(5):
    for step in range(10):
        iteration = round_number * 10 + step
        logger.report_scalar("accuracy", "validation", 1 - 1 / (iteration + 1), iteration)
    best = task.get_last_scalar_metrics()["accuracy"]["validation"]["max"]
    print(f"round {round_number}: best {best:.3f}")
    if best >= 0.95:
        break

logger.report_single_value("best accuracy", best)
logger.report_single_value("rounds", round_number + 1)
values = task.get_reported_single_values()
print("took", int(values["rounds"]), "rounds to", round(values["best accuracy"], 3))
