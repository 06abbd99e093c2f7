"""Callbacks around model files: only the best one is recorded, under a name of its own."""

import joblib

from dray import Task
from dray.binding.frameworks import WeightsFileHandler


def only_the_best(action, info):
    """Leave checkpoints out; keep the best model as ``final``."""
    if "best" not in info.local_model_path:
        return None
    if str(action) == "save":
        info.upload_filename = "final.pkl"
    return info


WeightsFileHandler.add_pre_callback(only_the_best)
task = Task.init(project_name="examples/frameworks", task_name="weights callbacks")
for name in ("checkpoint_1", "checkpoint_2", "best"):
    joblib.dump({"weights": [1, 2, 3]}, f"{name}.pkl")
