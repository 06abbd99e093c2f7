"""Whole configurations: a dict, a list and a file, each editable as text in a clone."""

import json
from pathlib import Path

from dray import Task

task = Task.init(project_name="examples", task_name="configurations")

model = task.connect_configuration({"layers": [{"width": 8}, {"width": 4}]}, name="model")
classes = task.connect_configuration(["cat", "dog"], name="classes", description="what there is")

own = Path("settings.json")
own.write_text(json.dumps({"threshold": 0.5}), encoding="utf-8")
# The file to read from: the own one, or under an agent one with the stored text.
path = task.connect_configuration(own, name="settings")
settings = json.loads(path.read_text(encoding="utf-8"))

task.connect_label_enumeration({"background": 0, "cat": 1, "dog": 2})

print("widths", [layer["width"] for layer in model["layers"]])
print("classes", classes)
print("threshold", settings["threshold"])
