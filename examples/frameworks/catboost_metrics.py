"""CatBoost: metrics of each iteration are scalars, the saved model an output model."""

import numpy as np
from catboost import CatBoostClassifier

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="catboost")
numbers = np.random.default_rng(0)
features = numbers.random((200, 4))
labels = (features.sum(axis=1) > 2).astype(int)
model = CatBoostClassifier(iterations=5, depth=2, verbose=False, allow_writing_files=False)
model.fit(features[:150], labels[:150], eval_set=(features[150:], labels[150:]))
model.save_model("model.cbm")
CatBoostClassifier().load_model("model.cbm")
