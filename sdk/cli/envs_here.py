"""The cache of environments of this machine, asked without a server as a server asks a node."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dray.runtime.environments import (
    EnvironmentBuilt,
    EnvironmentDetails,
    EnvironmentRequest,
    EnvironmentWhy,
    NodeEnvironments,
    Pruned,
)
from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Container, Execution, RunDefaults
from dray.runtime.paths import NodePaths
from dray.runtime.run_defaults import with_defaults

if TYPE_CHECKING:
    from dray.runtime.config import Settings
    from dray.sdk.client import Client


class Caches(Protocol):
    """What can be asked of a server's nodes, and of this machine."""

    def list_environments(self) -> list[NodeEnvironments]:
        """The cache of every node."""
        ...

    def get_environment(self, key: str, *, node: str = "") -> EnvironmentDetails:
        """One environment by the beginning of its key."""
        ...

    def why_environment(self, key: str, against: str = "", *, node: str = "") -> EnvironmentWhy:
        """What differs between two, or why one was built."""
        ...

    def prune_environments(
        self, keys: list[str] | None = None, *, unused_for_s: float = 0.0
    ) -> list[Pruned]:
        """Remove what nothing uses."""
        ...

    def build_environment(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        """Make an environment."""
        ...


class Here:
    """This machine's cache.

    Args:
        client: where a task and its code come from; None: only what needs neither.
    """

    def __init__(self, settings: Settings, client: Client | None = None) -> None:
        self._settings = settings
        self._client = client
        self._node = NodePaths(settings.cache)
        self._name = platform.node()

    def list_environments(self) -> list[NodeEnvironments]:
        """See :class:`Caches`."""
        from dray.envbuilder.cache.inventory import list_environments
        from dray.envbuilder.cache.limits import limits_of

        return [list_environments(self._node, limits_of(self._settings), self._name)]

    def get_environment(self, key: str, *, node: str = "") -> EnvironmentDetails:
        """See :class:`Caches`."""
        from dray.envbuilder.cache.inventory import environment_details

        self._check(node)
        return environment_details(self._node, key, self._name)

    def why_environment(self, key: str, against: str = "", *, node: str = "") -> EnvironmentWhy:
        """See :class:`Caches`."""
        from dray.envbuilder.cache.inventory import why_environment

        self._check(node)
        return why_environment(self._node, key, against)

    def prune_environments(
        self, keys: list[str] | None = None, *, unused_for_s: float = 0.0
    ) -> list[Pruned]:
        """See :class:`Caches`."""
        from dray.envbuilder.cache.eviction import prune

        work = prune(self._node, self._name, keys=keys or (), unused_for_s=unused_for_s)
        return [asyncio.run(work)]

    def build_environment(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        """See :class:`Caches`; what is said meanwhile goes to stderr."""
        self._check(request.node)
        return asyncio.run(self._build(request))

    async def _build(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        from dray.envbuilder.cache.build import ensure_environment
        from dray.envbuilder.cache.inventory import cached_environment
        from dray.envbuilder.cache.limits import limits_of
        from dray.envbuilder.choice.choose import choose

        log = sys.stderr.buffer
        async with self._code(request) as (execution, code):
            spec = await choose(execution, code)
            limits = limits_of(self._settings)
            with await ensure_environment(spec, self._node, log, limits=limits) as made:
                entry = await asyncio.to_thread(cached_environment, self._node, made.folder.name)
        return EnvironmentBuilt(self._name, entry, made.reused, made.seconds)

    @contextlib.asynccontextmanager
    async def _code(self, request: EnvironmentRequest) -> AsyncGenerator[tuple[Execution, Path]]:
        """What is to be built and the folder of its code, for as long as that takes."""
        from dray.envbuilder.git.options import git_options
        from dray.envbuilder.source.prepare import prepare_source

        with tempfile.TemporaryDirectory(prefix="dray-build-") as folder:
            code = Path(folder) / "code"
            if request.execution is not None:
                code.mkdir()
                yield self._with_defaults(request.execution), code
                return
            if self._client is None:
                raise InvalidInput("a task's environment needs the server that has the task")
            task = await asyncio.to_thread(self._client.get_task, request.task_id)
            execution = self._with_defaults(task.execution)
            blobs = Blobs(self._client)
            git = git_options(self._settings)
            await prepare_source(execution, code, self._node, blobs, sys.stderr.buffer, git=git)
            yield execution, code

    def _with_defaults(self, execution: Execution) -> Execution:
        """As an agent of this machine would run it; the defaults of a queue are not known here."""
        s = self._settings
        container = Container(s.container_image, s.container_arguments)
        defaults = RunDefaults(s.environment_manager, container, s.torch_backend)
        chosen = with_defaults(execution, defaults)
        if chosen.container.image:
            raise InvalidInput(
                f"the task runs in container {chosen.container.image!r}, whose environment is "
                "built in it: leave out --here to have a node do so"
            )
        return chosen

    def _check(self, node: str) -> None:
        if node not in ("", self._name):
            raise InvalidInput(
                f"--node {node!r} is not this machine, which is {self._name!r}; leave out --here",
                field="--node",
                value=node,
            )


class Blobs:
    """Blobs from the server, as envbuilder wants them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def fetch(self, sha256: str, to: Path) -> None:
        """See :class:`dray.envbuilder.source.blobs.BlobFetcher`."""
        await asyncio.to_thread(self._client.get_blob, sha256, to)

    async def read_many(self, sha256s: Sequence[str]) -> dict[str, bytes]:
        """See :class:`dray.envbuilder.source.blobs.BlobFetcher`."""
        return await asyncio.to_thread(self._client.get_blobs, list(sha256s))
