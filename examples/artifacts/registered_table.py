"""A registered DataFrame follows its changes: kept when set, flushed, closed, and at the end."""

import pandas

from dray import Task

task = Task.init(project_name="examples/artifacts", task_name="registered table")

samples = pandas.DataFrame({"file": ["a.png", "b.png"], "label": ["cat", "dog"]})
task.register_artifact("samples", samples, metadata={"of": "animals"}, uniqueness_columns=["label"])

samples.loc[len(samples)] = ["c.png", "cat"]
task.flush()  # or nothing: the end of the process would do

tables = Task.current_task().get_registered_artifacts()
tables["samples"] = tables["samples"].drop(index=0)
print(task.artifacts["samples"].preview)

task.register_artifact("other", samples)
task.unregister_artifact("other")  # what was kept of it stays, and no longer follows
samples.loc[len(samples)] = ["d.png", "dog"]
