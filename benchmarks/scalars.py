"""What a report costs a training loop, beside the same line written by hand."""

from __future__ import annotations

import json
import subprocess
from typing import TypedDict, cast

from benchmarks.children import attached
from benchmarks.measure import Reading, Sample, in_words, ratio
from benchmarks.stand import Stand

N_ROUNDS = 7
N_CALLS = 20_000
#: Runs in a child, on what a child has. The two take turns within one loop, and turns at being
#: first; the clock is read around each call.
_LOOP = """\
import json, os, sys, time
from time import perf_counter_ns as now
from dray import Task

n_calls, path = int(sys.argv[1]), sys.argv[2]
logger = Task.init(project_name="bench", task_name="scalars").get_logger()
report = logger.report_scalar
file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

def by_hand(title, series, value, iteration):
    line = {"k": "scalar", "title": title, "series": series, "i": iteration, "v": value,
            "t": time.time()}
    os.write(file, (json.dumps(line) + "\\n").encode())

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

def facts(values):
    values.sort()
    return {"median": values[len(values) // 2], "late": values[int(len(values) * .9999)],
            "worst": values[-1]}

print(json.dumps([facts(ours + more_ours), facts(theirs + more_theirs)]))
"""


class _Facts(TypedDict):
    median: float
    late: float
    worst: float


def measure(stand: Stand) -> list[Reading]:
    """Loops in processes of their own."""
    pairs = [_round(stand) for _ in range(N_ROUNDS)]
    ours, by_hand = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    median = _sample(ours, "median", 1e-3)
    base = _sample(by_hand, "median", 1e-3)
    worst, worst_base = _sample(ours, "worst", 1e-6), _sample(by_hand, "worst", 1e-6)
    best = Sample((min(worst.values),))
    late = _sample(ours, "late", 1e-6).median
    return [
        Reading(
            "report-scalar", median, f"by hand {in_words(base.median)} µs", ratio(median, base)
        ),
        Reading(
            "report-scalar-worst",
            best,
            f"by hand {in_words(min(worst_base.values))} ms",
            best.median / min(worst_base.values),
            note=(
                f"worst call of the best of {N_ROUNDS} rounds, the others lose the core to another "
                f"process for a while; worst of the median round {in_words(worst.median)} ms, by "
                f"hand {in_words(worst_base.median)} ms; 99.99 % take under {in_words(late)} ms"
            ),
        ),
    ]


def _round(stand: Stand) -> tuple[_Facts, _Facts]:
    script, variables = stand.script("scalars.py", _LOOP), attached(stand)
    target = stand.folder / "by-hand.jsonl"
    target.unlink(missing_ok=True)
    finished = subprocess.run(
        [stand.environment.python, script, str(N_CALLS), target],
        env=variables,
        stdout=subprocess.PIPE,
        check=True,
    )
    return cast("tuple[_Facts, _Facts]", tuple(json.loads(finished.stdout)))


def _sample(facts: list[_Facts], key: str, factor: float) -> Sample:
    return Sample(tuple(cast("float", one[key]) * factor for one in facts))  # type: ignore[literal-required]
