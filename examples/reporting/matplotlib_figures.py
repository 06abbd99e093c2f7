"""Figures of matplotlib: an interactive plot, a picture, and a debug sample."""

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from dray import Task

task = Task.init(
    "examples/reporting", "matplotlib figures", auto_connect_frameworks={"matplotlib": False}
)
logger = task.get_logger()

figure, axes = plt.subplots()
axes.plot([1, 2, 3], [1, 4, 9], "o-", label="squares")
axes.set(title="growth", xlabel="n")
axes.legend()
logger.report_matplotlib_figure("figures", "lines", figure, iteration=1)
logger.report_matplotlib_figure("figures", "as sample", plt, iteration=1, report_image=True)
plt.close(figure)

plt.imshow([[1, 2], [3, 4]])
logger.report_matplotlib_figure("figures", "image", figure=plt, iteration=1)
