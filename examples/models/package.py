"""A model of several files, kept as one package and unpacked where it is used."""

from pathlib import Path

from dray import OutputModel, Task

task = Task.init(project_name="examples", task_name="package")

folder = Path("tokenizer")
(folder / "vocabulary").mkdir(parents=True, exist_ok=True)
(folder / "config.json").write_text('{"size": 3}')
(folder / "vocabulary" / "words.txt").write_text("a\nb\nc\n")

model = OutputModel(task=task, name="tokenizer")
model.update_weights_package(weights_path=str(folder), auto_delete_file=False)

# Through the task, as any other program would.
package = Path(task.models["output"]["tokenizer"].get_weights_package(return_path=True))
print("files:", sorted(path.name for path in package.rglob("*") if path.is_file()))
print("words:", (package / "vocabulary" / "words.txt").read_text().split())

# One more model of the task, by its path alone.
(folder / "head.bin").write_bytes(b"head")
task.update_output_model(str(folder / "head.bin"), name="head", auto_delete_file=False)
print("models:", list(task.models["output"].keys()))
