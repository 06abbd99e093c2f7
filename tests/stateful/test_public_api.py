"""Any user, any order, any repetition: the server and the reference model never part.

``DRAY_STATEFUL_EXAMPLES=500 pytest tests/stateful`` tries more. A failure prints the shortest
story that leads to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dray.runtime import records
from dray.runtime.machine import LoseContact, ProveDead
from dray.runtime.records import Chunk, Frame
from dray.runtime.store import By, ClaimRequest
from dray.runtime.store.fencing import REFUSED as AUDITED_REFUSAL
from tests.stateful.reference import OK, Reference
from tests.stateful.server import Server

SCHEDULER = By("scheduler")
IDS = [f"{n:032x}" for n in range(1, 6)]
QUEUES = ("gpu", "cpu")
#: A failure is shortened for minutes, so only by whoever looks into it.
PHASES = [Phase.explicit, Phase.generate]
if os.environ.get("DRAY_STATEFUL_SHORTEN") == "1":
    PHASES.append(Phase.shrink)
N_EXAMPLES = int(os.environ.get("DRAY_STATEFUL_EXAMPLES", "25"))

an_id = st.sampled_from(IDS)
a_queue = st.sampled_from(QUEUES)
a_priority = st.none() | st.integers(-1, 1)
an_agent = st.sampled_from(["agent-1", "agent-2", "agent-3"])
a_policy = st.fixed_dictionaries(
    {
        "on_lost": st.sampled_from(["requeue", "wait"]),
        "max_requeues": st.integers(0, 2),
        "quarantine_after": st.sampled_from([0, 2]),
        "retries": st.integers(0, 2),
        "retry_delay_s": st.sampled_from([0.0, 5.0]),
    }
)
an_end = st.sampled_from(
    [
        ("exit_code", 0),
        ("exit_code", 1),
        ("signal", 9),
        ("out_of_memory", 0),
        ("time_limit", 0),
        ("environment_failed", 0),
        ("worker_lost", 0),
        ("preempted", 0),
        ("aborted", 0),
    ]
)


class AnyUser(RuleBasedStateMachine):
    """Every request the API takes, good and bad, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.model = Reference()
        self.touched: set[str] = set()
        for queue in QUEUES:
            self.agree(self.model.make_queue(queue), "POST", "/queues", {"name": queue})

    def teardown(self) -> None:
        try:
            self.restart()
            self.nothing_parted()
        finally:
            self.server.remove()

    def agree(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Ask the server, which must answer what the model answered."""
        answer = self.server.ask(method, path, body, **more)
        assert answer.status_code == status, f"model {status}, server {answer.text}"
        return answer

    def on_task(self, id: str, status: int, action: str, body: Any = None, **more: Any) -> Any:
        self.touched.add(id)
        return self.agree(status, "POST", f"/tasks/{id}/{action}", body, **more)

    def expiry(self) -> float:
        return self.server.clock.now() + self.server.lease_ttl_s

    # Tasks and queues come and go.

    @rule(id=an_id, parent=st.none() | an_id, priority=st.integers(-1, 1), policy=a_policy)
    def create(self, id: str, parent: str | None, priority: int, policy: dict[str, Any]) -> None:
        body = {"id": id, "name": "t", "project": "p", "priority": priority, "policy": policy}
        parent_id = "" if parent == id else parent or ""
        status = self.model.create(id, parent_id, priority, policy)
        self.touched.add(id)
        self.agree(status, "POST", "/tasks", {**body, "parent_id": parent_id})

    @rule(source=an_id, id=an_id, parent=st.none() | an_id)
    def clone(self, source: str, id: str, parent: str | None) -> None:
        parent = None if parent == id else parent
        status = self.model.clone(source, id, parent)
        body = {"id": id} if parent is None else {"id": id, "parent_id": parent}
        self.touched.add(id)
        self.agree(status, "POST", f"/tasks/{source}/clone", body)

    @rule(id=an_id, comment=st.sampled_from(["", "a", "b"]), priority=a_priority)
    def edit(self, id: str, comment: str, priority: int | None) -> None:
        status = self.model.edit(id, comment, priority)
        body = {"comment": comment, **({} if priority is None else {"priority": priority})}
        self.touched.add(id)
        self.agree(status, "PATCH", f"/tasks/{id}", body)

    @rule(id=an_id, force=st.booleans())
    def delete(self, id: str, force: bool) -> None:
        status = self.model.delete(id, force)
        self.agree(status, "DELETE", f"/tasks/{id}", params={"force": force})

    @rule(name=a_queue)
    def make_queue(self, name: str) -> None:
        self.agree(self.model.make_queue(name), "POST", "/queues", {"name": name})

    @rule(name=a_queue, force=st.booleans())
    def delete_queue(self, name: str, force: bool) -> None:
        self.touched |= set(self.model.queues.get(name, ()))
        status = self.model.delete_queue(name, force)
        self.agree(status, "DELETE", f"/queues/{name}", params={"force": force})

    # Steps of a life; every one may come when it makes no sense, and twice.

    @rule(id=an_id, queue=a_queue, priority=a_priority)
    def enqueue(self, id: str, queue: str, priority: int | None) -> None:
        status = self.model.enqueue(id, queue, priority)
        self.on_task(id, status, "enqueue", {"queue": queue, "priority": priority})

    @rule(id=an_id)
    def dequeue(self, id: str) -> None:
        self.on_task(id, self.model.dequeue(id), "dequeue")

    @rule(id=an_id)
    def abort(self, id: str) -> None:
        self.touched |= set(self.model.tasks)
        self.on_task(id, self.model.abort(id), "abort", {})

    @rule(id=an_id)
    def reset(self, id: str) -> None:
        self.on_task(id, self.model.reset(id), "reset")

    @rule(id=an_id)
    def publish(self, id: str) -> None:
        self.on_task(id, self.model.publish(id), "publish")

    @rule(id=an_id, outcome=st.sampled_from(["completed", "failed", "aborted"]))
    def mark(self, id: str, outcome: str) -> None:
        self.on_task(id, self.model.mark(id, outcome), "mark", {"outcome": outcome})

    # Attempts.

    @rule(id=an_id, agent=an_agent, claim=st.sampled_from(["c1", "c2"]), n=st.integers(1, 2))
    def claim(self, id: str, agent: str, claim: str, n: int) -> None:
        request = ClaimRequest(id, agent, "node", claim, self.server.lease_ttl_s)
        for _ in range(n):
            epoch = self.model.claim(id, agent, claim, self.expiry())
            (given,) = self.server.run(self.server.store.attempts.claim([request], SCHEDULER))
            assert (given.epoch if given else None) == epoch
        self.touched.add(id)

    @precondition(lambda self: any(self.model.queues.values()))
    @rule(queue=a_queue, agent=an_agent)
    def claim_the_first(self, queue: str, agent: str) -> None:
        line = self.model.line(queue) if queue in self.model.queues else []
        for id in line[:1]:
            self.claim(id, agent, f"of-{agent}", 1)

    @rule(id=an_id, claim=st.sampled_from(["l1", "l2"]))
    def start_by_hand(self, id: str, claim: str) -> None:
        status = self.model.start(id, claim, self.expiry())
        self.on_task(id, status, "start", {"agent": "local:laptop", "claim_id": claim})

    @rule(
        id=an_id,
        ago=st.integers(0, 2),
        shift=st.integers(-3, 1),
        data=st.binary(max_size=5),
        executing=st.booleans(),
    )
    def send_console(self, id: str, ago: int, shift: int, data: bytes, executing: bool) -> None:
        """From where the server stopped, from before (sent again), or after a hole."""
        epoch = self.epoch_of(id, ago)
        stored = self.model.tasks[id]["console"].get(epoch, b"") if id in self.model.tasks else b""
        offset = max(0, len(stored) + shift)
        again = stored[offset:]  # a process writes a byte once: what is repeated is the same
        data = again + data
        status = self.model.frame(id, epoch, offset, data, executing, self.expiry())
        frame = Frame([Chunk("stdout", offset, data)], executing=executing)
        self.on_attempt(id, epoch, status, frame)

    @rule(id=an_id, ago=st.integers(0, 1), end=an_end, n=st.integers(1, 2))
    def finish(self, id: str, ago: int, end: tuple[str, int], n: int) -> None:
        epoch = self.epoch_of(id, ago)
        kind, code = end
        cause: dict[str, Any] = {"kind": kind, "message": "over"}
        cause |= {"exit_code": code} if kind == "exit_code" else {}
        for _ in range(n):
            status = self.model.finish(id, epoch, kind, code, self.server.clock.now())
            self.on_attempt(id, epoch, status, Frame(finish={"cause": cause}))

    @rule(id=an_id, ago=st.integers(0, 1))
    def renew(self, id: str, ago: int) -> None:
        epoch = self.epoch_of(id, ago)
        status = self.model.renew(id, epoch, self.expiry())
        path = f"attempts/{epoch}/renew"
        self.on_task(id, status, path, {}, speaks_for=(id, epoch))

    @rule(id=an_id, ago=st.integers(0, 1), queue=a_queue)
    def hand_over(self, id: str, ago: int, queue: str) -> None:
        epoch = self.epoch_of(id, ago)
        status = self.model.hand_over(id, epoch, queue)
        body = {"epoch": epoch, "queue": queue}
        self.on_task(id, status, "hand-over", body, speaks_for=(id, epoch))

    @rule(seconds=st.sampled_from([1.0, 12.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.server.clock.pass_s(seconds)

    @precondition(lambda self: self.silent())
    @rule(n=st.integers(0, 9), twice=st.booleans())
    def lose_contact(self, n: int, twice: bool) -> None:
        """Only a lease that has run out ends."""
        id = self.silent()[n % len(self.silent())]
        for _ in range(1 + twice):
            self.model.lose_contact(id)
            self.apply(id, LoseContact(self.model.tasks[id]["epoch"]))

    @precondition(lambda self: self.running())
    @rule(n=st.integers(0, 9), died=st.booleans())
    def prove_dead(self, n: int, died: bool) -> None:
        id = self.running()[n % len(self.running())]
        epoch = self.model.tasks[id]["epoch"]
        self.model.prove_dead(id, died)
        self.apply(id, ProveDead(epoch, "its node is gone", agent_died=died))

    # What must be refused.

    @precondition(lambda self: self.superseded())
    @rule(n=st.integers(0, 99), what=st.integers(0, 4))
    def write_too_late(self, n: int, what: int) -> None:
        """Whatever an attempt that is over asks for, it is told so and nothing happens."""
        id, epoch = self.superseded()[n % len(self.superseded())]
        asks: list[tuple[str, str, Any]] = [
            ("PATCH", f"/tasks/{id}", {"comment": "late"}),
            ("POST", f"/tasks/{id}/mark", {"outcome": "completed"}),
            ("POST", f"/tasks/{id}/abort", {}),
            ("POST", "/tasks", {"name": "late", "project": "p"}),
            ("DELETE", f"/tasks/{id}?force=true", None),
        ]
        answer = self.agree(409, *asks[what], speaks_for=(id, epoch))
        assert answer.json()["code"] == "stale_epoch"
        self.model.refused += 1
        self.touched.add(id)

    @precondition(lambda self: self.running() and len(self.model.tasks) > 1)
    @rule(n=st.integers(0, 9), m=st.integers(0, 9), action=st.sampled_from(["abort", "reset"]))
    def write_to_a_foreign_task(self, n: int, m: int, action: str) -> None:
        own = self.running()[n % len(self.running())]
        # A task may write to those it is the parent of.
        tasks = self.model.tasks.items()
        others = [id for id, task in tasks if id != own and task["parent"] != own]
        token = (own, self.model.tasks[own]["epoch"])
        for id in others[m % len(others) :][:1] if others else []:
            self.on_task(id, 403, action, speaks_for=token)

    # Durability.

    @rule()
    def restart(self) -> None:
        self.server.stop()
        self.server.start()
        self.model.refused = 0
        for task in self.model.tasks.values():
            if task["state"] == "running" and task["phase"] != "unreachable":
                task["expires_at"] = self.expiry()
        self.touched |= set(self.model.tasks)

    @invariant()
    def nothing_parted(self) -> None:
        listed = self.agree(OK, "GET", "/tasks", params={"limit": 100}).json()["items"]
        seen = {task["id"]: _seen(task) for task in listed}
        assert seen == {id: _expected(task) for id, task in self.model.tasks.items()}
        store, run = self.server.store, self.server.run
        queues = [queue.name for queue in run(store.queues.list())]
        assert queues == sorted(self.model.queues)
        for queue in queues:
            line = run(store.queues.pending(queue, 100))
            assert [entry.task_id for entry in line] == self.model.line(queue)
        assert store.fencing.n_refused == self.model.refused
        for id in self.touched & set(self.model.tasks):
            self.check_story(id)
            self.check_outputs(id)
        self.touched.clear()

    def check_story(self, id: str) -> None:
        """The audit is a chain from a draft to where the task is, and its epochs only grow."""
        story = self.server.run(self.server.store.audit.list(id, limit=500)).items
        made = max(n for n, entry in enumerate(story) if entry.event == "create")
        state, epoch = "draft", 0
        for entry in story[made:]:
            assert (entry.from_state, entry.epoch >= epoch) == (state, True), story
            state, epoch = entry.to_state, entry.epoch
            assert entry.from_state == state or entry.event != AUDITED_REFUSAL
        assert (state, epoch) == (self.model.tasks[id]["state"], self.model.tasks[id]["epoch"])

    def check_outputs(self, id: str) -> None:
        """Console bytes are exactly what was sent; only the open attempt has no end."""
        task = self.model.tasks[id]
        for epoch, data in task["console"].items():
            raw = self.server.ask("GET", f"/tasks/{id}/console/raw", params={"epoch": epoch})
            assert (raw.content if raw.status_code == OK else b"") == data
        attempts = self.server.run(self.server.store.attempts.list(id))
        open_epochs = [attempt.epoch for attempt in attempts if attempt.ended_at is None]
        assert open_epochs == ([task["epoch"]] if task["state"] == "running" else [])

    # Helpers.

    def apply(self, id: str, command: Any) -> None:
        self.touched.add(id)
        self.server.run(self.server.store.tasks.apply(id, command, SCHEDULER))

    def on_attempt(self, id: str, epoch: int, status: int, frame: Frame) -> None:
        body, path = records.encode_frame(frame), f"attempts/{epoch}/frames"
        self.on_task(id, status, path, body, speaks_for=(id, epoch))

    def epoch_of(self, id: str, ago: int) -> int:
        task = self.model.tasks.get(id)
        return max(1, task["epoch"] - ago) if task else 1

    def picked(self, holds: Callable[[dict[str, Any]], bool]) -> list[str]:
        return [id for id, task in self.model.tasks.items() if holds(task)]

    def running(self) -> list[str]:
        return self.picked(lambda task: task["state"] == "running")

    def silent(self) -> list[str]:
        now = self.server.clock.now()
        return self.picked(lambda task: (task["expires_at"] or now) < now)

    def superseded(self) -> list[tuple[str, int]]:
        return [
            (id, epoch)
            for id, task in self.model.tasks.items()
            for epoch in range(1, task["epoch"] + 1)
            if not self.model.is_open(id, epoch)
        ]


def _seen(task: dict[str, Any]) -> dict[str, Any]:
    cause, attempt = task["cause"], task["attempt"] or {}
    outcome = {"complete": "completed", "fail": "failed", "abort": "aborted"}
    kind = cause and cause["kind"]
    names = ("state", "phase", "epoch", "queue", "priority", "comment", "n_requeues", "n_retries")
    return {
        **{name: task[name] for name in (*names, "not_before")},
        "parent": task["parent_id"],
        "cause": f"marked {outcome[cause['outcome']]}" if kind == "marked" else kind,
        "expires_at": attempt.get("lease_expires_at"),
        "unreachable_since": attempt.get("unreachable_since"),
    }


def _expected(task: dict[str, Any]) -> dict[str, Any]:
    names = ("state", "phase", "epoch", "queue", "priority", "comment", "n_requeues", "n_retries")
    more = ("not_before", "parent", "cause", "expires_at")
    is_unreachable = task["phase"] == "unreachable"
    return {
        **{name: task[name] for name in (*names, *more)},
        "unreachable_since": task["expires_at"] if is_unreachable else None,
    }


TestAnyUser = pytest.mark.timeout(3600)(AnyUser.TestCase)  # a failure is shortened for long
TestAnyUser.settings = settings(
    max_examples=N_EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
