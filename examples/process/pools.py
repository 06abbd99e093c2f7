"""Workers of a pool, forked or spawned, report to the task of the process that made the pool."""

import multiprocessing
import sys

from dray import Task


def square(number: int) -> int:
    """What a worker does."""
    kind = multiprocessing.current_process().name.partition("-")[0]
    logger = Task.current_task().get_logger()
    logger.report_scalar("squares", kind, iteration=number, value=number**2)
    return number**2


def main() -> None:
    """Two workers, however this system starts them."""
    task = Task.init(project_name="examples/process", task_name="pools")
    method = "spawn" if sys.platform == "win32" else "fork"
    for name in {method, "spawn"}:
        with multiprocessing.get_context(name).Pool(2) as pool:
            print(name, pool.map(square, range(4)))
    task.get_logger().report_single_value("largest", 9)


if __name__ == "__main__":
    main()
