"""What all nodes keep of environments: builders are asked, those that are silent are named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from dray.actors import handles
from dray.actors.handles import Handle
from dray.actors.orders import AheadOrder
from dray.runtime.environments import (
    EnvironmentBuilt,
    EnvironmentDetails,
    EnvironmentWhy,
    NodeEnvironments,
    Pruned,
)
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable

T = TypeVar("T")

#: A builder that has to be made first takes a second or two, on a busy node many.
ANSWER_S = 20.0


class NodeCaches:
    """Asks the builders of all live nodes; has those made that are not there."""

    async def all(self) -> list[NodeEnvironments]:
        """The cache of every node; one that does not answer says so in ``problem``."""
        return await self._each(
            lambda builder: builder.environments.remote(),
            lambda node, problem: NodeEnvironments(node, problem=problem),
        )

    async def prune(self, keys: list[str], unused_for_s: float) -> list[Pruned]:
        """Remove what nothing uses on every node."""
        return await self._each(
            lambda builder: builder.prune.remote(keys, unused_for_s),
            lambda node, problem: Pruned(node, problem=problem),
        )

    async def one(self, key: str, node: str) -> EnvironmentDetails:
        """The environment whose key begins so, of the first node that has it.

        Args:
            node: name of the node to ask; empty: all.

        Raises:
            NotFound: no node that answered has it.
            AmbiguousId: a node has several.
        """
        return await self._first(lambda builder: builder.environment.remote(key), key, node)

    async def why(self, key: str, against: str, node: str) -> EnvironmentWhy:
        """What sets an environment apart; see :meth:`one`."""
        return await self._first(lambda builder: builder.why.remote(key, against), key, node)

    async def build(self, order: AheadOrder, node: str) -> EnvironmentBuilt:
        """Make an environment on a node, for somebody who waits for it.

        Args:
            node: name of the node; empty: the first there is.

        Raises:
            PreparationFailed: it cannot be made there.
            NotFound: there is no such node.
        """
        for node_id in await self._node_ids():
            builder = await _builder_on(node_id)
            if not node or (await builder.environments.remote()).node == node:
                return _whole(await builder.build.remote(order))
        raise NotFound(f"there is no live node {node!r}; `dray env list` names them", node=node)

    async def _first(
        self, ask: Callable[[Handle], Awaitable[T | DrayError]], key: str, node: str
    ) -> T:
        silent: list[str] = []

        def note(node_id: str, problem: str) -> DrayError:
            silent.append(f"{node_id}: {problem}")
            return NotFound(problem)

        async def ask_if_meant(builder: Handle) -> T | DrayError:
            if node and (await builder.environments.remote()).node != node:
                return NotFound(f"it is not {node}")
            return await ask(builder)

        answers = await self._each(ask_if_meant, note)
        for answer in answers:
            if not isinstance(answer, NotFound):
                return _whole(answer)
        heard = f"; these did not answer: {', '.join(silent)}" if silent else ""
        if silent and len(silent) == len(answers):
            raise ServerUnreachable(f"no node says what it has{heard}")
        where = f"node {node}" if node else f"any of the {len(answers)} nodes"
        raise NotFound(f"no environment begins with {key!r} on {where}{heard}", id=key)

    async def _each(
        self, ask: Callable[[Handle], Awaitable[T]], silent: Callable[[str, str], T]
    ) -> list[T]:
        async def one(node_id: str) -> T:
            try:
                with anyio.fail_after(ANSWER_S):
                    builder = await _builder_on(node_id)
                    return await ask(builder)
            except TimeoutError:
                return silent(node_id[:8], f"it did not answer within {ANSWER_S:g} s")
            except (ServerUnreachable, handles.CallFailed, *handles.ActorTrouble) as exc:
                return silent(node_id[:8], handles.first_line(exc))

        return list(await asyncio.gather(*(one(each) for each in await self._node_ids())))

    async def _node_ids(self) -> list[str]:
        return sorted(node.node_id for node in await handles.live_nodes())


async def _builder_on(node_id: str) -> Handle:
    """The builder of a node. The scheduler makes those: this process has no business with them."""
    name = handles.builder_actor_name(node_id)
    builder = await asyncio.to_thread(handles.find, name)
    if builder is None:
        await handles.scheduler().make_builder.remote(node_id)
        builder = await asyncio.to_thread(handles.find, name)
    if builder is None:
        raise ServerUnreachable(f"the builder of node {node_id[:8]} has ended; ask again")
    return builder


def _whole(answer: T | DrayError) -> T:
    if isinstance(answer, DrayError):
        raise answer
    return answer
