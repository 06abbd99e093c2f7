"""A file, a folder, a wildcard and a list of paths: the file as it is, the others as archives."""

import tempfile
from pathlib import Path

from dray import Task

task = Task.init(project_name="examples/artifacts", task_name="files and folders")

folder = Path(tempfile.mkdtemp()) / "results"
(folder / "deep").mkdir(parents=True)
(folder / "summary.csv").write_text("epoch,loss\n1,0.5\n")
(folder / "deep" / "details.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
(folder / "run.sh").write_text("#!/bin/sh\necho again\n")
(folder / "run.sh").chmod(0o755)

task.upload_artifact("summary", folder / "summary.csv")
task.upload_artifact("everything", str(folder))
task.upload_artifact("tables", str(folder / "*.csv"))  # in the folders below too
task.upload_artifact("two of them", [folder / "run.sh", folder / "deep" / "details.csv"])

# The next checkpoint may go into the same file: what was uploaded stays as it was.
(folder / "summary.csv").write_text("epoch,loss\n2,0.25\n")

print(task.artifacts["everything"].preview)
unpacked = Path(task.artifacts["everything"].get_local_copy())
print(sorted(path.name for path in unpacked.rglob("*") if path.is_file()))
