"""Bars whose heights a script gives: one row, several groups, stacked ones."""

import numpy as np

from dray import Task

task = Task.init("examples/reporting", "histograms")
logger = task.get_logger()

logger.report_histogram(
    "ages", "counted", values=[3, 7, 2], iteration=0, xlabels=["young", "grown", "old"]
)
rounds = np.arange(6).reshape(2, 3)
logger.report_histogram(
    title="votes",
    series="by district",
    values=rounds,
    iteration=1,
    labels=["north", "south"],
    xaxis="party",
    yaxis="thousands",
    mode="stack",
    extra_layout={"showlegend": True},
)
print("reported", rounds.sum(), "thousand votes")
