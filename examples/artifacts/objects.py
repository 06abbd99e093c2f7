"""Objects of all kinds as artifacts, and the same objects back from `task.artifacts`."""

import numpy
import pandas
from PIL import Image

from dray import Task

task = Task.init(project_name="examples/artifacts", task_name="objects")

task.upload_artifact("matrix", numpy.eye(3), metadata={"rows": 3, "symmetric": True})
task.upload_artifact("matrix as text", numpy.eye(3), extension_name=".csv.gz")

animals = pandas.DataFrame({"legs": [2, 4], "wings": [2, 0]}, index=["falcon", "dog"])
task.upload_artifact("animals", animals, preview="two animals")
scores = animals.set_index([["a", "b"], [1, 2]])  # an index of two levels stays one
task.upload_artifact("scores", scores)

task.upload_artifact("picture", Image.new("RGB", (16, 8), "teal"))
task.upload_artifact("settings", {"rate": 0.1, "layers": [32, 10], "name": None})
task.upload_artifact("settings as yaml", {"rate": 0.1}, extension_name=".yaml", sort_keys=False)
task.upload_artifact("losses", [0.9, 0.5, 0.25])
task.upload_artifact("notes", "It went well.\nNext time with more data.")
task.upload_artifact("paper", "https://example.org/paper.pdf")  # registered, not fetched

for name, artifact in task.artifacts.items():
    print(f"{name}: {artifact.type}, {artifact.size} bytes")
print("layers:", task.artifacts["settings"].get()["layers"])
print("the same scores:", task.artifacts["scores"].get().equals(scores))
