"""Parameters with types, ranges and validators: ``TaskParameters``."""

from dray import Task
from dray.task_parameters import TaskParameters, param, percent_param


def is_even(_training, field, value):
    if value % 2:
        raise ValueError(f"{field.name} must be even, got {value}")


class Training(TaskParameters):
    epochs = param(type=int, range=(1, 100), desc="passes over the data", default=3)
    batch_size = param(type=int, validator=is_even, default=32)
    dropout = percent_param(desc="share of neurons left out", default=0.25)


task = Task.init(project_name="examples", task_name="task parameters")
training = task.connect(Training(epochs=5), name="Training")
print("training", training.to_dict())

try:
    training.dropout = 1.5
except ValueError as error:
    print("refused:", error)
