"""A task made of a script without running it, with what it needs, to be enqueued by anybody."""

from pathlib import Path

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="create from script")

script = Path("made_for_this.py")
script.write_text("print('hello from a script that knows nothing of this')\n")
made = Task.create(
    project_name="examples/tasks",
    task_name="made",
    task_type=Task.TaskTypes.inference,
    script=str(script),
    packages=["tqdm>=4"],
    argparse_args=[("lr", "0.1"), ("epochs", "3")],
    force_single_script_file=True,
)
print("type:", made.task_type, made.status)
print("runs:", made.get_script()["entry_point"])
print("needs:", made.get_requirements()["pip"])
print("arguments:", made.get_parameters())

made.set_base_docker(docker_image="python:3.12-slim", docker_arguments=["--ipc=host", "-e A=1"])
print("container:", made.get_base_docker())
made.set_base_docker(docker_image="")
print("container:", made.get_base_docker())

other = Task.create(base_task_id=made.id, task_name="on top", argparse_args=[("lr", "0.5")])
print("on top:", other.get_parameters()["Args/lr"], other.parent == made.id)

made.set_packages([])
answer = Task.enqueue(made, queue_name="default")
print("enqueued", answer.queued, made.id)
