"""A dict of hyperparameters: nested, typed, and written through when it changes."""

from enum import Enum

from dray import Task


class Schedule(Enum):
    COSINE = "cosine"
    LINEAR = "linear"


task = Task.init(project_name="examples", task_name="dict of parameters")

params = {
    "epochs": 3,
    "shuffle": True,
    "layers": [64, 32],
    "window": (1, 2),
    "schedule": Schedule.COSINE,
    "resume": None,
    "optimizer": {"name": "adam", "lr": 0.01},
}
# In a clone these are editable; the values that come back have the types of the code.
params = task.connect(params)
params["optimizer"]["momentum"] = 0.9  # stored as well
fixed = task.connect({"seed": 7}, name="Fixed", ignore_remote_overrides=True)

print("epochs", params["epochs"], "lr", params["optimizer"]["lr"], "layers", params["layers"])
print("schedule", params["schedule"].name, "resume", params["resume"], "seed", fixed["seed"])
