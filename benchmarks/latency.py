"""From an enqueue to the first line of user code, on a warm agent with a warm environment."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from benchmarks.cluster import QUEUE, Cluster
from benchmarks.measure import Reading, Sample, in_turns, in_words, ratio
from benchmarks.stand import Stand
from benchmarks.starts import child_environment, start_to_first_line

N_ROUNDS = 40
#: The machine does nothing for so long before a start, or it would measure the round before.
_CALM_S = 0.1
_FIRST_LINE = "import time\nprint(time.time_ns(), flush=True)\n"


@dataclass
class _Steps:
    """How long each step of the way took, in milliseconds."""

    by_name: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, **milliseconds: float) -> None:
        for name, value in milliseconds.items():
            self.by_name.setdefault(name, []).append(value)

    def __str__(self) -> str:
        medians = (
            f"{name.replace('_', ' ')} {in_words(Sample(tuple(values)).median)} ms"
            for name, values in self.by_name.items()
        )
        return ", ".join(medians)


def measure(stand: Stand) -> list[Reading]:
    """Bare starts, tasks, and tasks whose console is followed, in turns."""
    cluster = stand.cluster
    snapshot = cluster.snapshot(_FIRST_LINE)
    warm = cluster.warm_up(snapshot, 1)
    bare_argv = [str(cluster.python_of(warm)), str(stand.script("first.py", _FIRST_LINE))]
    env = child_environment()
    steps = _Steps()

    def bare() -> float:
        time.sleep(_CALM_S)
        return start_to_first_line(bare_argv, env)

    bares, firsts, seen = in_turns(
        N_ROUNDS,
        bare,
        lambda: _first_line(cluster, snapshot, steps),
        lambda: _first_sight(cluster, snapshot),
        n_warm_ups=3,
    )
    against = f"bare start {in_words(bares.median)} ms"
    return [
        Reading("enqueue-to-first-line", firsts, against, ratio(firsts, bares), note=str(steps)),
        Reading("enqueue-to-first-line-visible", seen, against, ratio(seen, bares)),
    ]


def _first_line(cluster: Cluster, snapshot: str, steps: _Steps) -> float:
    """Milliseconds until the task's own clock, in its first line."""
    task = cluster.draft(snapshot)
    time.sleep(_CALM_S)
    began = time.time_ns()
    cluster.client.enqueue(task.id, QUEUE)
    answered = time.time_ns()
    ended = cluster.completed(task.id)
    pieces = cluster.client.console(task.id, stream="stdout").pieces
    line = int("".join(piece.text for piece in pieces))
    assert ended.attempt is not None
    assert ended.enqueued_at is not None
    enqueued, claimed = ended.enqueued_at * 1e3, ended.attempt.claimed_at * 1e3
    steps.add(
        committed=enqueued - began / 1e6,
        answered=(answered - began) / 1e6,
        committed_to_claimed=claimed - enqueued,
        claimed_to_first_line=line / 1e6 - claimed,
        first_line_to_end=(ended.ended_at or 0) * 1e3 - line / 1e6,
    )
    return (line - began) / 1e6


def _first_sight(cluster: Cluster, snapshot: str) -> float:
    """Milliseconds until a client that follows the console has the first line."""
    task = cluster.draft(snapshot)
    seen_at: list[int] = []

    def follow() -> None:
        for piece in cluster.client.follow_console(task.id):
            if piece.stream == "stdout":
                seen_at.append(time.time_ns())
                return

    follower = threading.Thread(target=follow)
    follower.start()
    time.sleep(_CALM_S)
    began = time.time_ns()
    cluster.client.enqueue(task.id, QUEUE)
    follower.join()
    cluster.completed(task.id)
    return (seen_at[0] - began) / 1e6
