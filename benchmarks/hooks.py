"""What hooks cost a training step in which nothing is saved, and a TensorBoard writer."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TypedDict, cast

from benchmarks.children import attached
from benchmarks.measure import Reading, Sample, in_words
from benchmarks.stand import Stand

N_BLOCKS = 40
N_SCALARS = 2_000
#: Where `make test-frameworks` has put PyTorch.
_FRAMEWORKS = Path(__file__).parents[1] / ".venv-frameworks" / "bin" / "python"

#: Blocks of steps with and without hooks, in turns within one process; a step is one of a
#: perceptron on MNIST's shapes (784 → 128 → 10, batches of 64).
_STEPS = """\
import json, os, sys, time
os.environ["OMP_NUM_THREADS"] = "1"
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot, joblib
from dray import Task
from dray.sdk import hooks, session
n_blocks = int(sys.argv[1])
Task.init(project_name="bench", task_name="hooks")
attempt = session.current()
try:
    import torch
    torch.set_num_threads(1)
    from torch.utils.tensorboard import SummaryWriter
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images, labels = torch.rand(64, 784), torch.randint(0, 10, (64,))
    def step():
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    what = "PyTorch"
except ImportError:
    import numpy as np
    numbers = np.random.default_rng(0)
    images, labels = numbers.random((64, 784)), np.eye(10)[numbers.integers(0, 10, 64)]
    first, second = numbers.normal(size=(784, 128)) * 0.05, numbers.normal(size=(128, 10)) * 0.05
    def step():
        global first, second
        hidden = np.maximum(images @ first, 0)
        scores = np.exp(hidden @ second)
        error = scores / scores.sum(axis=1, keepdims=True) - labels
        back = (error @ second.T) * (hidden > 0)
        second -= 0.001 * hidden.T @ error
        first -= 0.001 * images.T @ back
    what = "NumPy"

def block():
    seen = []
    for _ in range(40):
        began = time.perf_counter_ns()
        step()
        seen.append(time.perf_counter_ns() - began)
    seen.sort()
    return seen[len(seen) // 10] / 1e3  # undisturbed by others of a shared machine

def hooked():
    hooks.install(attempt)
    return block()

def bare():
    hooks.uninstall()
    return block()

bare(), hooked()
pairs = []
for n in range(n_blocks):
    if n % 2:
        own = hooked(); pairs.append((own, bare()))
    else:
        other = bare(); pairs.append((hooked(), other))
print(json.dumps({"hooked": [p[0] for p in pairs], "bare": [p[1] for p in pairs], "what": what}))
"""

#: Scalars through tensorboardX, with and without hooks, in turns.
_WRITER = """\
import json, sys, tempfile, time
from tensorboardX import SummaryWriter
from dray import Task
from dray.sdk import hooks, session
n_scalars = int(sys.argv[1])
Task.init(project_name="bench", task_name="writer")
attempt = session.current()
seen = {"hooked": [], "bare": []}
with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    at = 0
    for n in range(20):
        for how in (("hooked", "bare") if n % 2 else ("bare", "hooked")):
            (hooks.install(attempt) if how == "hooked" else hooks.uninstall())
            block = []
            for _ in range(n_scalars // 20):
                at += 1
                began = time.perf_counter_ns()
                writer.add_scalar("loss/train", 0.5, at)
                block.append(time.perf_counter_ns() - began)
            block.sort()
            seen[how].append(block[len(block) // 2] / 1e3)
print(json.dumps({**seen, "what": "tensorboardX"}))
"""


class _Seen(TypedDict):
    hooked: list[float]
    bare: list[float]
    what: str


def measure(stand: Stand) -> list[Reading]:
    """Loops in processes of their own."""
    steps = _run(stand, "hook-steps.py", _STEPS, N_BLOCKS, _FRAMEWORKS)
    writer = _run(stand, "hook-writer.py", _WRITER, N_SCALARS)
    return [_reading("hooks-step-time", steps), _reading("hooks-tensorboard", writer)]


def _run(stand: Stand, name: str, text: str, n: int, python: Path | None = None) -> _Seen:
    """Run a script in an environment that has frameworks; the one of these measures otherwise."""
    chosen = python if python is not None and python.exists() else Path(sys.executable)
    finished = subprocess.run(
        [chosen, stand.script(name, text), str(n)],
        env=attached(stand),
        stdout=subprocess.PIPE,
        check=True,
    )
    return cast("_Seen", json.loads(finished.stdout.splitlines()[-1]))


def _reading(name: str, seen: _Seen) -> Reading:
    hooked, bare = Sample(tuple(seen["hooked"])), Sample(tuple(seen["bare"]))
    against = f"{seen['what']} without hooks {in_words(bare.median)} µs"
    # Block by block: the two of a pair have seen the same machine.
    quotients = [own / other for own, other in zip(hooked.values, bare.values, strict=True)]
    return Reading(name, hooked, against, statistics.median(quotients))
