"""A history in which all went well, to be forged into ones in which it did not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from dray.runtime import causes
from dray.runtime.causes import Cause
from dray.runtime.models import Attempt, AuditEntry, Metric, Policy, StreamReceipt, Task
from dray.runtime.states import State
from dray.selftest.history import History, Scene, Story
from dray.selftest.judge_outputs import written
from dray.selftest.liveness import Life
from dray.selftest.nemesis import Card, Fault
from dray.selftest.plans import PLENTY, Plan
from dray.selftest.script import FAILED_CODE
from dray.selftest.sidelog import Fact
from dray.selftest.users import Abort, Orders

DONE, MOVED, FAILED, STOPPED, FOLLOWER = (c * 32 for c in "abcde")
_POLICY = Policy(max_requeues=PLENTY, quarantine_after=0)


def good() -> History:
    """Five tasks: one completed, one lost its worker first, one failed, two were aborted."""
    stories = {
        DONE: _story(DONE, 0, [causes.exited(0)], n_points=8),
        MOVED: _story(MOVED, 1, [causes.worker_lost("gone"), causes.exited(0)]),
        FAILED: _story(FAILED, 2, [causes.exited(FAILED_CODE)] * 2, fails=9, retries=1),
        STOPPED: _story(STOPPED, 3, [causes.aborted("user")]),
        FOLLOWER: _story(FOLLOWER, 4, [causes.aborted("user")], follows=3),
    }
    facts = [fact for story in stories.values() for fact in _facts(story)]
    orders = Orders(
        plans={task_id: story.plan for task_id, story in stories.items()},
        aborts={STOPPED: Abort(STOPPED, 1, 0.0)},
        parents={FOLLOWER: STOPPED},
    )
    lives = [Life(f, f.at, f.at + 0.5, is_alive=False) for f in facts if f.what == "start"]
    faults = [Fault(Card("kill", "agent"), 1.5, pid=7, landed=True)]
    return History(stories, facts, lives, orders, faults, Scene(integrity=[]))


def with_story(history: History, task_id: str, **changes: Any) -> History:
    """The history with something else in the story of one task."""
    story = replace(history.stories[task_id], **changes)
    return replace(history, stories={**history.stories, task_id: story})


def with_task(history: History, task_id: str, **changes: Any) -> History:
    """The history with another answer of the server about one task."""
    task = history.stories[task_id].task
    assert task is not None
    return with_story(history, task_id, task=replace(task, **changes))


def with_attempt(history: History, task_id: str, number: int, /, **changes: Any) -> History:
    """The history with something else in one attempt."""
    attempts = [
        replace(attempt, **changes) if attempt.epoch == number else attempt
        for attempt in history.stories[task_id].attempts
    ]
    return with_story(history, task_id, attempts=attempts)


def with_receipt(history: History, task_id: str, **changes: Any) -> History:
    """The history with something else in the receipt of the first attempt's stdout."""
    receipt = history.stories[task_id].attempts[0].receipt
    forged = {**receipt, "stdout": replace(receipt["stdout"], **changes)}
    return with_attempt(history, task_id, 1, receipt=forged)


def with_facts(history: History, *facts: Fact) -> History:
    """The history with more lines in the side log."""
    return replace(history, facts=[*history.facts, *facts])


def fact(task_id: str, epoch: int, what: str, at: float, **details: Any) -> Fact:
    """One line of the side log."""
    return Fact(what, task_id, epoch, 100 + epoch, at, born="1", details=details)


def step(seq: int, event: str, before: str, after: str, epoch: int = 1) -> AuditEntry:
    """One row of an audit."""
    return AuditEntry(seq, 0.0, "", event, before, after, "test", epoch)


def _story(
    task_id: str,
    index: int,
    ends: list[Cause],
    *,
    n_points: int = 0,
    fails: int = 0,
    retries: int = 0,
    follows: int = -1,
) -> Story:
    policy = replace(_POLICY, retries=retries)
    plan = Plan(
        index, "plain", 7, 0.2, n_points=n_points, fails=fails, follows=follows, policy=policy
    )
    attempts = [_attempt(task_id, plan, n, cause) for n, cause in enumerate(ends, 1)]
    state = State(_next_state(ends[-1], is_last=True))
    task = Task(
        task_id,
        "forged",
        "selftest",
        state=state,
        cause=ends[-1],
        epoch=len(ends),
        policy=policy,
        n_requeues=sum(causes.is_infrastructure(cause) for cause in ends[:-1]),
        n_retries=sum(causes.may_be_retried(cause) for cause in ends[:-1]),
        metrics={"chaos": {"epoch 1": Metric(1.0, 1, 0.0, 1.0, n_points)}},
    )
    console = {
        (a.epoch, stream): written(plan, a.epoch, stream)
        for a in attempts
        for stream in ("stdout", "stderr")
    }
    return Story(plan, task, attempts, _audit(task_id, ends), console)


def _attempt(task_id: str, plan: Plan, epoch: int, cause: Cause) -> Attempt:
    receipt: dict[str, StreamReceipt] = {}
    if not causes.is_infrastructure(cause):
        for stream in ("stdout", "stderr"):
            data = written(plan, epoch, stream)
            digest = hashlib.sha256(data).hexdigest()
            receipt[stream] = StreamReceipt(len(data), digest, len(data), exact=True)
    return Attempt(
        task_id,
        epoch,
        f"agent-{epoch}",
        claimed_at=float(epoch),
        ended_at=epoch + 0.9,
        cause=cause,
        receipt=receipt,
    )


def _audit(task_id: str, ends: list[Cause]) -> list[AuditEntry]:
    rows = [step(1, "create", "draft", "draft"), step(2, "enqueue", "draft", "pending")]
    for epoch, cause in enumerate(ends, 1):
        after = _next_state(cause, is_last=epoch == len(ends))
        seq = 10 * epoch
        rows.append(step(seq, "claim", "pending", "running", epoch))
        if causes.end_event(cause).value == "abort":
            rows.append(step(seq + 1, "stop_requested", "running", "running", epoch))
        words = {"pending": "requeue", "completed": "complete", "failed": "fail"}
        rows.append(step(seq + 2, words.get(after, "abort"), "running", after, epoch))
    return [replace(row, task_id=task_id) for row in rows]


def _next_state(cause: Cause, *, is_last: bool) -> str:
    if not is_last:
        return "pending"
    words = {"complete": "completed", "abort": "aborted"}
    return words.get(causes.end_event(cause).value, "failed")


def _facts(story: Story) -> list[Fact]:
    facts: list[Fact] = []
    for attempt in story.attempts:
        task_id, epoch, at = attempt.task_id, attempt.epoch, float(attempt.epoch)
        cause = attempt.cause
        facts.append(fact(task_id, epoch, "start", at, alive=[], agent=attempt.agent))
        if cause is not None and cause.exit_code is not None:
            n_bytes = {s: len(written(story.plan, epoch, s)) for s in ("stdout", "stderr")}
            facts.append(fact(task_id, epoch, "wrote", at, **n_bytes))
            facts.append(fact(task_id, epoch, "end", at, code=cause.exit_code))
    return facts
