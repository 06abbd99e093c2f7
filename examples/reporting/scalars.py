"""Scalars: a loss curve of two series, and single numbers for the summary."""

import argparse

from dray import Logger, Task

task = Task.init(project_name="examples/reporting", task_name="scalars")
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3, help="rounds to train")
arguments = parser.parse_args()

logger = Logger.current_logger()
for epoch in range(arguments.epochs):
    logger.report_scalar("loss", "train", value=1 / (epoch + 1), iteration=epoch)
    logger.report_scalar("loss", "validation", value=1.5 / (epoch + 1), iteration=epoch)
logger.report_single_value("best loss", 1 / arguments.epochs)
print("trained", arguments.epochs, "epochs")
