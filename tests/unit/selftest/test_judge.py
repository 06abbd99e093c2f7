"""The judge: what is well is held, and every promise is broken by a history that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.models import Gap, Metric, OnLost, Policy
from dray.runtime.states import State
from dray.selftest.history import History, Scene
from dray.selftest.judge import MAX_EVIDENCE, PROMISES, Verdict, judge
from dray.selftest.liveness import Life
from dray.selftest.nemesis import Card, Fault
from dray.selftest.users import Abort
from tests.unit.selftest.forged import (
    DONE,
    FAILED,
    FOLLOWER,
    MOVED,
    STOPPED,
    fact,
    good,
    step,
    with_attempt,
    with_facts,
    with_receipt,
    with_story,
    with_task,
)

Forge = Callable[[History], History]


def broken(history: History) -> dict[str, Verdict]:
    return {verdict.key: verdict for verdict in judge(history) if verdict.held is False}


def test_a_good_history_keeps_every_promise() -> None:
    assert {verdict.key: verdict.held for verdict in judge(good())} == dict.fromkeys(
        (promise.key for promise in PROMISES), True
    )


def test_an_empty_history_shows_nothing() -> None:
    assert {verdict.held for verdict in judge(History())} == {None}


def scene(**changes: list[str]) -> Forge:
    return lambda h: replace(h, scene=replace(Scene(integrity=[]), **changes))


def killed_by(signal: int) -> Forge:
    return lambda h: with_task(h, DONE, state=State.FAILED, cause=causes.killed(signal))


def failed_by(task_id: str, cause: Cause) -> Forge:
    return lambda h: with_task(h, task_id, state=State.FAILED, cause=cause)


def audited(task_id: str, *rows: tuple[str, str, str]) -> Forge:
    """More rows at the end of a task's audit."""

    def forge(history: History) -> History:
        more = [step(90 + n, *row) for n, row in enumerate(rows)]
        return with_story(history, task_id, audit=[*history.stories[task_id].audit, *more])

    return forge


def stored(data: Callable[[bytes], bytes], task_id: str = DONE) -> Forge:
    """Other bytes in the stored console of a task's first attempt."""

    def forge(history: History) -> History:
        console = history.stories[task_id].console
        changed = {**console, (1, "stdout"): data(console[1, "stdout"])}
        return with_story(history, task_id, console=changed)

    return forge


def seen_alive(history: History) -> History:
    """A process of the first attempt that was there after the second had begun."""
    late = Life(fact(MOVED, 1, "descendant", 1.2), 1.2, 2.4)
    return replace(history, lives=[*history.lives, late])


def asked(history: History, problem: str) -> History:
    return replace(history, orders=replace(history.orders, problems=[problem]))


FORGERIES: list[tuple[str, str, Forge]] = [
    ("nothing lost", "still running", lambda h: with_task(h, DONE, state=State.RUNNING)),
    ("nothing lost", "does not know", lambda h: with_story(h, DONE, task=None)),
    ("answers", "refused", lambda h: asked(h, "enqueueing task 1: refused")),
    (
        "nothing doubled",
        "saw process 101",
        lambda h: with_facts(h, fact(MOVED, 3, "start", 5.0, alive=[[1, 101]], agent="agent-3")),
    ),
    ("nothing doubled", "was for 0.40 s more", seen_alive),
    (
        "started once",
        "2 times",
        lambda h: with_facts(h, fact(DONE, 1, "start", 1.1, alive=[], agent="agent-1")),
    ),
    (
        "known",
        "no such attempt",
        lambda h: with_facts(h, fact(DONE, 2, "start", 9.0, alive=[], agent="agent-2")),
    ),
    ("known", "it was on other", lambda h: with_attempt(h, DONE, 1, agent="other")),
    ("leased", "has attempts [2, 2]", lambda h: with_attempt(h, MOVED, 1, epoch=2)),
    (
        "leased",
        "before bbbbbbbb",
        lambda h: with_attempt(h, MOVED, 1, ended_at=5.0),
    ),
    ("leased", "no end", lambda h: with_attempt(h, DONE, 1, ended_at=None)),
    ("leased", "no cause", lambda h: with_attempt(h, DONE, 1, cause=None)),
    ("true causes", "without a cause", lambda h: with_task(h, DONE, cause=None)),
    ("true causes", "the ends [3]", lambda h: with_task(h, FAILED, state=State.COMPLETED)),
    ("true causes", "the ends [0]", failed_by(DONE, causes.exited(3))),
    ("true causes", "that signal", killed_by(9)),
    ("true causes", "that signal", killed_by(15)),
    ("true causes", "no time limit", failed_by(DONE, causes.time_limit(3))),
    ("true causes", "only 0 agents", failed_by(DONE, causes.quarantined((), ""))),
    ("true causes", "it had used 0 of 1000", failed_by(DONE, causes.worker_lost("gone"))),
    (
        "true causes",
        "nothing of the kind",
        failed_by(DONE, Cause(CauseKind.OUT_OF_MEMORY, "too much")),
    ),
    ("true causes", "only 0 of its 1 retries", lambda h: with_task(h, FAILED, n_retries=0)),
    (
        "true causes",
        "nobody asked",
        lambda h: with_task(h, DONE, state=State.ABORTED, cause=causes.aborted("user")),
    ),
    ("final", "left the end completed", audited(DONE, ("reset", "completed", "draft"))),
    ("final", "no legal step", audited(DONE, ("fail", "completed", "failed"))),
    ("final", "and it was completed", audited(DONE, ("claim", "pending", "running"))),
    ("final", "audit ends completed", lambda h: with_task(h, DONE, state=State.FAILED)),
    ("final", "says 2 times", audited(FAILED, ("enqueue", "failed", "pending"))),
    ("budgets", "1 retries for 0 failures", lambda h: with_task(h, MOVED, n_retries=1)),
    ("budgets", "0 requeues for 1 losses", lambda h: with_task(h, MOVED, n_requeues=0)),
    (
        "aborts",
        "attempt 2 began",
        lambda h: replace(
            h, orders=replace(h.orders, aborts={**h.orders.aborts, MOVED: Abort(MOVED, 1, 0.0)})
        ),
    ),
    (
        "aborts",
        "really ran",
        lambda h: with_facts(h, fact(STOPPED, 2, "start", 9.0, alive=[], agent="agent-2")),
    ),
    (
        "aborts",
        "after its parent dddddddd",
        audited(
            FOLLOWER,
            ("requeue", "running", "pending"),
            ("claim", "pending", "running"),
        ),
    ),
    ("console", "part at byte 3", stored(lambda data: data[:3] + b"!" + data[4:])),
    ("console", "part at byte 9", stored(lambda data: data[:9])),
    ("console", "are stored", stored(lambda data: data + b"twice", MOVED)),
    ("console", "not exact", lambda h: with_receipt(h, DONE, exact=False)),
    ("receipts", "1 bytes, 3428 were written", lambda h: with_receipt(h, DONE, n_bytes=1)),
    ("receipts", "sha256", lambda h: with_receipt(h, DONE, sha256="0" * 64)),
    ("receipts", "are stored", lambda h: with_receipt(h, DONE, stored_bytes=1)),
    ("receipts", "at most", lambda h: with_receipt(h, DONE, n_bytes=1 << 20)),
    ("receipts", "said to be missing", lambda h: with_receipt(h, DONE, missing_bytes=5)),
    ("receipts", "no receipt", lambda h: with_attempt(h, DONE, 1, receipt={})),
    (
        "points",
        "9 are stored",
        lambda h: with_task(h, DONE, metrics={"chaos": {"epoch 1": Metric(1, 1, 0, 1, 9)}}),
    ),
    ("nothing left", "process 5", scene(alive=["process 5 of attempt 1"])),
    ("nothing left", "agent x", scene(busy=["agent x runs 1"])),
    ("at rest", "1 in queue", scene(waiting=["1 in queue default"])),
    ("at rest", "scheduler", scene(silent=["scheduler: does not answer"])),
    ("integrity", "orphan", scene(integrity=["orphan attempt"])),
]


