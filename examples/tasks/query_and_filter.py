"""Find tasks by project, name, tags and what they are, in any order."""

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="query and filter")
project = f"examples/tasks/shelf {task.id[:8]}"

for name, tags in (("tree 1", ["small"]), ("tree 2", ["small", "best"]), ("net 10", ["large"])):
    draft = Task.create(project_name=project, task_name=name, task_type="testing")
    draft.set_tags(tags)
    draft.set_parameters({"General/size": name.split()[1]})


def names(**asked):
    return sorted(found.name for found in Task.get_tasks(project_name=project, **asked))


print("pattern:", names(task_name=r"^tree \d$"))
print("any:", names(tags=["best", "large"]))
print("all:", names(tags=["__$all", "small", "best"]))
print("without:", names(tags=["small", "-best"]))
print("drafts:", len(Task.query_tasks(project, task_filter={"status": ["created"]})))
print("in name or tag:", names(task_filter={"_any_": {"fields": ["name"], "pattern": "NET"}}))

ordered = Task.query_tasks(
    project_name=project,
    additional_return_fields=["name", "hyperparams.General.size.value"],
    task_filter={"order_by": ["-hyperparams.General.size"], "type": ["testing"]},
)
print("largest:", ordered[0]["name"], ordered[0]["hyperparams.General.size.value"])

newest = Task.get_task(project_name=project, task_name="tree 2")
print("by name:", newest.get_tags())
print("nobody:", Task.get_task(project_name=project, task_name="tree"))
task.get_logger().report_single_value("tasks on the shelf", len(names()))
