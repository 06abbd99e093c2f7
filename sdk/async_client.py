"""The same calls for an event loop: one coroutine for each route of the HTTP API."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from dray.runtime import config
from dray.runtime.answers import ConsolePiece
from dray.runtime.codec import from_json
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError
from dray.runtime.models import Task
from dray.runtime.registry import Model
from dray.sdk.calls import admin, blobs, environments, models, results, tasks
from dray.sdk.calls import attempts as running
from dray.sdk.http.async_transport import AsyncTransport
from dray.sdk.http.call import Call, Conversation, Pause, Work, at, awaitable, awaiting
from dray.sdk.http.server_address import find_server

T = TypeVar("T")


class AsyncClient:
    """Speaks to one server with one token, on one event loop; every call is safe to cancel.

    The methods are those of :class:`dray.Client`, to be awaited; what comes piece by piece is
    iterated with ``async for``. A server's refusal is raised as the same class the server raised
    (:mod:`dray.runtime.errors`).

    Args:
        url: of the server, such as ``http://127.0.0.1:8262``.
        token: the server's token, or one that may write for a single task.
        retries: how often a request that may safely be repeated is, when no server answers.
        timeout_s: seconds without a byte after which a server counts as silent.
    """

    def __init__(
        self, url: str, token: str = "", *, retries: int = 4, timeout_s: float = 30.0
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._http = AsyncTransport(self.url, token, retries=retries, timeout_s=timeout_s)

    @classmethod
    def from_settings(cls, settings: Settings | None = None, *, retries: int = 4) -> AsyncClient:
        """A client of the configured server, else of the one ``dray up`` started here.

        Args:
            settings: where to look; the configuration of this machine unless given.
            retries: as for the class.

        Raises:
            ServerUnreachable: neither is there.
        """
        url, token = find_server(settings or config.load().settings)
        return cls(url, token, retries=retries)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, call: Call[T]) -> T:
        """Send one request, such as ``dray.sdk.calls.tasks.get_task(task_id)``."""
        return await self._http.send(call)

    async def converse(self, conversation: Conversation[T]) -> T:
        """Lead a conversation to its end: send, wait or do what it says, tell it the answers."""
        answer: Any = None
        error: DrayError | None = None
        while True:
            try:
                step = conversation.send(answer) if error is None else conversation.throw(error)
            except StopIteration as ended:
                return ended.value
            answer = error = None
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Work):
                answer = await asyncio.to_thread(step.do)
            else:
                try:
                    answer = await self.send(step)
                except DrayError as exc:
                    error = exc

    create_task = awaitable(tasks.create_task)
    get_task = awaitable(tasks.get_task)
    list_tasks = awaitable(tasks.list_tasks)
    search_tasks = awaitable(tasks.search_tasks)
    edit_task = awaitable(tasks.edit_task)
    clone_task = awaitable(tasks.clone_task)
    delete_task = awaitable(tasks.delete_task)
    enqueue = awaitable(tasks.enqueue)
    dequeue = awaitable(tasks.dequeue)
    abort = awaitable(tasks.abort)
    reset = awaitable(tasks.reset)
    publish = awaitable(tasks.publish)
    mark = awaitable(tasks.mark)
    wait = awaiting(tasks.wait)
    why = awaitable(tasks.why)
    history = awaitable(tasks.history)
    attempts = awaitable(tasks.attempts)

    start = awaitable(running.start)
    hand_over = awaitable(running.hand_over)
    send_frame = awaitable(running.send_frame)
    renew = awaitable(running.renew)
    report = awaitable(running.report)
    offsets = awaitable(running.offsets)

    console = awaitable(results.console)
    scalars = awaitable(results.scalars)
    points = awaiting(results.points)
    plots = awaiting(results.plots)
    media = awaiting(results.media)
    artifacts = awaitable(results.artifacts)
    artifact = awaitable(results.artifact)
    put_artifact = awaitable(results.put_artifact)
    delete_artifact = awaitable(results.delete_artifact)
    missing_blobs = awaiting(blobs.missing_blobs)
    put_blobs = awaiting(blobs.put_blobs)

    create_model = awaitable(models.create_model)
    get_model = awaitable(models.get_model)
    list_models = awaitable(models.list_models)
    edit_model = awaitable(models.edit_model)
    publish_model = awaitable(models.publish_model)
    archive_model = awaitable(models.archive_model)
    unarchive_model = awaitable(models.unarchive_model)
    delete_model = awaitable(models.delete_model)
    model_history = awaitable(models.model_history)
    model_scalars = awaitable(models.model_scalars)
    model_single_values = awaitable(models.model_single_values)
    model_plots = awaitable(models.model_plots)
    task_models = awaitable(models.task_models)
    link_model = awaitable(models.link_model)
    unlink_model = awaitable(models.unlink_model)

    create_queue = awaitable(admin.create_queue)
    edit_queue = awaitable(admin.edit_queue)
    get_queue = awaitable(admin.get_queue)
    list_queues = awaiting(admin.list_queues)
    delete_queue = awaitable(admin.delete_queue)
    queue_tasks = awaiting(admin.queue_tasks)
    list_agents = awaiting(admin.list_agents)
    get_agent = awaitable(admin.get_agent)
    drain_agent = awaitable(admin.drain_agent)
    resume_agent = awaitable(admin.resume_agent)
    stop_agent = awaitable(admin.stop_agent)

    list_environments = awaiting(environments.list_environments)
    get_environment = awaitable(environments.get_environment)
    why_environment = awaitable(environments.why_environment)
    prune_environments = awaiting(environments.prune_environments)
    build_environment = awaitable(environments.build_environment)
    create_project = awaitable(admin.create_project)
    get_project = awaitable(admin.get_project)
    list_projects = awaiting(admin.list_projects)
    edit_project = awaitable(admin.edit_project)
    delete_project = awaitable(admin.delete_project)
    server_info = awaitable(admin.server_info)
    check_store = awaitable(admin.check_store)
    healthz = awaitable(admin.healthz)

    async def iter_tasks(self, *, page_size: int = 200, **query: Any) -> AsyncIterator[Task]:
        """Every task that fits, page by page; takes what :meth:`list_tasks` takes."""
        cursor: str | None = None
        while True:
            page = await self.list_tasks(**query, limit=page_size, cursor=cursor)
            for task in page.items:
                yield task
            cursor = page.next_cursor
            if cursor is None:
                return

    async def iter_models(self, *, page_size: int = 200, **query: Any) -> AsyncIterator[Model]:
        """Every model that fits, page by page; takes what :meth:`list_models` takes."""
        cursor: str | None = None
        while True:
            page = await self.list_models(**query, limit=page_size, cursor=cursor)
            for model in page.items:
                yield model
            cursor = page.next_cursor
            if cursor is None:
                return

    async def follow_console(
        self, task_id: str, *, after: int | None = None
    ) -> AsyncIterator[ConsolePiece]:
        """Console pieces as they are written, until nothing will follow.

        Goes on where it was when the connection is lost.
        """
        path = at("tasks", task_id, "console", "follow")
        async with aclosing(self._http.events(path, query={"after": after})) as events:
            async for event in events:
                if event.event == "closed":
                    return
                if event.event == "piece":
                    yield from_json(ConsolePiece, json.loads(event.data))

    def console_raw(
        self,
        task_id: str,
        *,
        stream: str = "stdout",
        epoch: int | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> AsyncIterator[bytes]:
        """The bytes of one stream as the process wrote them, in blocks.

        Of the latest attempt unless ``epoch`` is given; from byte ``start`` up to, and
        without, byte ``end``.
        """
        path, query, headers = results.raw_range(task_id, stream, epoch, start, end)
        return self._http.download(path, query=query, headers=headers)

    async def artifact_content(self, task_id: str, name: str) -> bytes:
        """The bytes of an artifact that fits in memory."""
        return await self._read(at("tasks", task_id, "artifacts", name, "content"))

    async def download_artifact(self, task_id: str, name: str, to: Path) -> Path:
        """Fetch an artifact into the file ``to``, which appears only whole."""
        return await self._fetch(at("tasks", task_id, "artifacts", name, "content"), to)

    async def put_blob(
        self,
        source: Path | bytes,
        *,
        sha256: str = "",
        on_progress: Callable[[int], None] | None = None,
    ) -> str:
        """Send a file or bytes to the blob store; returns the sha256 it is kept under.

        Give ``sha256`` when it is known already, and the file is read once instead of twice. A
        file over 16 MiB goes in pieces: what the server has of it is not sent again, by this
        call or a later one. ``on_progress`` is told how many bytes of such a file are there.
        """
        address = sha256 or await asyncio.to_thread(blobs.digest, source)
        if isinstance(source, Path) and await asyncio.to_thread(blobs.is_large, source):
            await self.converse(blobs.send_in_pieces(source, address, on_progress=on_progress))
            return address
        await self._http.upload(at("blobs", address), source)
        return address

    async def get_blob(self, sha256: str, to: Path) -> Path:
        """Fetch a blob into the file ``to``, which appears only whole and checked.

        Raises:
            InvalidInput: the bytes that came are not the ones asked for.
        """
        return await self._fetch(at("blobs", sha256), to, sha256)

    async def get_blobs(self, sha256: Iterable[str]) -> dict[str, bytes]:
        """At most 200 blobs in one request, together at most 16 MiB; each is checked.

        Raises:
            InvalidInput: a blob that came is not the one asked for.
        """
        asked = list(sha256)
        query = {"sha256": asked}
        blocks = [block async for block in self._http.download("/blobs/batch", query=query)]
        return await asyncio.to_thread(blobs.read_batch, asked, b"".join(blocks))

    async def read_blob(self, sha256: str) -> bytes:
        """The bytes of a blob that fits in memory."""
        return await self._read(at("blobs", sha256))

    def download_path(self, path: str) -> AsyncIterator[bytes]:
        """The body of a GET of any path below the API, in blocks."""
        return self._http.download(path)

    def backup(self) -> AsyncIterator[bytes]:
        """Everything the server's store keeps, in blocks of one file.

        Raises:
            ServerUnreachable: also when it ends before it is whole.
        """
        return self._http.download("/server/backup", timeout_s=admin.UPKEEP_TIMEOUT_S)

    async def _read(self, path: str) -> bytes:
        return b"".join([block async for block in self._http.download(path)])

    async def _fetch(self, path: str, to: Path, sha256: str = "") -> Path:
        hasher = hashlib.sha256()
        aside = to.with_name(f".{to.name}.{os.getpid()}.part")
        try:
            with await asyncio.to_thread(aside.open, "wb") as file:
                async for block in self._http.download(path):
                    hasher.update(block)
                    await asyncio.to_thread(file.write, block)
            if sha256:
                blobs.check(sha256, hasher.hexdigest())
            await asyncio.to_thread(aside.replace, to)
        finally:
            await asyncio.to_thread(aside.unlink, missing_ok=True)
        return to
