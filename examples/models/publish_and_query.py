"""Several models of one run: the best is published, and found again by what is known of it."""

from pathlib import Path

from dray import Model, OutputModel, Task

task = Task.init(project_name="examples", task_name="publish and query")

best = None
for depth, accuracy in ((18, 0.81), (34, 0.87), (50, 0.85)):
    Path(f"net{depth}.bin").write_bytes(b"w" * depth)
    model = OutputModel(name=f"net{depth} of {task.id[:8]}", tags=["candidate", f"depth-{depth}"])
    model.update_weights(f"net{depth}.bin", auto_delete_file=False)
    model.set_all_metadata({"run": {"value": task.id, "type": "str"}})
    model.set_metadata("accuracy", accuracy)
    if best is None or accuracy > best.get_metadata_casted("accuracy"):
        best = model

best.tags = [*best.tags, "best"]
best.publish()

project, mine = task.get_project_name(), {"run": task.id}
print("models:", len(Model.query_models(project_name=project, metadata=mine)))
found = Model.query_models(
    project_name=project,
    tags=["__$all", "best", "candidate"],
    only_published=True,
    metadata=mine,
)
print("best:", [model.name.split()[0] for model in found], found[0].published)
small = Model.query_models(tags=["candidate", "-best", "-depth-50"], metadata=mine)
print("others:", [model.name.split()[0] for model in small])
