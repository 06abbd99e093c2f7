"""Parameters and user properties by name: read, set, dropped, in this run and in a draft."""

from dray import Task

task = Task.init(project_name="examples", task_name="parameters by name")
task.connect({"lr": 0.1, "obsolete": 1})

task.set_parameter("Data/split", 0.8, description="share for training", value_type=float)
task.update_parameters({"General": {"lr": 0.2}}, {"Data/seed": 3})
task.delete_parameter("General/obsolete")
print("cast", task.get_parameters(cast=True))
print("nested", task.get_parameters_as_dict(cast=True)["Data"])

task.set_user_properties(team="vision", rank=1)
task.set_user_properties({"name": "reviewed", "value": True}, [{"name": "draft", "value": 1}])
task.delete_user_properties("draft")
print("properties", task.get_user_properties(value_only=True))

if not Task.running_remotely():  # a draft is another task: what is set goes to the server
    draft = Task.clone(task, name="parameters by name, edited")
    draft.set_parameters({"General/lr": 1e-3})
    draft.connect({"epochs": 3}, name="Training")
    print("draft", draft.get_parameters(cast=True))
