"""The users of the chaos: they enqueue tasks and abort some, whatever happens meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from dray.runtime import ids
from dray.runtime.errors import DrayError, IllegalTransition, ServerUnreachable
from dray.runtime.execution import Execution
from dray.runtime.models import Task
from dray.runtime.snapshots import FileEntry, encode_manifest
from dray.runtime.states import State, is_terminal
from dray.sdk.client import Client
from dray.selftest import script
from dray.selftest.cluster import Place
from dray.selftest.plans import Plan

T = TypeVar("T")

PROJECT = "selftest"
QUEUES = ("default", "second")
#: Who gets no answer for so long gives up; a coordinator that is stopped is one for seconds.
_PATIENCE_S = 90.0
_RETRY_S = 0.3


@dataclass(frozen=True)
class Abort:
    """An abort that was acknowledged: from here on no further attempt may begin.

    Attributes:
        epoch: of the task when the server said yes.
    """

    task_id: str
    epoch: int
    at: float


@dataclass
class Orders:
    """What users asked for and the server acknowledged.

    Attributes:
        plans: by task id, every task that was accepted into a queue.
        aborts: by task id.
        unsure: tasks whose abort was sent and never answered; it may have been done.
        parents: task id → its parent's.
        problems: requests that were answered with something else than expected.
    """

    plans: dict[str, Plan] = field(default_factory=dict[str, Plan])
    aborts: dict[str, Abort] = field(default_factory=dict[str, Abort])
    unsure: set[str] = field(default_factory=set[str])
    parents: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[str] = field(default_factory=list[str])


class Users:
    """One thread that enqueues, one that aborts."""

    def __init__(self, client: Client, place: Place, plans: list[Plan]) -> None:
        self.client, self._place, self._plans = client, place, plans
        self._snapshot = ""
        self._ids = {plan.index: ids.new_id() for plan in plans}
        self._due: list[tuple[float, str]] = []
        self._hurry = threading.Event()
        self._submitted = threading.Event()
        self._threads = [
            threading.Thread(target=self._submit_all, name="submit", daemon=True),
            threading.Thread(target=self._abort_all, name="abort", daemon=True),
        ]
        self.orders = Orders()

    def prepare(self) -> None:
        """Send the code, and have one task make the environment and show that all works."""
        self.client.create_queue(QUEUES[1])
        data = (self._script()).encode()
        file = FileEntry("main.py", self.client.put_blob(data), len(data))
        self._snapshot = self.client.put_blob(encode_manifest([file]))
        plan = Plan(-1, "first", seed=1, work_s=0.0)
        self._ids[-1] = ids.new_id()
        self._submit(plan)
        first = self.client.wait(self._ids[-1], timeout=_PATIENCE_S)
        if first.state is not State.COMPLETED:
            raise DrayError(
                f"before any fault a first task is {first.state}: "
                f"{first.cause.message if first.cause else 'no cause'}"
            )

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Enqueue what is left without pauses, and wait until all is asked for."""
        self._hurry.set()
        for thread in self._threads:
            thread.join()

    @staticmethod
    def _script() -> str:
        with open(script.__file__, encoding="utf-8") as file:
            return file.read()

    def _submit_all(self) -> None:
        try:
            for plan in self._plans:
                self._hurry.wait(plan.pause_s)
                try:
                    self._submit(plan)
                except DrayError as exc:
                    self.orders.problems.append(f"enqueueing task {plan.index}: {exc.message}")
        finally:
            self._submitted.set()

    def _submit(self, plan: Plan) -> None:
        task_id = self._ids[plan.index]
        parent_id = self._ids.get(plan.follows, "") if plan.follows >= 0 else ""
        arguments = [str(self._place.side_log), json.dumps(plan.for_script())]
        self._insist(
            lambda: self.client.create_task(
                PROJECT,
                f"{plan.kind} {plan.index}",
                idempotency_key=task_id,
                id=task_id,
                parent_id=parent_id,
                policy=plan.policy,
                execution=Execution(
                    entry_point="main.py", snapshot=self._snapshot, arguments=arguments
                ),
            )
        )
        self._enqueue(task_id, QUEUES[plan.index % len(QUEUES)])
        if parent_id:
            self.orders.parents[task_id] = parent_id
        self.orders.plans[task_id] = plan
        if plan.abort_after_s is not None:
            self._due.append((time.monotonic() + plan.abort_after_s, task_id))

    def _enqueue(self, task_id: str, queue: str) -> None:
        """Put it in a queue; who got no answer looks before asking again."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.client.enqueue(task_id, queue)
                return
            except (ServerUnreachable, IllegalTransition):
                if self._insist(lambda: self.client.get_task(task_id)).state is not State.DRAFT:
                    return
                if time.monotonic() > deadline:
                    raise

    def _abort_all(self) -> None:
        while not self._submitted.is_set() or self._due:
            now = time.monotonic()
            for each in [d for d in self._due if d[0] <= now or self._hurry.is_set()]:
                self._due.remove(each)
                try:
                    self._abort(each[1])
                except DrayError as exc:
                    self.orders.problems.append(f"aborting {each[1][:8]}: {exc.message}")
            time.sleep(0.05)

    def _abort(self, task_id: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                task = self.client.abort(task_id, reason="the chaos wants it")
                break
            except IllegalTransition:
                return  # it had come to its end before
            except ServerUnreachable:
                self.orders.unsure.add(task_id)
                task = self._insist(lambda: self.client.get_task(task_id))
                if is_terminal(task.state):
                    return
                if time.monotonic() > deadline:
                    raise
        self.orders.aborts[task_id] = Abort(task_id, task.epoch, time.monotonic())

    def _insist(self, call: Callable[[], T]) -> T:
        """What a harmless request is answered, however often it has to be asked."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return call()
            except ServerUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)


def unfinished(client: Client, orders: Orders) -> list[Task]:
    """The accepted tasks that have not come to an end."""
    return [
        task
        for task in client.iter_tasks(
            project=PROJECT, state=[State.DRAFT, State.PENDING, State.RUNNING]
        )
        if task.id in orders.plans
    ]
