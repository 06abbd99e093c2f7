"""A script that looks at its own summary: the best value so far decides what happens next."""

from dray import Task

task = Task.init(project_name="examples/results", task_name="stop when good")
logger = task.get_logger()
best, rounds = 0.0, 0
while best < 0.95 and rounds < 5:
    for iteration in range(rounds * 10, rounds * 10 + 10):
        logger.report_scalar("accuracy", "validation", 1 - 1 / (iteration + 1), iteration)
    best = task.get_last_scalar_metrics()["accuracy"]["validation"]["max"]
    rounds += 1
    print(f"after {rounds} rounds: best {best:.3f}")

logger.report_single_value("best accuracy", best)
logger.report_single_value("rounds", rounds)
values = task.get_reported_single_values()
print("took", int(values["rounds"]), "rounds to", round(values["best accuracy"], 3))
