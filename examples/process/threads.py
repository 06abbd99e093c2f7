"""Threads share the task, and so does code that asks for it by Task.current_task()."""

import threading

from dray import Logger, Task

task = Task.init(project_name="examples/process", task_name="threads")


def work(name: str) -> None:
    """Report a few points under the name of the thread."""
    logger = Logger.current_logger()
    for iteration in range(50):
        logger.report_scalar("progress", name, iteration=iteration, value=iteration / 50)


threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
