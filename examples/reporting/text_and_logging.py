"""What a run says: texts with a level, print, and the logging module."""

import logging
import sys

from dray import Logger, Task

log = logging.getLogger("training")
log.addHandler(logging.StreamHandler(sys.stdout))  # before the task: it is heard all the same
log.setLevel(logging.INFO)

task = Task.init("examples/reporting", "text and logging")
logger = Logger.current_logger()
logger.report_text("a plain line")
logger.report_text("a warning", level=logging.WARNING, print_console=False)
log.info("by logging")
with logger.capture_logging():
    logging.getLogger("library").error("kept as a text")
print("by print")
