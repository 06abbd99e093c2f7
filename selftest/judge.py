"""Judges a history: which promises were kept, and what shows it where one was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dray.selftest import judge_attempts, judge_ends, judge_outputs
from dray.selftest.history import History

#: Evidence beyond this helps nobody to find the cause of a broken promise.
MAX_EVIDENCE = 20


@dataclass(frozen=True)
class Promise:
    """One thing Dray promises, in plain words.

    Attributes:
        key: its short name.
        words: the promise.
        invariants: of docs/invariants.md that it is about, by number.
        breaches: what shows that it was broken, one sentence each.
        n_checked: how many things of the history it says something about.
    """

    key: str
    words: str
    invariants: tuple[int, ...]
    breaches: Callable[[History], Iterator[str]]
    n_checked: Callable[[History], int]


@dataclass(frozen=True)
class Verdict:
    """Whether a promise was kept.

    Attributes:
        held: no evidence against it; None: nothing in this history could have broken it.
        evidence: what shows that it was broken.
    """

    key: str
    words: str
    invariants: tuple[int, ...]
    held: bool | None
    n_checked: int
    evidence: list[str] = field(default_factory=list[str])


def _n_tasks(history: History) -> int:
    return len(history.stories)


def _n_starts(history: History) -> int:
    return sum(fact.what == "start" for fact in history.facts)


def _n_attempts(history: History) -> int:
    return sum(len(story.attempts) for story in history.stories.values())


def _n_aborts(history: History) -> int:
    return len(history.orders.aborts)


def _n_stores(history: History) -> int:
    return int(history.scene.integrity is not None)


def _scene(history: History) -> int:
    return int(bool(history.stories))


PROMISES = (
    Promise(
        "nothing lost",
        "every task that was accepted came to an end",
        (1,),
        judge_ends.lost,
        _n_tasks,
    ),
    Promise(
        "answers",
        "every request of a user was answered in the end",
        (1,),
        judge_ends.unanswered,
        _n_tasks,
    ),
    Promise(
        "nothing doubled",
        "no attempt began while a process of another attempt of its task was alive",
        (2, 3),
        judge_attempts.overlapping,
        _n_starts,
    ),
    Promise(
        "started once",
        "every attempt was started at most once",
        (2,),
        judge_attempts.started_twice,
        _n_starts,
    ),
    Promise(
        "known",
        "the server knows every attempt that ran, and on which agent",
        (1, 2),
        judge_attempts.unknown,
        _n_starts,
    ),
    Promise(
        "leased",
        "attempts of a task follow each other, each with an end and its cause",
        (2, 4),
        judge_attempts.disorderly,
        _n_attempts,
    ),
    Promise(
        "true causes",
        "every end has a typed cause, and it is what really happened",
        (4,),
        judge_ends.untrue,
        _n_tasks,
    ),
    Promise(
        "final",
        "every step was legal and audited, and no end was left again",
        (4,),
        judge_ends.unsettled,
        _n_tasks,
    ),
    Promise(
        "budgets",
        "lost workers used up no retry, and failures no requeue",
        (3, 4),
        judge_ends.overcharged,
        _n_tasks,
    ),
    Promise(
        "aborts",
        "what was aborted never began again, nor did its followers",
        (4,),
        judge_attempts.restarted_after_abort,
        _n_aborts,
    ),
    Promise(
        "console",
        "the stored console is byte for byte what was written, or says which bytes it lacks",
        (5,),
        judge_outputs.console_differs,
        _n_attempts,
    ),
    Promise(
        "receipts",
        "who ended under a living agent has a receipt of every byte it wrote",
        (5,),
        judge_outputs.receipt_differs,
        _n_attempts,
    ),
    Promise(
        "points",
        "every reported point is stored once",
        (6,),
        judge_outputs.points_differ,
        judge_outputs.n_reporting,
    ),
    Promise(
        "nothing left",
        "at the end no process of any attempt is alive and nothing counts as running",
        (2, 3),
        judge_ends.left_over,
        _scene,
    ),
    Promise(
        "at rest",
        "at the end the queues are empty and every coordinator and agent answers",
        (1,),
        judge_ends.restless,
        _scene,
    ),
    Promise(
        "integrity",
        "the store passes its own integrity check",
        (1,),
        judge_ends.corrupt,
        _n_stores,
    ),
)


def judge(history: History) -> list[Verdict]:
    """A verdict on every promise, in the order of the page that makes them."""
    return [_verdict(promise, history) for promise in PROMISES]


def _verdict(promise: Promise, history: History) -> Verdict:
    breaches = list(promise.breaches(history))
    n_checked = promise.n_checked(history)
    held = False if breaches else (True if n_checked else None)
    evidence = breaches[:MAX_EVIDENCE]
    if len(breaches) > MAX_EVIDENCE:
        evidence.append(f"and {len(breaches) - MAX_EVIDENCE} more")
    return Verdict(promise.key, promise.words, promise.invariants, held, n_checked, evidence)
