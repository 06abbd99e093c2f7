"""A function as a task of its own: it runs in the queue, up to the call that made it."""

from dray import Task

task = Task.init(project_name="examples/process", task_name="functions")


def count(words: str, times: int = 1) -> None:
    """What the new task does; its arguments can be edited before it is enqueued."""
    Task.current_task().get_logger().report_single_value("n words", len(words.split()) * times)
    print("counted in", Task.current_task().name)


counting = task.create_function_task(count, words="to be or not to be", times=2)
if counting is not None:
    Task.enqueue(counting, queue_name="default")
    print("made", counting.id)
