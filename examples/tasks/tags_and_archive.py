"""Tags to find tasks by, and putting away what is no longer looked at."""

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="tags and archive", tags=["first"])
task.add_tags("second third")
task.remove_tags(["first"])
print("tags:", task.get_tags())
task.set_comment("what was learned from it")

old = Task.create(project_name="examples/tasks", task_name=f"old {task.id[:8]}")
old.set_system_tags(["generated"])
old.set_archived(True)
print("archived:", old.get_archived(), sorted(old.get_system_tags()))
print("shown:", len(Task.get_tasks(task_name=old.name, allow_archived=False)))
print("there:", len(Task.get_tasks(task_name=old.name)))

new = Task.create(project_name="examples/tasks", task_name=old.name)
print("not the archived one:", Task.get_task(task_name=old.name) == new)
new.delete()
old.set_archived(False)
print("taken out:", old.get_archived(), Task.get_task(task_name=old.name) == old)
old.rename(f"renamed {task.id[:8]}")
print("clone:", Task.clone(old).get_system_tags())
