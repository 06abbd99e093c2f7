"""What joblib dumps of scikit-learn is an output model, what it loads an input model."""

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from dray import Logger, Task

task = Task.init(project_name="examples/frameworks", task_name="sklearn joblib")
features, labels = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=200).fit(features, labels)
joblib.dump(model, "iris.pkl", compress=True)

loaded = joblib.load("iris.pkl")
Logger.current_logger().report_single_value("accuracy", loaded.score(features, labels))
