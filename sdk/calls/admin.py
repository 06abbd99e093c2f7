"""Calls about queues, agents, projects and the server itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dray.runtime.answers import IntegrityReport, ServerInfo
from dray.runtime.codec import to_json
from dray.runtime.execution import RunDefaults
from dray.runtime.models import AgentRecord, Project, Queue, QueueEntry
from dray.sdk.http.call import (
    Call,
    Conversation,
    as_,
    as_nothing,
    as_page,
    at,
    creating,
    every_item,
)

#: A large store is copied, or read from end to end, before the first byte of the answer.
UPKEEP_TIMEOUT_S = 3600.0


def create_queue(
    name: str, *, elastic: bool = True, defaults: RunDefaults | Mapping[str, Any] | None = None
) -> Call[Queue]:
    """A new queue.

    Args:
        name: letters, digits and ``. _ - : @ +``.
        elastic: agents are made for its tasks as needed.
        defaults: how its tasks run that do not say it themselves.
    """
    body: dict[str, Any] = {"name": name, "elastic": elastic}
    if defaults is not None:
        body["defaults"] = to_json(defaults)
    return creating("POST", "/queues", as_(Queue), body)


def edit_queue(name: str, *, defaults: Mapping[str, Any]) -> Call[Queue]:
    """Change some members of a queue's ``defaults``; those of ``container`` one by one."""
    return Call("PATCH", at("queues", name), as_(Queue), body={"defaults": to_json(defaults)})


def get_queue(name: str) -> Call[Queue]:
    """A queue with how many tasks wait in it and whether it is served."""
    return Call("GET", at("queues", name), as_(Queue))


def list_queues() -> Conversation[list[Queue]]:
    """Every queue."""
    return every_item(Call("GET", "/queues", as_page(Queue)))


def delete_queue(name: str, *, force: bool = False) -> Call[None]:
    """Delete a queue; with ``force`` also one in which tasks wait."""
    return Call("DELETE", at("queues", name), as_nothing, query={"force": force or None})


def queue_tasks(name: str) -> Conversation[list[QueueEntry]]:
    """What waits in a queue, in the order it will be taken."""
    return every_item(Call("GET", at("queues", name, "tasks"), as_page(QueueEntry)))


def list_agents() -> Conversation[list[AgentRecord]]:
    """Every agent there is."""
    return every_item(Call("GET", "/agents", as_page(AgentRecord)))


def get_agent(name: str) -> Call[AgentRecord]:
    """One agent and what it runs."""
    return Call("GET", at("agents", name), as_(AgentRecord))


def drain_agent(name: str, reason: str) -> Call[AgentRecord]:
    """Give an agent no more work; what it holds stays held."""
    return _of_agent(name, "drain", {"reason": reason})


def resume_agent(name: str) -> Call[AgentRecord]:
    """Give a drained agent work again."""
    return _of_agent(name, "resume")


def stop_agent(name: str) -> Call[AgentRecord]:
    """End an agent; what it runs is stopped and goes back to its queue."""
    return _of_agent(name, "stop")


def create_project(name: str, *, description: str = "") -> Call[Project]:
    """A new project; names nest by ``/``."""
    body = {"name": name, "description": description}
    return creating("POST", "/projects", as_(Project), body)


def get_project(name: str) -> Call[Project]:
    """A project by name or id."""
    return Call("GET", at("projects", name), as_(Project))


def list_projects() -> Conversation[list[Project]]:
    """Every project."""
    return every_item(Call("GET", "/projects", as_page(Project)))


def edit_project(project: str, **changes: Any) -> Call[Project]:
    """Change ``name`` or ``description`` of the project of that name or id."""
    return Call("PATCH", at("projects", project), as_(Project), body=to_json(changes))


def delete_project(project: str) -> Call[None]:
    """Delete an empty project."""
    return Call("DELETE", at("projects", project), as_nothing)


def server_info() -> Call[ServerInfo]:
    """Version, address and start of the server."""
    return Call("GET", "/server", as_(ServerInfo))


def check_store(*, deep: bool = False) -> Call[IntegrityReport]:
    """Whether the server's store keeps every invariant; ``deep`` also reads every blob."""
    return Call(
        "GET",
        "/server/integrity",
        as_(IntegrityReport),
        query={"deep": deep or None},
        timeout_s=UPKEEP_TIMEOUT_S,
        retries=0,
    )


def healthz() -> Call[bool]:
    """Whether a server answers at the address; needs no token and is not repeated.

    Raises:
        ServerUnreachable: none does.
    """
    return Call("GET", "/healthz", lambda _: True, base="", retries=0)


def _of_agent(name: str, verb: str, body: Any = None) -> Call[AgentRecord]:
    return Call("POST", at("agents", name, verb), as_(AgentRecord), body=body)
