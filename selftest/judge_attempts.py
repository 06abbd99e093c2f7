"""What must be true of attempts: one at a time, each once, all known, none after an abort."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from dray.selftest.history import History
from dray.selftest.liveness import Life
from dray.selftest.sidelog import Fact


def overlapping(history: History) -> Iterator[str]:
    """Attempts that began while a process of another attempt of their task was alive.

    Two witnesses: the attempt itself, which looked before it did anything else, and the
    samples of the process table.
    """
    lives: defaultdict[str, list[Life]] = defaultdict(list)
    for life in history.lives:
        lives[life.fact.task_id].append(life)
    for start in _starts(history):
        seen: dict[int, str] = {}
        for epoch, pid in start.details.get("alive", []):
            seen[pid] = f"{start.name} began and saw process {pid} of attempt {epoch} alive"
        for life in lives[start.task_id]:
            is_other = life.fact.epoch != start.epoch
            if is_other and life.first_at <= start.at < life.last_at:
                late_s = life.last_at - start.at
                seen.setdefault(
                    life.fact.pid,
                    f"{start.name} began while process {life.fact.pid} of attempt "
                    f"{life.fact.epoch} was alive, and was for {late_s:.2f} s more",
                )
        yield from seen.values()


def started_twice(history: History) -> Iterator[str]:
    """Attempts of which more than one process says that it is it."""
    for (task_id, epoch), n in Counter(start.key for start in _starts(history)).items():
        if n > 1:
            yield f"{task_id[:8]}.{epoch} was started {n} times"


def unknown(history: History) -> Iterator[str]:
    """Attempts that ran and of which the server knows nothing, or something else."""
    for start in _starts(history):
        story = history.stories.get(start.task_id)
        if story is None:
            continue  # the first task, which shows that all works, is none of the history
        known = {attempt.epoch: attempt for attempt in story.attempts}.get(start.epoch)
        if known is None:
            yield f"{start.name} ran, and the server knows no such attempt"
        elif start.details.get("agent") not in (None, known.agent):
            agent = start.details["agent"]
            yield f"{start.name} ran on {agent}, and the server says it was on {known.agent}"


def disorderly(history: History) -> Iterator[str]:
    """Attempts whose numbers or times do not follow each other, or that never ended."""
    for task_id, story in history.stories.items():
        epochs = [attempt.epoch for attempt in story.attempts]
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"task {task_id[:8]} has attempts {epochs}"
        for earlier, later in zip(story.attempts, story.attempts[1:], strict=False):
            if earlier.ended_at is None or earlier.ended_at > later.claimed_at:
                yield (
                    f"{task_id[:8]}.{later.epoch} was claimed before {task_id[:8]}."
                    f"{earlier.epoch} had ended"
                )
        for attempt in story.attempts:
            if attempt.ended_at is None or attempt.cause is None:
                yield f"{task_id[:8]}.{attempt.epoch} has no end or no cause"


def restarted_after_abort(history: History) -> Iterator[str]:
    """Attempts that began after their task, or its parent, was told to end."""
    for task_id, story in history.stories.items():
        abort = history.orders.aborts.get(task_id)
        if abort is not None:
            for attempt in story.attempts:
                if attempt.epoch > abort.epoch:
                    yield (
                        f"task {task_id[:8]} was aborted at attempt {abort.epoch}, "
                        f"and attempt {attempt.epoch} began"
                    )
            for start in _starts(history):
                if start.task_id == task_id and start.epoch > abort.epoch:
                    yield f"task {task_id[:8]} was aborted, and {start.name} really ran"
        yield from _after_parent(history, task_id)


def _after_parent(history: History, task_id: str) -> Iterator[str]:
    """A stop of the parent is a stop of what then waits or runs, in one step."""
    stop = _stop_of(history, history.orders.parents.get(task_id, ""))
    if stop is None:
        return
    for entry in history.stories[task_id].audit:
        if entry.seq > stop and entry.event == "claim" and _was_there(history, task_id, stop):
            yield (
                f"task {task_id[:8]} was claimed (attempt {entry.epoch}) after its parent "
                f"{history.orders.parents[task_id][:8]} was aborted"
            )


def _stop_of(history: History, parent_id: str) -> int | None:
    """The number of the audit row with which the parent's abort began."""
    story = history.stories.get(parent_id)
    if story is None or parent_id not in history.orders.aborts:
        return None
    stops = [e.seq for e in story.audit if e.event in ("stop_requested", "abort")]
    return min(stops) if stops else None


def _was_there(history: History, task_id: str, seq: int) -> bool:
    """Whether a task waited or ran when the audit was at that row."""
    before = [e for e in history.stories[task_id].audit if e.seq < seq]
    return bool(before) and before[-1].to_state in ("pending", "running")


def _starts(history: History) -> Iterator[Fact]:
    return (fact for fact in history.facts if fact.what == "start")
