"""Reading scalars back while the run goes on: by iteration, by time, thinned and whole."""

from dray import Task

task = Task.init(project_name="examples/results", task_name="read scalars")
logger = task.get_logger()
for iteration in range(200):
    logger.report_scalar("loss", "train", value=1 / (iteration + 1), iteration=iteration)

# What was reported before the call is there, whatever is still on its way.
few = task.get_reported_scalars(max_samples=20)["loss"]["train"]
print("thinned to", len(few["x"]), "points, the last at iteration", few["x"][-1])

whole = task.get_all_reported_scalars()["loss"]["train"]
print("all of them:", len(whole["x"]))

times = task.get_reported_scalars(x_axis="timestamp")["loss"]["train"]["x"]
print("reported within", times[-1] - times[0], "ms")

days = task.get_reported_scalars(x_axis="iso_time")["loss"]["train"]["x"]
print("the first one on", days[0][:10])
