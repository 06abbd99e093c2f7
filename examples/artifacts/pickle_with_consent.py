"""Pickles need consent twice: to be made, and to be loaded, which runs code of their maker."""

from dray import Task


class Vocabulary:
    """An object that has no form but a pickle."""

    def __init__(self, words):
        self.words = words


task = Task.init(project_name="examples/artifacts", task_name="pickle with consent")
vocabulary = Vocabulary({"ray", "dray"})

try:
    task.upload_artifact("vocabulary", vocabulary)
except TypeError as error:
    print("not without being asked:", error)
task.upload_artifact("vocabulary", vocabulary, auto_pickle=True)

artifact = task.artifacts["vocabulary"]
try:
    artifact.get()
except ValueError as error:
    print("not without consent:", error)
print("loaded:", sorted(artifact.get(allow_pickle=True).words))
