"""`output_uri`: artifacts of a run go to a folder, or to `s3://`, `gs://`, `az://` just so."""

import tempfile

from dray import Task

folder = tempfile.mkdtemp(prefix="outputs-")
task = Task.init(
    project_name="examples/artifacts", task_name="output uri", output_uri=f"file://{folder}"
)
print("outputs go to", task.output_uri)

# Uploaded by another process; listed by the server once it is there.
task.upload_artifact("weights", {"w": [0.1, 0.2]}, wait_on_upload=True)
print("weights are at", task.artifacts["weights"].url)

task.output_uri = True  # from here on to the server's own store
task.upload_artifact("report", "kept by the server")
