"""Lines and points in a plane, points in space, and a surface."""

import numpy as np

from dray import Logger, Task

task = Task.init("examples/reporting", "points and surfaces")
logger = Logger.current_logger()

steps = np.arange(10)
logger.report_scatter2d(
    "path", "walk", np.column_stack([steps, steps**2]), 1, xaxis="step", yaxis="distance"
)
logger.report_scatter2d(
    "path", "stops", [(0, 0), (3, 9)], iteration=1, mode="markers", labels=["start", "rest"]
)
logger.report_line_plot(
    "comparison",
    [
        Logger.SeriesInfo(name="ours", data=[(0, 1), (1, 3)]),
        {"name": "theirs", "data": np.array([[0, 2], [1, 2]])},
    ],
    xaxis="epoch",
    yaxis="score",
)
logger.report_scatter3d("cloud", "points", [(1, 2, 3), (4, 5, 6)], iteration=1, zaxis="depth")
logger.report_surface(
    "loss landscape", "hill", np.outer(steps, steps), iteration=1, xaxis="x", camera=(1, 1, 2)
)