@pytest.mark.parametrize(
    ("key", "evidence", "forge"), FORGERIES, ids=[f"{key}: {shown}" for key, shown, _ in FORGERIES]
)
def test_a_broken_promise_is_seen_with_its_evidence(key: str, evidence: str, forge: Forge) -> None:
    found = broken(forge(good()))
    assert key in found
    assert evidence in "\n".join(found[key].evidence)


def test_every_promise_has_a_history_that_breaks_it() -> None:
    assert {promise.key for promise in PROMISES} == {key for key, _, _ in FORGERIES}


def test_a_process_that_was_killed_on_purpose_may_end_its_task_so() -> None:
    killed = Fault(Card("kill", "child"), 1.0, pid=101, attempt=(DONE, 1), landed=True)
    history = replace(killed_by(9)(good()), faults=[killed])
    assert "true causes" not in broken(history)


def test_a_task_that_waits_for_its_agent_may_fail_with_it() -> None:
    history = failed_by(DONE, causes.worker_lost("gone"))(good())
    plan = replace(history.stories[DONE].plan, policy=Policy(on_lost=OnLost.WAIT))
    assert "true causes" not in broken(with_story(history, DONE, plan=plan))


def test_a_task_that_was_aborted_while_it_waited_again_paid_for_what_it_lost() -> None:
    story = good().stories[MOVED]
    (lost, _), rows = story.attempts, story.audit[:4]
    aborted = step(99, "abort", "pending", "aborted")
    history = with_story(good(), MOVED, attempts=[lost], audit=[*rows, aborted])
    ended = with_task(history, MOVED, state=State.ABORTED, cause=causes.aborted("user"), epoch=1)
    (verdict,) = (v for v in judge(ended) if v.key == "budgets")
    assert verdict.held, verdict.evidence
    (verdict,) = (v for v in judge(with_task(ended, MOVED, n_requeues=0)) if v.key == "budgets")
    assert not verdict.held


def test_a_stated_gap_is_no_lie() -> None:
    history = stored(lambda data: data[:10] + data[15:])(good())
    receipt = history.stories[DONE].attempts[0].receipt["stdout"]
    history = with_receipt(
        history,
        DONE,
        gaps=[Gap(10, 5)],
        missing_bytes=5,
        stored_bytes=receipt.n_bytes - 5,
    )
    assert not {"console", "receipts"} & set(broken(history))


def test_an_attempt_whose_agent_died_owes_a_prefix() -> None:
    assert "console" not in broken(stored(lambda data: data[:9], MOVED)(good()))


def test_evidence_is_cut_where_it_says_nothing_new() -> None:
    history = good()
    history.orders.problems.extend(["no answer"] * (MAX_EVIDENCE + 5))
    assert broken(history)["answers"].evidence[-1] == "and 5 more"
