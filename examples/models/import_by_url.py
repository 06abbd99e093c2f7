"""Weights that lie elsewhere become a model, once: whoever imports them again finds that one."""

from pathlib import Path

from dray import InputModel, Task

task = Task.init(project_name="examples", task_name="import by url")

weights = Path("pretrained.onnx").resolve()
weights.write_bytes(b"weights of a small network")

model = InputModel.import_model(
    weights_url=str(weights),
    name="pretrained",
    config_text="layers: 3",
    comment="made elsewhere",
    tags=["imported"],
)
again = InputModel.load_model(weights_url=str(weights))

print("the same model:", again is not None and again.id == model.id)
print("framework:", model.framework)
print("layers:", model.config_dict["layers"])
print("bytes:", len(Path(model.get_weights(raise_on_error=True)).read_bytes()))
task.connect(model)
