"""What is captured can be chosen: by framework, and of models by the names of their files."""

import joblib
import matplotlib.pyplot as plt

from dray import Task

task = Task.init(
    project_name="examples/frameworks",
    task_name="switches",
    auto_connect_frameworks={"matplotlib": False, "scikit": ["*.joblib"]},
)
joblib.dump({"weights": 1}, "wanted.joblib")
joblib.dump({"weights": 2}, "scratch.pkl")
plt.plot([1, 2, 3])
plt.show()
