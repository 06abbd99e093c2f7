"""Typed calls to a Dray server: one method for each route of its HTTP API."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from dray.runtime.answers import ConsolePiece
from dray.runtime.codec import from_json
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError
from dray.runtime.models import Task
from dray.runtime.registry import Model
from dray.sdk.calls import admin, blobs, environments, models, results, tasks
from dray.sdk.calls import attempts as running
from dray.sdk.http.call import Call, Conversation, Pause, Work, at, blocking, conversing
from dray.sdk.http.server_address import NOT_CONFIGURED, find_server
from dray.sdk.http.transport import Transport

__all__ = ["NOT_CONFIGURED", "Client", "find_server"]

T = TypeVar("T")


class Client:
    """Speaks to one server with one token; safe to share between threads.

    A server's refusal is raised as the same class the server raised
    (:mod:`dray.runtime.errors`). Wherever a method takes a task id, a unique prefix will do.

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
        self._http = Transport(self.url, token, retries=retries, timeout_s=timeout_s)

    @classmethod
    def from_settings(cls, settings: Settings, *, retries: int = 4) -> Client:
        """A client of the configured server, else of the one ``dray up`` started here.

        Raises:
            ServerUnreachable: neither is there.
        """
        companions = sys.modules.get("dray.sdk.runs.companion")
        if companions is not None:  # runs were closed here: what they recorded is asked for too
            companions.settle()
        url, token = find_server(settings)
        return cls(url, token, retries=retries)

    def close(self) -> None:
        """Close idle connections; the client can still be used afterwards."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, call: Call[T]) -> T:
        """Send one request, such as ``dray.sdk.calls.tasks.get_task(task_id)``."""
        return self._http.send(call)

    def converse(self, conversation: Conversation[T]) -> T:
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
                time.sleep(step.seconds)
            elif isinstance(step, Work):
                answer = step.do()
            else:
                try:
                    answer = self.send(step)
                except DrayError as exc:
                    error = exc

    create_task = blocking(tasks.create_task)
    get_task = blocking(tasks.get_task)
    list_tasks = blocking(tasks.list_tasks)
    search_tasks = blocking(tasks.search_tasks)
    edit_task = blocking(tasks.edit_task)
    clone_task = blocking(tasks.clone_task)
    delete_task = blocking(tasks.delete_task)
    enqueue = blocking(tasks.enqueue)
    dequeue = blocking(tasks.dequeue)
    abort = blocking(tasks.abort)
    reset = blocking(tasks.reset)
    publish = blocking(tasks.publish)
    mark = blocking(tasks.mark)
    wait = conversing(tasks.wait)
    why = blocking(tasks.why)
    history = blocking(tasks.history)
    attempts = blocking(tasks.attempts)

    start = blocking(running.start)
    hand_over = blocking(running.hand_over)
    send_frame = blocking(running.send_frame)
    renew = blocking(running.renew)
    report = blocking(running.report)
    offsets = blocking(running.offsets)

    console = blocking(results.console)
    scalars = blocking(results.scalars)
    points = conversing(results.points)
    plots = conversing(results.plots)
    media = conversing(results.media)
    artifacts = blocking(results.artifacts)
    artifact = blocking(results.artifact)
    put_artifact = blocking(results.put_artifact)
    delete_artifact = blocking(results.delete_artifact)
    missing_blobs = conversing(blobs.missing_blobs)
    put_blobs = conversing(blobs.put_blobs)

    create_model = blocking(models.create_model)
    get_model = blocking(models.get_model)
    list_models = blocking(models.list_models)
    edit_model = blocking(models.edit_model)
    publish_model = blocking(models.publish_model)
    archive_model = blocking(models.archive_model)
    unarchive_model = blocking(models.unarchive_model)
    delete_model = blocking(models.delete_model)
    model_history = blocking(models.model_history)
    model_scalars = blocking(models.model_scalars)
    model_single_values = blocking(models.model_single_values)
    model_plots = blocking(models.model_plots)
    task_models = blocking(models.task_models)
    link_model = blocking(models.link_model)
    unlink_model = blocking(models.unlink_model)

    create_queue = blocking(admin.create_queue)
    edit_queue = blocking(admin.edit_queue)
    get_queue = blocking(admin.get_queue)
    list_queues = conversing(admin.list_queues)
    delete_queue = blocking(admin.delete_queue)
    queue_tasks = conversing(admin.queue_tasks)
    list_agents = conversing(admin.list_agents)
    get_agent = blocking(admin.get_agent)
    drain_agent = blocking(admin.drain_agent)
    resume_agent = blocking(admin.resume_agent)
    stop_agent = blocking(admin.stop_agent)

    list_environments = conversing(environments.list_environments)
    get_environment = blocking(environments.get_environment)
    why_environment = blocking(environments.why_environment)
    prune_environments = conversing(environments.prune_environments)
    build_environment = blocking(environments.build_environment)
    create_project = blocking(admin.create_project)
    get_project = blocking(admin.get_project)
    list_projects = conversing(admin.list_projects)
    edit_project = blocking(admin.edit_project)
    delete_project = blocking(admin.delete_project)
    server_info = blocking(admin.server_info)
    check_store = blocking(admin.check_store)
    healthz = blocking(admin.healthz)

    def iter_tasks(self, *, page_size: int = 200, **query: Any) -> Iterator[Task]:
        """Every task that fits, page by page; takes what :meth:`list_tasks` takes."""
        cursor: str | None = None
        while True:
            page = self.list_tasks(**query, limit=page_size, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def iter_models(self, *, page_size: int = 200, **query: Any) -> Iterator[Model]:
        """Every model that fits, page by page; takes what :meth:`list_models` takes."""
        cursor: str | None = None
        while True:
            page = self.list_models(**query, limit=page_size, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def follow_console(self, task_id: str, *, after: int | None = None) -> Iterator[ConsolePiece]:
        """Console pieces as they are written, until nothing will follow.

        Goes on where it was when the connection is lost.
        """
        path = at("tasks", task_id, "console", "follow")
        with closing(self._http.events(path, query={"after": after})) as events:
            for event in events:
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
    ) -> Iterator[bytes]:
        """The bytes of one stream as the process wrote them, in blocks.

        Of the latest attempt unless ``epoch`` is given; from byte ``start`` up to, and
        without, byte ``end``.
        """
        path, query, headers = results.raw_range(task_id, stream, epoch, start, end)
        return self._http.download(path, query=query, headers=headers)

    def artifact_content(self, task_id: str, name: str) -> bytes:
        """The bytes of an artifact that fits in memory."""
        return b"".join(self.download_path(at("tasks", task_id, "artifacts", name, "content")))

    def download_artifact(self, task_id: str, name: str, to: Path) -> Path:
        """Fetch an artifact into the file ``to``, which appears only whole."""
        return self._fetch(at("tasks", task_id, "artifacts", name, "content"), to)

    def put_blob(
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
        address = sha256 or blobs.digest(source)
        if isinstance(source, Path) and blobs.is_large(source):
            self.converse(blobs.send_in_pieces(source, address, on_progress=on_progress))
            return address
        self._http.upload(at("blobs", address), source)
        return address

    def get_blob(self, sha256: str, to: Path) -> Path:
        """Fetch a blob into the file ``to``, which appears only whole and checked.

        Raises:
            InvalidInput: the bytes that came are not the ones asked for.
        """
        return self._fetch(at("blobs", sha256), to, sha256)

    def get_blobs(self, sha256: Iterable[str]) -> dict[str, bytes]:
        """At most 200 blobs in one request, together at most 16 MiB; each is checked.

        Raises:
            InvalidInput: a blob that came is not the one asked for.
        """
        asked = list(sha256)
        body = b"".join(self._http.download("/blobs/batch", query={"sha256": asked}))
        return blobs.read_batch(asked, body)

    def read_blob(self, sha256: str) -> bytes:
        """The bytes of a blob that fits in memory."""
        return b"".join(self.download_path(at("blobs", sha256)))

    def download_path(self, path: str) -> Iterator[bytes]:
        """The body of a GET of any path below the API, in blocks."""
        return self._http.download(path)

    def backup(self) -> Iterator[bytes]:
        """Everything the server's store keeps, in blocks of one file.

        Raises:
            ServerUnreachable: also when it ends before it is whole.
        """
        return self._http.download("/server/backup", timeout_s=admin.UPKEEP_TIMEOUT_S)

    def _fetch(self, path: str, to: Path, sha256: str = "") -> Path:
        hasher = hashlib.sha256()
        aside = to.with_name(f".{to.name}.{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                for block in self._http.download(path):
                    hasher.update(block)
                    file.write(block)
            if sha256:
                blobs.check(sha256, hasher.hexdigest())
            aside.replace(to)
        finally:
            aside.unlink(missing_ok=True)
        return to
