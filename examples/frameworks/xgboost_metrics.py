"""XGBoost: evaluated metrics are scalars, the booster that is saved an output model."""

import numpy as np
import xgboost as xgb

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="xgboost")
numbers = np.random.default_rng(0)
features = numbers.random((200, 4))
labels = (features.sum(axis=1) > 2).astype(int)
train = xgb.DMatrix(features[:150], label=labels[:150])
test = xgb.DMatrix(features[150:], label=labels[150:])
booster = xgb.train(
    {"objective": "binary:logistic", "max_depth": 2},
    train,
    num_boost_round=5,
    evals=[(train, "train"), (test, "test")],
    verbose_eval=False,
)
booster.save_model("model.json")
loaded = xgb.Booster()
loaded.load_model("model.json")
