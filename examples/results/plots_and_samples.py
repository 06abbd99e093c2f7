"""Plots and debug samples: what is kept of each series, and how both are read back."""

import json

from PIL import Image

from dray import Task

task = Task.init(project_name="examples/results", task_name="plots and samples")
logger = task.get_logger()
for iteration in range(4):
    rows = [["class", "recall"], ["cat", 0.5 + iteration / 10], ["dog", 0.6 + iteration / 10]]
    logger.report_table("recall", "validation", iteration=iteration, table_plot=rows)
    picture = Image.new("RGB", (8, 8), (60 * iteration, 0, 0))
    # Of each series the newest samples stay, as many as its history says.
    logger.report_image("seen", "first batch", iteration, image=picture, max_image_history=2)

# The latest iteration of each plot, unless more are asked for.
for plot in task.get_reported_plots():
    kinds = [trace["type"] for trace in json.loads(plot["plot_str"])["data"]]
    print(plot["metric"], plot["variant"], "iteration", plot["iter"], kinds)
print("iterations kept:", [p["iter"] for p in task.get_reported_plots(max_iterations=10)])

for sample in task.get_debug_samples("seen", "first batch"):
    print("sample of iteration", sample["iter"], "named", sample["key"])
