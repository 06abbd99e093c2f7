"""What PyTorch's TensorBoard writer writes."""

from __future__ import annotations

from tests.frameworks.conftest import INIT, Run


def test_everything_the_writer_writes_is_recorded(run: Run) -> None:
    made = run(
        INIT
        + """\
import numpy as np, torch
from torch.utils.tensorboard import SummaryWriter

with SummaryWriter("runs/one") as writer:
    writer.add_scalar("loss/train", 0.25, 3)
    writer.add_scalar("new/style", 0.5, 3, new_style=True)
    writer.add_scalars("acc", {"train": 1, "test": 2}, 3)
    writer.add_histogram("weights/first", torch.linspace(-1, 1, 100), 3)
    writer.add_image("images/noise", np.zeros((3, 4, 4)), 3)
    writer.add_images("images/many", torch.zeros(2, 3, 4, 4), 3)
    writer.add_text("notes", "good", 3)
    writer.add_audio("sound", torch.zeros(1, 100), 3)
    writer.add_pr_curve("pr", np.array([0, 1]), np.array([0.2, 0.7]), 3)
    writer.add_mesh("mesh", torch.rand(1, 3, 3), faces=torch.tensor([[[0, 1, 2]]]), global_step=3)
    writer.add_hparams({"lr": 0.1}, {"hparam/acc": 0.5}, run_name="hp")
    writer.add_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    writer.add_embedding(torch.rand(4, 2), global_step=3)
with SummaryWriter("runs/two") as writer:
    writer.add_scalar("loss/train", 0.5, 3)
"""
    )
    assert made.series == {
        ("loss", "train"),
        ("loss", "two: train"),
        ("new", "style"),
        ("acc", "train"),
        ("acc", "test"),
        ("hparam", "acc"),
    }
    assert {r["v"] for r in made.of("scalar") if r["title"] == "new"} == {0.5}
    media = {(r["title"], r["series"], r["content_type"].split("/")[0]) for r in made.of("media")}
    assert media == {
        ("images", "noise", "image"),
        ("images", "many", "image"),
        ("notes", "text_summary", "text"),
        ("Audio", "sound", "audio"),
    }
    plots = {r["title"]: r["data"]["data"][0]["type"] for r in made.of("plot")}
    assert plots == {"weights": "bar", "pr": "scatter", "Mesh": "mesh3d"}
    assert made.parameters == {"TB_hparams/lr": "0.1"}
    assert made.err.count("dray:") == 1  # where it is recorded


def test_hyperparameters_may_be_left_out(run: Run) -> None:
    made = run(
        """\
from dray import Task
switches = {"tensorboard": {"report_hparams": False}}
task = Task.init("frameworks", "test", auto_connect_frameworks=switches)
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter("runs") as writer:
    writer.add_hparams({"lr": 0.1}, {"acc": 0.5}, run_name="hp")
"""
    )
    assert not made.parameters
    assert made.series == {("acc", "acc")}
