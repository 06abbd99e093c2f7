"""A run that begins with a model: a clone of it can be given another one, without new code."""

from dray import InputModel, Task

task = Task.init(project_name="examples", task_name="input model")

# Weights that others trained, by their address; nothing is fetched before they are wanted.
backbone = InputModel.import_model(
    weights_url="https://example.org/models/backbone-small.pt",
    name="backbone small",
    label_enumeration={"road": 0, "sky": 1},
    config_dict={"depth": 18},
)
# By hand, the task begins with this model. In a queue, with what it has by this name.
task.connect(backbone, name="backbone")

print("begins with", backbone.name)
print("depth", backbone.config_dict["depth"])
print("classes", task.get_labels_enumeration())
