"""The gateway's part in building ahead: what is to be built, from the store; verdicts, into it."""

from __future__ import annotations

from dray.actors.orders import AheadOrder, Refusal
from dray.runtime import tokens
from dray.runtime.config import Settings
from dray.runtime.errors import InvalidInput, NotFound
from dray.runtime.execution import Execution, RunDefaults
from dray.runtime.likely import content_of, likeness_of
from dray.runtime.models import Task
from dray.runtime.run_defaults import with_defaults
from dray.runtime.states import State
from dray.runtime.store import By, ClaimRequest, Store

BUILDER = By("builder")
#: Where a request names no task; a token in its name reads blobs and writes nothing.
_NOBODY = "0" * 32


class AheadDesk:
    """Speaks for the store; keeps nothing.

    Args:
        token: the server's own, which those of tasks are signed with.
        url: where nodes reach the gateway.
    """

    def __init__(self, store: Store, settings: Settings, *, token: str, url: str) -> None:
        self._store = store
        self._settings = settings
        self._token = token
        self._url = url

    async def orders(self, task_ids: list[str]) -> list[AheadOrder]:
        """What is to be built for tasks; those that wait no more are left out."""
        found: list[AheadOrder] = []
        for task_id in task_ids:
            try:
                task = await self._store.tasks.get(task_id)
            except NotFound:
                continue
            if task.state is State.PENDING:
                found.append(await self.order_of(task))
        return found

    async def order_of(self, task: Task) -> AheadOrder:
        """What is to be built for a task, in whatever state it is."""
        execution = _as_queued(task, await self._store.queues.defaults(task.queue))
        return self._order(task.id, task.epoch, execution)

    async def order_for(self, task_id: str, execution: Execution | None) -> AheadOrder:
        """What is to be built for somebody who asks: for a task, or what they say.

        Raises:
            NotFound: no such task.
            InvalidInput: neither is given.
        """
        if task_id:
            return await self.order_of(await self._store.tasks.get(task_id))
        if execution is None:
            raise InvalidInput(
                "name a task, or give an execution: there is nothing to build", field="task_id"
            )
        return self._order(_NOBODY, 0, execution)

    async def refuse(self, refusal: Refusal) -> None:
        """End tasks that wait and are certain to fail, unless they were changed meanwhile."""
        for task_id, claim_id in refusal.claim_ids.items():
            try:
                queue = (await self._store.tasks.head(task_id)).queue
            except NotFound:
                continue
            defaults = await self._store.queues.defaults(queue)

            def is_meant(task: Task, defaults: RunDefaults = defaults) -> bool:
                return content_of(_as_queued(task, defaults)) == refusal.content

            await self._store.refusals.refuse(
                ClaimRequest(
                    task_id, refusal.builder, refusal.node, claim_id, self._settings.lease_ttl_s
                ),
                refusal.cause,
                BUILDER,
                still=is_meant,
                environment=refusal.environment,
            )

    def _order(self, task_id: str, epoch: int, execution: Execution) -> AheadOrder:
        return AheadOrder(
            task_id,
            content_of(execution),
            likeness_of(execution),
            execution,
            self._url,
            # Of an attempt that is over, or was never begun: it may read.
            tokens.mint_task_token(self._token, task_id, epoch),
        )


def _as_queued(task: Task, defaults: RunDefaults) -> Execution:
    return with_defaults(task.execution, defaults)
