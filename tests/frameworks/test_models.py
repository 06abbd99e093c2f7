"""Models that real frameworks save and load, and the metrics they evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks.conftest import INIT, Run

#: Ends each script that a recorder is broken in: every hook of a model comes to these.
BROKEN = """\
from dray.sdk.models import saves as model_saves
def broken(*args, **kwargs):
    raise RuntimeError("odd")
model_saves.saved = model_saves.loaded = broken
"""


def test_torch(run: Run) -> None:
    made = run(example="torch_training.py")
    assert made.series == {("loss", "train")}
    assert made.models("output") == ["checkpoint", "scripted"]
    assert made.models("input") == ["checkpoint"]
    assert made.frameworks == {"PyTorch"}
    assert [(p["title"], p["series"], p["i"]) for p in made.of("plot")] == [
        ("weights", "linear", 4)
    ]


def test_torch_in_all_ways_it_saves(run: Run) -> None:
    made = run(
        "from torch import save, load  # by name, before the task\n"
        + INIT
        + """\
import io, torch
from pathlib import Path

model = torch.nn.Linear(2, 1)
save(model.state_dict(), "named.pt")
torch.save(model.state_dict(), Path("path.pt"))
with open("file.pt", "wb") as file:
    torch.save(model, file)
torch.save(model, io.BytesIO())
torch.save(model, "old.pt", _use_new_zipfile_serialization=False)
script = torch.jit.script(model)
script.save("script.pt")
torch.jit.save(script, "jit.pt")
assert torch.jit.load("jit.pt").training
load(Path("path.pt"))
"""
    )
    assert made.models("output") == ["named", "path", "file", "old", "script", "jit"]
    assert made.models("input") == ["jit", "path"]


def test_a_data_loader_loads_no_models_and_processes_may_load(run: Run) -> None:
    made = run(
        INIT
        + """\
import torch
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from torch.utils.data import DataLoader, Dataset

class Files(Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, number):
        return torch.load(f"{number}.pt")

for number in range(2):
    torch.save(torch.zeros(2), f"{number}.pt")
assert len(list(DataLoader(Files(), num_workers=1))) == 2
with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
    assert list(pool.map(torch.load, ["0.pt"]))[0].shape == (2,)
"""
    )
    assert made.models("output") == ["0", "1"]
    assert made.models("input") == ["0"]


def test_patterns_choose_model_files(run: Run) -> None:
    made = run(
        """\
from dray import Task
task = Task.init("frameworks", "test", auto_connect_frameworks={"pytorch": ["*best*"]})
import torch
torch.save({}, "best.pt")
torch.save({}, "last.pt")
"""
    )
    assert made.models("output") == ["best"]


def test_xgboost(run: Run) -> None:
    made = run(example="xgboost_metrics.py")
    assert made.series == {("train", "logloss"), ("test", "logloss")}
    assert len(made.of("scalar")) == 10
    assert (made.models("output"), made.models("input")) == (["model"], ["model"])
    assert made.frameworks == {"XGBoost"}


def test_lightgbm(run: Run) -> None:
    made = run(example="lightgbm_metrics.py")
    assert made.series == {("test", "auc"), ("test", "binary_logloss")}
    assert [r["i"] for r in made.of("scalar") if r["series"] == "auc"] == [0, 1, 2, 3, 4]
    assert (made.models("output"), made.models("input")) == (["model"], ["model"])
    assert made.parameters["General/num_leaves"] == "4"


def test_catboost(run: Run) -> None:
    made = run(example="catboost_metrics.py")
    assert made.series == {("learn", "Logloss"), ("validation", "Logloss")}
    assert (made.models("output"), made.models("input")) == (["model"], ["model"])


def test_keras(run: Run) -> None:
    made = run(example="keras_model.py")
    assert made.models("output") == ["best", "last.weights"]
    assert made.models("input") == ["best"]
    assert made.frameworks == {"Keras"}


def test_the_interfaces_of_scikit_learn(run: Run) -> None:
    made = run(
        INIT
        + """\
import numpy as np
from lightgbm import LGBMClassifier
from xgboost import XGBClassifier

