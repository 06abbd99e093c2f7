"""``execute_remotely``: the code of this run as a snapshot, and the run itself, to a queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dray.runtime import causes
from dray.runtime.answers import Enqueued
from dray.runtime.codec import from_json
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable
from dray.runtime.models import ConfigObject, Parameter
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import CONSOLE_STREAMS
from dray.runtime.spool_reader import SpoolReader
from dray.runtime.states import Event
from dray.sdk import session
from dray.sdk.capture.code_files import send_code
from dray.sdk.client import Client
from dray.sdk.runs.endings import ending
from dray.sdk.runs.local_run import LocalRun, page
from dray.sdk.ship.parcels import News, ParcelService, send_all
from dray.sdk.ship.shipped import load_shipped, save_shipped
from dray.sdk.ship.sync import open_attempt

#: Why a run ended whose script said ``execute_remotely()`` without a queue.
LEFT_AS_DRAFT = "left as a draft by execute_remotely"


def hand_over(run: LocalRun, queue: str) -> None:
    """Move ``run`` to ``queue``; this process is no part of it afterwards.

    Nothing of the run is given up before the server has taken it all.

    Raises:
        NotFound: no such queue; those there are, are listed.
        ServerUnreachable: the run goes on here, recorded.
        TooLarge: the code is over the limit of a snapshot.
    """
    with _client(run, f"move to queue {queue!r}") as client:
        _check_queue(client, queue)
        execution = _execution(run, client)
        receipt = _send_rest(run, client)
        answer = client.hand_over(
            run.attempt.task_id,
            epoch=run.attempt.epoch,
            queue=queue,
            execution=execution,
            parameters=_parameters(run),
            policy=run.attempt.task.get("policy"),
            receipt=receipt,
        )
    task_id = run.attempt.task_id
    _let_go(run, client.url)
    _announce(answer, task_id, queue, run.url)


def leave_draft(run: LocalRun) -> None:
    """End ``run`` here and leave its task a draft, with its code and values and no outputs.

    Raises:
        ServerUnreachable: the run goes on here, recorded.
        TooLarge: the code is over the limit of a snapshot.
    """
    task_id = run.attempt.task_id
    with _client(run, "be left as a draft") as client:
        changes = _changes(run, client)
        _send_all(run, client, News(cause=causes.marked(Event.ABORT, "user", LEFT_AS_DRAFT)))
        client.reset(task_id)
        client.edit_task(task_id, **changes)
    _let_go(run, client.url)
    session.say(f"task {task_id[:8]} is left as a draft, in no queue · {page(run.url, task_id)}")


def clone(run: LocalRun, name: str = "", queue: str | None = None, **changes: Any) -> str:
    """A draft copy of ``run`` with its present code and parameters; returns its id.

    Args:
        name: ``Clone of …`` unless said.
        queue: to put it in; None leaves it a draft.
        changes: parameters and parent of the copy, as ``Client.edit_task`` takes them.

    Raises:
        NotFound: no such queue.
        ServerUnreachable: no server answers.
    """
    with _client(run, "be cloned") as client:
        if queue is not None:
            _check_queue(client, queue)
        mine = _changes(run, client)
        mine["parameters"] = {**mine["parameters"], **changes.pop("parameters", {})}
        mine["system_tags"] = changes.pop("system_tags", [])
        # Its name and parent first: what is edited after is of a task that is whole otherwise.
        title = name or f"Clone of {run.attempt.task['name']}"
        copy = client.clone_task(run.attempt.task_id, name=title, **changes)
        client.edit_task(copy.id, **mine)
        if queue is not None:
            answer = client.enqueue(copy.id, queue)
            _announce(answer, copy.id, queue, run.url)
    return copy.id


def tell_end(run: LocalRun) -> None:
    """Tell the server the end of a run that is over and has no companion; ``dray sync`` can too."""
    try:
        with Client.from_settings(run.settings, retries=0) as client:
            cause = ending(SpoolPaths(Path(run.attempt.spool)))
            _send_all(run, client, News(cause=cause))
    except DrayError as exc:
        session.say(
            f"warning: the end of the task is not told: {exc.message}. "
            f"Tell it later: dray sync {run.attempt.spool}"
        )


def _let_go(run: LocalRun, url: str) -> None:
    """The server has it all, and the task goes on elsewhere."""
    run.let_go()
    spool = SpoolPaths(Path(run.attempt.spool))
    save_shipped(spool, replace(load_shipped(spool, url), closed=True))


def _client(run: LocalRun, to_do: str) -> Client:
    """The server, at which the run is begun unless it is known there already."""
    if run.attempt.is_offline and not run.url:
        raise ServerUnreachable(
            f"this run is recorded without a server, so it cannot {to_do}. "
            f"It is kept in {run.attempt.spool}: send it with `dray sync {run.attempt.spool}` once "
            "a server is there, then start the script again"
        )
    client = Client.from_settings(replace(run.settings, url=run.url))
    if run.attempt.is_offline:  # it did not answer in time, or was not asked yet
        task_id, spool = run.attempt.task_id, SpoolPaths(Path(run.attempt.spool))
        try:
            task = client.get_task(task_id)
        except NotFound:
            task = None
        run.attempt.attempt["epoch"] = open_attempt(spool, client, task)
    return client


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


def _changes(run: LocalRun, client: Client) -> dict[str, Any]:
    """What makes a copy of the task run what runs here now."""
    changes: dict[str, Any] = {
        "execution": _execution(run, client),
        "parameters": _parameters(run),
        "configuration": _configuration(run),
    }
    policy = run.attempt.task.get("policy")
    return {**changes, "policy": policy} if policy else changes


def _execution(run: LocalRun, client: Client) -> dict[str, Any]:
    """What runs, its code sent as a snapshot."""
    captured = run.code.captured
    for warning in captured.warnings:
        session.say(f"warning: {warning}")
    snapshot = send_code(client, captured, run.settings)
    return {**_code(run), "snapshot": snapshot}


def _code(run: LocalRun) -> dict[str, Any]:
    return {k: v for k, v in run.attempt.execution().items() if k != "snapshot"}


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
