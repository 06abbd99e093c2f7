"""What logging and loguru print is in the console of the task, without a handler more."""

import logging

from loguru import logger

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

from dray import Task  # noqa: E402  (handlers that were there before the task are kept too)

task = Task.init(project_name="examples/frameworks", task_name="logging and loguru")
logging.getLogger("training").info("plain logging says hello")
logger.info("loguru says hello")
logging.getLogger("training").warning("and a warning")
