"""Take a task out as a dict, change it, and make another task of it."""

import json

from dray import Task

task = Task.init(project_name="examples/tasks", task_name="export and import")

template = Task.create(project_name="examples/tasks", task_name="exported")
template.set_parameters({"Args/lr": 0.1, "Args/epochs": 3})
template.set_configuration_object("net", "layers: 3")
template.set_script(repository="https://example.org/team/vision.git", branch="main")
template.set_packages(["numpy==2.1.0"])

data = json.loads(json.dumps(template.export_task()))
print("branch:", data["script"]["branch"])
print("lr:", data["hyperparams"]["Args"]["lr"]["value"])

data["name"] = "imported"
data["script"]["branch"] = "next"
data["hyperparams"]["Args"]["lr"]["value"] = "0.5"
copy = Task.import_task(data)
print("imported:", copy.name, copy.get_script()["branch"], copy.get_parameters()["Args/lr"])
print("packages:", copy.get_requirements()["pip"])

copy.update_task({"tags": ["edited"], "hyperparams": {"Args": {"epochs": {"value": "9"}}}})
print("updated:", copy.get_tags(), copy.get_parameters())
print("data:", copy.data.script.branch, copy.data.hyperparams["Args"]["epochs"].value)

task.set_user_properties(copied=copy.id)
template.delete()
