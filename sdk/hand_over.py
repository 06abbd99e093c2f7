"""``execute_remotely``: the code of this run as a snapshot, and the run itself, to a queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dray.runtime.answers import Enqueued
from dray.runtime.codec import from_json
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable
from dray.runtime.models import ConfigObject, Parameter
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import CONSOLE_STREAMS
from dray.runtime.spool_reader import SpoolReader
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.endings import ending
from dray.sdk.local_run import LocalRun, page
from dray.sdk.parcels import News, ParcelService, send_all
from dray.sdk.shipped import load_shipped, save_shipped
from dray.sdk.task_create import send_code
from dray.sdk.task_find import DEFAULT_QUEUE


def hand_over(run: LocalRun, queue: str | None) -> None:
    """Move ``run`` to ``queue``; this process is no part of it afterwards.

    Nothing of the run is given up before the server has taken it all.

    Raises:
        NotFound: no such queue; those there are, are listed.
        ServerUnreachable: the run goes on here, recorded.
        TooLarge: the code is over the limit of a snapshot.
    """
    target = queue or DEFAULT_QUEUE
    with _client(run, target) as client:
        _check_queue(client, target)
        execution = {**_execution(run), "snapshot": send_code(client, run.captured, run.settings)}
        receipt = _send_rest(run, client)
        answer = client.hand_over(
            run.attempt.task_id,
            epoch=run.attempt.epoch,
            queue=target,
            execution=execution,
            parameters=_parameters(run),
            policy=run.attempt.task.get("policy"),
            receipt=receipt,
        )
    task_id = run.attempt.task_id
    run.let_go()
    spool = SpoolPaths(Path(run.attempt.spool))
    save_shipped(spool, replace(load_shipped(spool, client.url), closed=True))
    _announce(answer, task_id, target, run.url)


def clone_to_queue(run: LocalRun, queue: str | None) -> str:
    """Put a copy of ``run`` with its present code and parameters in ``queue``; returns its id.

    Raises:
        NotFound: no such queue.
        ServerUnreachable: no server answers.
    """
    target = queue or DEFAULT_QUEUE
    with _client(run, target) as client:
        _check_queue(client, target)
        snapshot_id = send_code(client, run.captured, run.settings)
        name = str(run.attempt.task["name"])
        clone = client.clone_task(run.attempt.task_id, name=f"Clone of {name}")
        client.edit_task(
            clone.id,
            execution={**_execution(run), "snapshot": snapshot_id},
            parameters=_parameters(run),
            configuration=_configuration(run),
            policy=run.attempt.task.get("policy") or clone.policy,
        )
        answer = client.enqueue(clone.id, target)
    _announce(answer, clone.id, target, run.url)
    return clone.id


def close(run: LocalRun) -> None:
    """End ``run`` as completed, or as it was marked, while its process goes on.

    Without an answer from the server, the shipper says it when the process ends.
    """
    if not run.attempt.marked:
        run.attempt.record("final", exit_code=0)
    run.let_go()
    if run.attempt.is_offline:
        return
    try:
        with Client.from_settings(run.settings, retries=1) as client:
            cause = ending(SpoolPaths(Path(run.attempt.spool)))
            _send_all(run, client, News(cause=cause))
    except DrayError as exc:
        session.say(f"warning: the end of the task is told later: {exc.message}")


def _client(run: LocalRun, queue: str) -> Client:
    if run.attempt.is_offline:
        raise ServerUnreachable(
            f"this run is recorded without a server, so it cannot move to queue {queue!r}. "
            f"It is kept in {run.attempt.spool}: send it with `dray sync {run.attempt.spool}` once "
            "a server is there, then start the script again"
        )
    return Client.from_settings(run.settings)


def _check_queue(client: Client, queue: str) -> None:
    there = [other.name for other in client.list_queues()]
    if queue not in there:
        listed = ", ".join(there) or "none"
        raise NotFound(
            f"no queue is called {queue!r}; there are: {listed}. "
            f"Make it with: dray queue create {queue}",
            queue=queue,
            queues=there,
        )


def _send_rest(run: LocalRun, client: Client) -> dict[str, Any]:
    """Ship what the shipper has not yet; what both send, the server takes once."""
    spool = SpoolPaths(Path(run.attempt.spool))
    _send_all(run, client, News())
    reader = SpoolReader(spool)
    totals = {name: n for name, n in reader.totals().items() if name in CONSOLE_STREAMS}
    return reader.receipt(totals)


def _send_all(run: LocalRun, client: Client, news: News) -> None:
    spool = SpoolPaths(Path(run.attempt.spool))
    parcels = ParcelService(spool, run.attempt.task_id, run.attempt.epoch, client)
    send_all(parcels, news)


def _execution(run: LocalRun) -> dict[str, Any]:
    """What the script changed of its execution since it began, such as its packages."""
    execution: dict[str, Any] = run.attempt.task.get("execution") or {}
    names = ("packages", "output_uri", "resources")
    return {name: execution[name] for name in names if name in execution}


def _parameters(run: LocalRun) -> dict[str, Parameter]:
    stored: dict[str, Any] = run.attempt.task.get("parameters") or {}
    return {name: from_json(Parameter, members) for name, members in stored.items()}


def _configuration(run: LocalRun) -> dict[str, ConfigObject]:
    stored: dict[str, Any] = run.attempt.task.get("configuration") or {}
    return {name: from_json(ConfigObject, members) for name, members in stored.items()}


def _announce(answer: Enqueued, task_id: str, queue: str, url: str) -> None:
    session.say(f"task {task_id[:8]} waits in queue {queue} · {page(url, task_id)}")
    if answer.warning or not answer.queue_served:
        session.say(f"warning: {answer.warning or f'no agent serves queue {queue}'}")