features = np.random.default_rng(0).random((60, 3))
labels = (features[:, 0] > 0.5).astype(int)
for seed in range(2):
    model = XGBClassifier(n_estimators=2, random_state=seed)
    model.fit(features, labels, eval_set=[(features, labels)], verbose=False)
assert model.get_params()["n_estimators"] == 2
assert model.score(features, labels) > 0.5
model.save_model("x.json")
model = LGBMClassifier(n_estimators=2, verbose=-1)
model.fit(features, labels, eval_set=[(features, labels)])
model.booster_.save_model("l.txt")
"""
    )
    # A second training of a run is told from the first.
    assert made.series == {
        ("validation_0", "logloss"),
        ("validation_0 - 1", "logloss"),
        ("training", "binary_logloss"),  # LightGBM's word for the data it is fitted to
    }
    assert made.models("output") == ["x", "l"]


SCRIPTS = {
    "torch": "import torch\ntorch.save({}, 'm.pt')\ntorch.load('m.pt')\n",
    "keras": """\
import keras
model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
model.save("m.keras")
assert keras.saving.load_model("m.keras").count_params() == 3
""",
    "xgboost": """\
import numpy as np, xgboost as xgb
data = xgb.DMatrix(np.zeros((8, 2)), label=np.zeros(8))
booster = xgb.train({}, data, 1, evals=[(data, "d")], verbose_eval=False)
booster.save_model("m.json")
booster.load_model("m.json")
""",
    "lightgbm": """\
import lightgbm as lgb, numpy as np
data = lgb.Dataset(np.random.rand(50, 2), label=np.random.rand(50))
booster = lgb.train({"verbose": -1}, data, 1, valid_sets=[data])
assert booster.save_model("m.txt") is booster
lgb.Booster(model_file="m.txt")
""",
    "catboost": """\
import numpy as np
from catboost import CatBoostRegressor
model = CatBoostRegressor(iterations=1, verbose=False, allow_writing_files=False)
assert model.fit(np.random.rand(50, 2), np.random.rand(50)) is model
model.save_model("m.cbm")
assert model.load_model("m.cbm") is model
""",
}


@pytest.mark.parametrize("framework", SCRIPTS)
def test_a_recorder_that_fails_leaves_the_script_as_it_is(
    run: Run, folder: Path, framework: str
) -> None:
    broken = (
        "from dray.runtime import spool\n"
        "def no_scalar(*args):\n    raise RuntimeError('odd')\n"
        "task._attempt.writer.scalar = no_scalar\n"
    )
    made = run(INIT + BROKEN + broken + SCRIPTS[framework] + "print('done')\n")
    assert made.out.endswith("done\n")
    assert list(folder.glob("m.*"))
    told = [line for line in made.err.splitlines() if "odd" in line]
    assert 1 <= len(told) == len(set(told)) <= 3


WATCHED = """
def watched():
    return [
        torch.save, torch.load, torch.jit.save, torch.jit.load,
        torch.jit.RecursiveScriptModule.save,
        keras.Model.save, keras.Model.save_weights, keras.Model.load_weights,
        keras.saving.load_model, keras.saving.save_model, xgboost.train,
        xgboost.Booster.save_model, xgboost.Booster.load_model, lightgbm.train,
        lightgbm.Booster.save_model, lightgbm.Booster.__init__, catboost.CatBoost.save_model,
        catboost.CatBoost.load_model, catboost.CatBoostClassifier.fit,
    ]

def described():
    return [(f.__qualname__, f.__module__, inspect.signature(f), f.__doc__) for f in watched()]
"""


def test_watched_functions_look_like_the_frameworks_own_and_are_put_back(run: Run) -> None:
    made = run(
        "import inspect, torch, keras, xgboost, lightgbm, catboost\n"
        + WATCHED
        + "bare, told = watched(), described()\n"
        + INIT
        + "assert described() == told\n"
        + "unwatched = [f for f, own in zip(watched(), bare) if f is own]\n"
        + "assert not unwatched, unwatched\n"
        + "task.close()\n"
        + "assert watched() == bare\n"
    )
    assert "off for this run" not in made.err
