"""Everything a writer of tensorboardX writes is recorded too."""

import numpy as np
from tensorboardX import SummaryWriter

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="tensorboardX")
numbers = np.random.default_rng(0)
with SummaryWriter("runs") as writer:
    for step in range(5):
        writer.add_scalar("loss/train", 1 / (step + 1), step)
        writer.add_scalars("accuracy", {"train": step / 5, "test": step / 6}, step)
    writer.add_histogram("weights/first", numbers.normal(size=500), 4)
    writer.add_image("samples/noise", numbers.random((3, 8, 8)), 4)
    writer.add_text("notes", "a **good** run", 4)
    writer.add_hparams({"lr": 0.1, "depth": 3}, {"accuracy/final": 0.8})
