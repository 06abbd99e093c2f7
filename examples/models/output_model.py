"""The model a run makes: weights saved over and over, with labels, configuration and metadata."""

import json
from pathlib import Path

from dray import OutputModel, Task

task = Task.init(project_name="examples", task_name="output model")
model = OutputModel(
    task=task,
    name="cats and dogs",
    framework="custom",
    config_dict={"layers": [64, 32], "activation": "relu"},
    label_enumeration={"background": 0, "cat": 1, "dog": 2},
    tags=["example"],
)

weights = [0.0, 0.0]
for epoch in range(3):
    weights = [weight + 0.5 for weight in weights]
    Path("net.json").write_text(json.dumps(weights))
    # Each time a newer version of the same model.
    model.update_weights("net.json", iteration=epoch, auto_delete_file=False)
    model.report_scalar("accuracy", "validation", 0.6 + 0.1 * epoch, iteration=epoch)

model.set_metadata("accuracy", 0.8)
model.set_metadata("epochs", 3)
model.report_single_value("best accuracy", 0.8)

print("weights:", Path(model.get_weights()).read_text())
print("labels:", model.labels)
print("epochs:", model.get_metadata_casted("epochs") + 0)
