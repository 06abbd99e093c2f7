"""Projects nest by slashes; tasks move between them."""

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="projects")
root = f"examples/tasks/tree {task.id[:8]}"

leaf = Task.create(project_name=f"{root}/a", task_name="leaf")
print("name:", leaf.get_project_name() == f"{root}/a")
project_id = Task.get_project_id(f"{root}/a")
print("id:", project_id == leaf.project, Task.get_project_id("no such project"))

leaf.move_to_project(new_project_name=f"{root}/b/c")
print("moved:", leaf.get_project_object().name == f"{root}/b/c")
leaf.set_project(project_id=project_id)
print("back:", leaf.get_project_name() == f"{root}/a")

names = [project.name[len(root) :] for project in Task.get_projects(name=f"^{root}")]
print("projects:", names)
clone = Task.clone(leaf, project=Task.get_project_id(f"{root}/b"))
print("clone:", clone.get_project_name()[len(root) :])
print("alone:", [found.name for found in Task.get_tasks(project_name=f"{root}/a")])
below = Task.query_tasks(task_filter={"project_tree": root})
print("below:", len(below))
