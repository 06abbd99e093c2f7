"""LightGBM: evaluated metrics are scalars, parameters are recorded, the saved booster a model."""

import lightgbm as lgb
import numpy as np

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="lightgbm")
numbers = np.random.default_rng(0)
features = numbers.random((200, 4))
labels = (features.sum(axis=1) > 2).astype(int)
train = lgb.Dataset(features[:150], label=labels[:150])
test = lgb.Dataset(features[150:], label=labels[150:], reference=train)
booster = lgb.train(
    {"objective": "binary", "num_leaves": 4, "metric": ["auc", "binary_logloss"], "verbose": -1},
    train,
    num_boost_round=5,
    valid_sets=[test],
    valid_names=["test"],
)
booster.save_model("model.txt")
loaded = lgb.Booster(model_file="model.txt")
