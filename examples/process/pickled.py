"""A Task object travels to another process, where it is the task that runs."""

import multiprocessing

from dray import Task


def work(task: Task, name: str) -> None:
    """Use the task that was handed over."""
    task.get_logger().report_scalar("by worker", name, iteration=0, value=1.0)
    print(name, "is the main task" if task.is_main_task() else "is another one")


if __name__ == "__main__":
    task = Task.init(project_name="examples/process", task_name="pickled")
    spawn = multiprocessing.get_context("spawn")
    worker = spawn.Process(target=work, args=(task, "worker"))
    worker.start()
    worker.join()
    raise SystemExit(worker.exitcode)
