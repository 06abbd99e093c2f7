"""What must be true of outputs: consoles byte for byte, receipts, points exactly once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from dray.runtime.causes import CauseKind
from dray.runtime.models import Attempt, StreamReceipt
from dray.runtime.states import State
from dray.selftest.history import History, Story
from dray.selftest.plans import Plan
from dray.selftest.script import STREAMS, line

#: Of so many gaps a receipt names each.
_MAX_NAMED_GAPS = 100
#: Ends of which the agent itself told, so that nothing the process wrote may be missing.
_TOLD = (CauseKind.EXIT_CODE, CauseKind.SIGNAL, CauseKind.TIME_LIMIT)


def written(plan: Plan, epoch: int, stream: str) -> bytes:
    """Everything an attempt writes to a stream if nothing ends it."""
    n_lines = plan.stdout if stream == "stdout" else plan.stderr
    return b"".join(line(plan.seed, epoch, stream, number) for number in range(n_lines))


def console_differs(history: History) -> Iterator[str]:
    """Streams whose stored bytes are not those that were written, as far as they go."""
    for name, story, attempt, stream in _streams(history):
        whole = written(story.plan, attempt.epoch, stream)
        stored = story.console.get((attempt.epoch, stream), b"")
        receipt = attempt.receipt.get(stream)
        if receipt is not None:
            expected = _without_gaps(whole[: receipt.n_bytes], receipt)
            if not receipt.exact:
                yield f"{name} {stream}: the receipt itself says that it is not exact"
            elif expected is not None and stored != expected:
                yield f"{name} {stream}: {_difference(stored, expected)}"
        elif not whole.startswith(stored):
            yield f"{name} {stream}: {_difference(stored, whole)}"


def receipt_differs(history: History) -> Iterator[str]:
    """Receipts that do not say what the process wrote, and ends that have none."""
    for name, story, attempt, stream in _streams(history):
        facts = history.of_attempt(name.task_id, attempt.epoch, "wrote")
        n_sure = max((fact.details[stream] for fact in facts), default=0)
        receipt = attempt.receipt.get(stream)
        if receipt is not None:
            whole = written(story.plan, attempt.epoch, stream)
            stored = story.console.get((attempt.epoch, stream), b"")
            for breach in _untrue(receipt, whole, stored, n_sure):
                yield f"{name} {stream}: {breach}"
        elif n_sure and attempt.cause is not None and attempt.cause.kind in _TOLD:
            yield f"{name} {stream}: it ended by {attempt.cause.kind} and has no receipt"


def _untrue(receipt: StreamReceipt, whole: bytes, stored: bytes, n_sure: int) -> Iterator[str]:
    """What a receipt says and what is not so."""
    n_bytes = receipt.n_bytes
    if n_bytes < n_sure:
        yield f"the receipt says {n_bytes} bytes, {n_sure} were written"
    if n_bytes > len(whole):
        yield f"the receipt says {n_bytes} bytes, at most {len(whole)} were written"
    elif receipt.sha256 != hashlib.sha256(whole[:n_bytes]).hexdigest():
        yield "the receipt's sha256 is not that of what was written"
    if receipt.stored_bytes != len(stored):
        yield f"the receipt says {receipt.stored_bytes} bytes are stored, {len(stored)} are"
    if n_bytes - receipt.missing_bytes != receipt.stored_bytes:
        yield (
            f"of {n_bytes} bytes {receipt.stored_bytes} are stored "
            f"and {receipt.missing_bytes} are said to be missing"
        )


def points_differ(history: History) -> Iterator[str]:
    """Tasks that completed and of whose points one is missing or was counted twice."""
    for name, story, n_points in _reporting(history):
        if n_points != story.plan.n_points:
            yield f"{name} reported {story.plan.n_points} points, {n_points} are stored"


def n_reporting(history: History) -> int:
    """How many completed attempts reported points."""
    return sum(1 for _ in _reporting(history))


def _reporting(history: History) -> Iterator[tuple[str, Story, int]]:
    for task_id, story in history.stories.items():
        task = story.task
        if task is not None and task.state is State.COMPLETED and story.plan.n_points:
            metric = task.metrics.get("chaos", {}).get(f"epoch {task.epoch}")
            yield f"{task_id[:8]}.{task.epoch}", story, metric.n_points if metric else 0


class _Name(NamedTuple):
    """An attempt, for people."""

    task_id: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.task_id[:8]}.{self.epoch}"


def _streams(history: History) -> Iterator[tuple[_Name, Story, Attempt, str]]:
    for task_id, story in history.stories.items():
        for attempt in story.attempts:
            if not history.of_attempt(task_id, attempt.epoch, "start"):
                continue  # a signal may have ended the interpreter before the script began
            for stream in STREAMS:
                yield _Name(task_id, attempt.epoch), story, attempt, stream


def _without_gaps(data: bytes, receipt: StreamReceipt) -> bytes | None:
    """What must be stored; None where the receipt could not name every gap."""
    if len(receipt.gaps) >= _MAX_NAMED_GAPS:
        return None
    kept, place = b"", 0
    for gap in receipt.gaps:
        kept += data[place : gap.offset]
        place = gap.offset + gap.n_bytes
    return kept + data[place:]


def _difference(stored: bytes, expected: bytes) -> str:
    """Where two streams part, for people."""
    same = next(
        (i for i, (a, b) in enumerate(zip(stored, expected, strict=False)) if a != b),
        min(len(stored), len(expected)),
    )
    return (
        f"{len(stored)} bytes are stored, {len(expected)} were written, they part at byte {same}: "
        f"{stored[same : same + 40]!r} is stored, {expected[same : same + 40]!r} was written"
    )
