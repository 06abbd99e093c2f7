"""Builds ahead for tasks that wait: given to the builders of likely nodes, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from dray.actors import handles
from dray.actors.builder import BuilderActor
from dray.actors.handles import ActorOptions, Handle
from dray.actors.insisting import insist
from dray.actors.orders import AheadOrder, AheadReport, Refusal
from dray.runtime import likely
from dray.runtime.clock import Clock
from dray.runtime.config import Settings
from dray.runtime.ids import new_id
from dray.runtime.likely import NodeWork, Wanted
from dray.runtime.models import QueueEntry
from dray.runtime.policy import Decision, View

log = logging.getLogger("dray.scheduler")

#: A task that waits no longer than this is worth no builder.
PATIENCE_S = 1.0
#: Builds that are remembered, those that are done first to go.
REMEMBERED = 1000


@dataclass
class _Build:
    """One content that was given to a node's builder.

    Attributes:
        decided_at: wall time at which its verdict was known: it holds for what was enqueued
            before, not for what somebody enqueued again in spite of it.
    """

    order: AheadOrder
    node_id: str
    handle: Handle | None = None
    report: AheadReport | None = None
    decided_at: float = 0.0


def builder_on(node_id: str, settings: Settings) -> Handle:
    """The builder of a node, made when there is none; blocks until Ray has named it."""
    options = ActorOptions(handles.builder_actor_name(node_id), restarts=False, node_id=node_id)
    return handles.get_or_create(BuilderActor, options, settings)


class Ahead:
    """What is built ahead, and where.

    Everything here is a guess or an answer that a builder gives again: losing it costs a second
    look. ``look`` is called after each plan and never waits.

    Args:
        begin: has its work done beside the caller.
        wake: called when something changed that the next look depends on.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        begin: Callable[[Coroutine[Any, Any, None]], None],
        wake: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._begin = begin
        self._wake = wake
        #: {task id: monotonic time since when it was seen to wait}.
        self._since: dict[str, float] = {}
        #: {task id: what is to be built for it}, while it waits.
        self._orders: dict[str, AheadOrder] = {}
        self._builds: dict[str, _Build] = {}
        self._asked: set[str] = set()
        self._is_waking = False

    def look(self, view: View, decisions: Sequence[Decision]) -> None:
        """See who waits, and give out what may be built meanwhile."""
        if not self._settings.build_ahead:
            return
        now = self._clock.monotonic()
        waiting = likely.waiting(view, decisions)
        self._since = {e.task_id: self._since.get(e.task_id, now) for e in waiting}
        due = [e for e in waiting if now - self._since[e.task_id] >= PATIENCE_S]
        if len(due) < len(waiting) and not self._is_waking:
            self._is_waking = True
            self._begin(self._wake_later())
        unknown = [e.task_id for e in due if e.task_id not in self._asked]
        if unknown:
            self._asked.update(unknown)
            self._begin(self._ask(unknown))
        self._give_out(view, due)

    def withdraw(self, task_ids: Iterable[str]) -> None:
        """Tasks that left their queue otherwise than by a claim: nothing is built for them."""
        for task_id in task_ids:
            self._forget(task_id)

    def claimed(self, task_id: str, node_id: str) -> None:
        """A task has its turn on a node: what is built for it there is awaited from now on."""
        order = self._orders.get(task_id)
        build = self._builds.get(order.content) if order is not None else None
        if build is not None and build.node_id == node_id and build.report is None:
            if build.handle is not None:
                build.handle.wanted.remote(build.order.content)
            self._orders.pop(task_id, None)
            self._asked.discard(task_id)
        else:
            self._forget(task_id)

    def note(self, task_id: str) -> str:
        """What is done for a task that waits, for people; empty: nothing yet."""
        order = self._orders.get(task_id)
        build = self._builds.get(order.content) if order is not None else None
        if build is None:
            return ""
        report = build.report
        if report is None:
            return "its environment is being built ahead"
        if report.environment is None:
            what = "; ".join(report.notes) or "nobody says why"
            where = f" on {report.node}" if report.node else ""
            return f"its environment could not be built ahead{where}: {what}"
        key, where = report.environment.key[:12], report.node
        text = f"its environment {key} is ready on {where}, {report.seconds:.0f} s after it began"
        return "; ".join([text, *(f"note: {note}" for note in report.notes[:3])])

    async def _wake_later(self) -> None:
        await anyio.sleep(PATIENCE_S)
        self._is_waking = False
        self._wake()

    async def _ask(self, task_ids: list[str]) -> None:
        """What is to be built for tasks, from the store."""
        try:
            orders: list[AheadOrder] = await handles.gateway().ahead_orders.remote(task_ids)
        except (handles.CallFailed, *handles.ActorTrouble) as exc:
            log.warning("what waits is not known: %s", handles.first_line(exc))
            self._asked.difference_update(task_ids)
            return
        for order in orders:
            if order.task_id in self._asked:  # it has not left its queue meanwhile
                self._orders[order.task_id] = order
        self._wake()

    def _give_out(self, view: View, due: list[QueueEntry]) -> None:
        wanted: dict[str, Wanted] = {}
        orders: dict[str, AheadOrder] = {}
        refused: dict[str, list[str]] = {}
        for entry in due:
            order = self._orders.get(entry.task_id)
            if order is None:
                continue
            build = self._builds.get(order.content)
            verdict = build.report.cause if build is not None and build.report else None
            if build is None or (verdict is not None and entry.enqueued_at > build.decided_at):
                wanted.setdefault(order.content, Wanted(order.content, order.likeness, entry))
                orders.setdefault(order.content, order)
            elif verdict is not None:
                refused.setdefault(order.content, []).append(entry.task_id)
        for content, task_ids in refused.items():
            for task_id in task_ids:
                self._forget(task_id)
            self._begin(self._refuse(self._builds[content], task_ids))
        for chosen in likely.choose(view, wanted.values(), self._work()):
            build = _Build(orders[chosen.content], chosen.node_id)
            self._remember(build)
            self._begin(self._see_through(build))

    def _work(self) -> dict[str, NodeWork]:
        under_way: dict[str, list[str]] = {}
        held: dict[str, set[str]] = {}
        for build in self._builds.values():
            if build.report is None:
                under_way.setdefault(build.node_id, []).append(build.order.likeness)
            elif build.report.environment is not None:
                held.setdefault(build.node_id, set()).add(build.order.likeness)
        return {
            node_id: NodeWork(tuple(under_way.get(node_id, ())), frozenset(held.get(node_id, ())))
            for node_id in {*under_way, *held}
        }

    def _remember(self, build: _Build) -> None:
        self._builds.pop(build.order.content, None)
        self._builds[build.order.content] = build
        done = [content for content, each in self._builds.items() if each.report is not None]
        for content in done[: max(0, len(self._builds) - REMEMBERED)]:
            del self._builds[content]

    async def _see_through(self, build: _Build) -> None:
        """Have it built, and take note of what came of it; the run itself will tell the rest."""
        order = build.order
        try:
            build.handle = await asyncio.to_thread(builder_on, build.node_id, self._settings)
            if self._builds.get(order.content) is not build:
                return  # given up meanwhile
            report: AheadReport = await build.handle.build_ahead.remote(order)
        except (handles.CallFailed, *handles.ActorTrouble) as exc:
            report = AheadReport(notes=[f"its builder is gone: {handles.first_line(exc)}"])
        if report.environment is None and report.cause is None:
            log.info("not built ahead for %s: %s", order.task_id[:8], "; ".join(report.notes))
        build.report, build.decided_at = report, self._clock.now()
        self._wake()

    async def _refuse(self, build: _Build, task_ids: list[str]) -> None:
        report = build.report
        if report is None or report.cause is None:
            return
        refusal = Refusal(
            claim_ids={task_id: new_id() for task_id in task_ids},
            content=build.order.content,
            cause=report.cause,
            builder=f"builder@{report.node}",
            node=report.node,
            environment=report.environment,
        )
        log.info("%d tasks cannot run: %s", len(task_ids), report.cause.message)
        await insist("refusing tasks", lambda: handles.gateway().refuse.remote(refusal))

    def _forget(self, task_id: str) -> None:
        """It waits no more; what is built for nobody else is given up."""
        self._asked.discard(task_id)
        self._since.pop(task_id, None)
        order = self._orders.pop(task_id, None)
        if order is None or any(o.content == order.content for o in self._orders.values()):
            return
        build = self._builds.get(order.content)
        if build is not None and build.report is None:
            del self._builds[order.content]
            if build.handle is not None:
                build.handle.cancel.remote(order.content)
