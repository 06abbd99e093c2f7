"""Make a template once; clone it with other values and put the clones in a queue."""

import argparse

from dray import Task

parser = argparse.ArgumentParser()
parser.add_argument("--role", default="maker")
parser.add_argument("--lr", type=float, default=0.1)
arguments = parser.parse_args()

task = Task.init(project_name="examples/tasks", task_name="clone, edit, enqueue")

if arguments.role == "worker":
    task.get_logger().report_single_value("loss", 1 - arguments.lr)
    print("worked with", arguments.lr)
else:
    template = Task.create(
        project_name="examples/tasks",
        task_name="template",
        script=__file__,
        packages=[],
        argparse_args=[("role", "worker")],
        add_task_init_call=False,
    )
    for lr in (0.25, 0.5):
        clone = Task.clone(source_task=template, name=f"worker {lr}", parent=task.id)
        values = clone.get_parameters()
        values["Args/lr"] = lr
        clone.set_parameters(values)
        answer = Task.enqueue(clone.id, queue_name="default")
        print("enqueued", answer.queued, clone.id)
    print("waiting:", Task.get_num_enqueued_tasks("default") >= 0)
    template.delete()
