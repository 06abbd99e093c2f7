"""What a report costs a training loop, beside the same line written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TypedDict, cast

from benchmarks.children import attached
from benchmarks.measure import Reading, Sample, in_words, ratio
from benchmarks.stand import Stand

#: Together a million calls.
N_ROUNDS = 10
N_CALLS = 100_000
N_STEPS = 3_000
N_TENSORBOARD = 50_000
#: A round has to get on, on a machine that is busy with something else too.
_TIMEOUT_S = 300.0

#: Runs in a child, on what a child has. The two take turns within one loop, and turns at being
#: first; the clock is read around each call.
_BY_HAND = """\
import json, os, sys, time
from time import perf_counter_ns as now
from dray import Task

n_calls, path = int(sys.argv[1]), sys.argv[2]
report = Task.init(project_name="bench", task_name="scalars").get_logger().report_scalar
file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

def by_hand(title, series, value, iteration):
    line = {"k": "scalar", "title": title, "series": series, "i": iteration, "v": value,
            "t": time.time()}
    os.write(file, (json.dumps(line) + "\\n").encode())

def facts(values):
    values.sort()
    return {"median": values[len(values) // 2], "p99": values[int(len(values) * .99)],
            "worst": values[-1]}
"""
_LOOP = f"""\
{_BY_HAND}
def loop(first, second, n):
    ones, others = [], []
    for i in range(n):
        value = 1.0 / (i + 1)
        a = now(); first("loss", "train", value, i); b = now()
        second("loss", "train", value, i); c = now()
        ones.append(b - a); others.append(c - b)
    return ones, others

loop(report, by_hand, 500)
ours, theirs = loop(report, by_hand, n_calls // 2)
more_theirs, more_ours = loop(by_hand, report, n_calls // 2)
print(json.dumps([facts(ours + more_ours), facts(theirs + more_theirs)]))
"""
#: Ten classes of 8 by 8 pixels in batches of 128, as scikit-learn trains them a step at a time.
_TRAINING = f"""\
{_BY_HAND}
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

images, labels = load_digits(return_X_y=True)
model, classes = SGDClassifier(loss="log_loss", random_state=0), np.arange(10)
rng, ours, theirs, steps = np.random.default_rng(0), [], [], []
for i in range(n_calls):
    begun = now()
    batch = rng.integers(0, len(labels), 128)
    model.partial_fit(images[batch], labels[batch], classes)
    value = float(model.score(images[batch], labels[batch]))
    steps.append(now() - begun)
    first, second = (report, by_hand) if i % 2 else (by_hand, report)
    a = now(); first("accuracy", "train", value, i); b = now()
    second("accuracy", "train", value, i); c = now()
    one, other = b - a, c - b
    ours.append(one if i % 2 else other); theirs.append(other if i % 2 else one)
print(json.dumps([facts(ours[50:]), facts(theirs[50:]), facts(steps[50:])]))
"""
_TENSORBOARD = f"""\
{_BY_HAND}
from tensorboardX import SummaryWriter
writer = SummaryWriter(path + ".events")
ours, theirs, boards = [], [], []
for i in range(n_calls):
    value = 1.0 / (i + 1)
    a = now(); report("loss", "train", value, i); b = now()
    by_hand("loss", "train", value, i); c = now()
    writer.add_scalar("loss/train", value, i); d = now()
    ours.append(b - a); theirs.append(c - b); boards.append(d - c)
closing = now(); writer.close(); closing = now() - closing
print(json.dumps([facts(ours), facts(theirs), facts(boards)]))
"""


class _Facts(TypedDict):
    median: float
    p99: float
    worst: float


def measure(stand: Stand) -> list[Reading]:
    """Loops in processes of their own."""
    bare = stand.environment.python
    rounds = [_round(stand, bare, _LOOP, N_CALLS) for _ in range(N_ROUNDS)]
    return [*_tight(rounds), _in_training(stand), _tensorboard(stand)]


def _tight(rounds: list[list[_Facts]]) -> list[Reading]:
    ours, by_hand = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
    median, base = _sample(ours, "median", 1e-3), _sample(by_hand, "median", 1e-3)
    p99, p99_base = _sample(ours, "p99", 1e-3), _sample(by_hand, "p99", 1e-3)
    worst, worst_base = _sample(ours, "worst", 1e-6), _sample(by_hand, "worst", 1e-6)
    best, best_base = min(worst.values), min(worst_base.values)
    return [
        Reading(
            "report-scalar",
            median,
            f"by hand {in_words(base.median)} µs",
            ratio(median, base),
            note=f"{N_ROUNDS * N_CALLS:,} calls of each in {N_ROUNDS} processes",
        ),
        Reading(
            "report-scalar-p99",
            p99,
            f"by hand {in_words(p99_base.median)} µs",
            ratio(p99, p99_base),
        ),
        Reading(
            "report-scalar-worst",
            Sample((best,)),
            f"by hand {in_words(best_base)} ms",
            best / best_base,
            note=(
                f"worst of {N_CALLS:,} calls in the best of {N_ROUNDS} rounds, the others lose "
                "the core to another process for a while; worst of the median round "
                f"{in_words(worst.median)} ms, by hand {in_words(worst_base.median)} ms; of all "
                f"{N_ROUNDS * N_CALLS:,} calls {in_words(max(worst.values))} ms, by hand "
                f"{in_words(max(worst_base.values))} ms"
            ),
        ),
    ]


def _in_training(stand: Stand) -> Reading:
    ours, by_hand, step = _round(stand, Path(sys.executable), _TRAINING, N_STEPS)
    base = by_hand["median"] * 1e-3
    return Reading(
        "report-scalar-in-training",
        Sample((ours["median"] * 1e-3,)),
        f"by hand {in_words(base)} µs",
        ours["median"] / by_hand["median"],
        note=(
            f"median of {N_STEPS:,} steps of scikit-learn's SGDClassifier, each of "
            f"{in_words(step['median'] * 1e-3)} µs: a report is "
            f"{100 * ours['median'] / step['median']:.2g} % of a step; 99 % of the reports take "
            f"under {in_words(ours['p99'] * 1e-3)} µs (by hand {in_words(by_hand['p99'] * 1e-3)})"
        ),
    )


def _tensorboard(stand: Stand) -> Reading:
    ours, by_hand, board = _round(stand, Path(sys.executable), _TENSORBOARD, N_TENSORBOARD)
    return Reading(
        "report-scalar-tensorboardx",
        Sample((board["median"] * 1e-3,)),
        f"Dray in the same loop {in_words(ours['median'] * 1e-3)} µs, by hand "
        f"{in_words(by_hand['median'] * 1e-3)} µs",
        board["median"] / by_hand["median"],
        note=f"99 % of its calls take under {in_words(board['p99'] * 1e-3)} µs, of Dray's under "
        f"{in_words(ours['p99'] * 1e-3)} µs",
    )


def _round(stand: Stand, python: Path, text: str, n_calls: int) -> list[_Facts]:
    script, variables = stand.script("scalars.py", text), attached(stand)
    target = stand.folder / "by-hand.jsonl"
    target.unlink(missing_ok=True)
    finished = subprocess.run(
        [python, script, str(n_calls), target],
        # One thread, so that a step takes what it takes whatever else the cores do.
        env={**variables, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=_TIMEOUT_S,
    )
    return cast("list[_Facts]", json.loads(finished.stdout.splitlines()[-1]))


def _sample(facts: list[_Facts], key: str, factor: float) -> Sample:
    return Sample(tuple(cast("float", one[key]) * factor for one in facts))  # type: ignore[literal-required]
