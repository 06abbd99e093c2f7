"""Keras 3: models and weights that are saved are output models, loaded ones input models."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="keras")
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
inputs = np.ones((16, 4), dtype="float32")
best = keras.callbacks.ModelCheckpoint("best.keras", monitor="loss", save_best_only=True)
model.fit(inputs, inputs.sum(axis=1), epochs=2, verbose=0, callbacks=[best])
model.save_weights("last.weights.h5")
keras.saving.load_model("best.keras")
