"""What all attempts of one agent share: where it is, what it holds, how it fetches blobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from dray.runtime.clock import Clock
from dray.runtime.config import Settings
from dray.runtime.errors import ServerUnreachable
from dray.runtime.paths import NodePaths
from dray.runtime.subprocesses import Supervisor
from dray.sdk.client import Client

#: Between two tries while the gateway is being restarted, which takes seconds.
RETRY_S = 0.3

log = logging.getLogger("dray.agent")

T = TypeVar("T")


@dataclass(frozen=True)
class Workshop:
    """An agent's place of work.

    Attributes:
        gpus: that Ray gave to the agent; a child sees these and no others.
        supervisor: forks, watches and ends the children.
        background: owns what may go on after the attempt that began it.
    """

    agent: str
    node_name: str
    node: NodePaths
    settings: Settings
    supervisor: Supervisor
    background: TaskGroup
    gpus: list[str]
    clock: Clock

    def device_variables(self) -> Mapping[str, str]:
        """What hides other tasks' GPUs from a child."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}


class GatewayBlobs:
    """Fetches blobs from the gateway with a task's token; the calls run in threads.

    A gateway that is being restarted is waited for: no task fails because of it. Whoever
    prepares sets the limit.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def fetch(self, sha256: str, to: Path) -> None:
        """Write the blob to the file ``to``, which appears only whole."""
        await _when_served(lambda: self._client.get_blob(sha256, to))

    async def read_many(self, sha256s: list[str]) -> dict[str, bytes]:
        """Several small blobs in one request."""
        return await _when_served(lambda: self._client.get_blobs(sha256s))


async def _when_served(call: Callable[[], T]) -> T:
    while True:
        try:
            return await asyncio.to_thread(call)
        except ServerUnreachable as exc:
            log.info("waiting for the server: %s", exc)
            await anyio.sleep(RETRY_S)
