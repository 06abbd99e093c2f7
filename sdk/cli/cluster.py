"""``dray up``, ``down`` and ``status``: the local cluster, for which Ray must be installed."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime.errors import InvalidInput
from dray.sdk.cli import words
from dray.sdk.cli.output import Facts
from dray.sdk.cli.session import Session, verb, verbs

if TYPE_CHECKING:
    from dray.actors.cluster import ClusterInfo
    from dray.runtime.models import AgentRecord


app = verbs()


@verb(app, "up")
def up(
    session: Session,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="Ray cluster to join, such as auto."),
    ] = None,
    num_cpus: Annotated[
        int | None, typer.Option("--num-cpus", metavar="N", help="CPUs to offer.")
    ] = None,
    num_gpus: Annotated[
        int | None, typer.Option("--num-gpus", metavar="N", help="GPUs to offer.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Address to listen on.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Port to listen on.")
    ] = None,
) -> None:
    """Start the local cluster. Returns once it is healthy; finds one that runs already."""
    session.flags.update(host=host, port=port)
    info = start(session, address, num_cpus, num_gpus)
    if session.out.as_json:
        session.out.json(info)
        return
    session.out.note("Dray was up already." if info.was_up else "Dray is up.")
    facts = Facts()
    facts.add("page", info.page)
    facts.add("url", info.url)
    facts.add("home", info.home)
    facts.add("ray", info.ray_address)
    facts.add("agents", info.n_agents)
    session.out.facts(info, facts)


@verb(app, "down")
def down(
    session: Session,
    force: Annotated[
        bool, typer.Option("--force", help="Do not wait for running tasks to stop.")
    ] = False,
) -> None:
    """Stop the local cluster. Tasks, results and settings are kept."""
    report = _engine().down(session.settings, force=force)
    told = f", {words.count(report.n_told, 'running task')} told to stop" if report.n_told else ""
    session.out.answer(report, f"Dray is down{told}." if report.was_up else "Dray was not up.")


@verb(app, "status")
def status(session: Session) -> None:
    """Say what runs: server, actors, agents, tasks."""
    _show(session)


def start(
    session: Session,
    address: str | None = None,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
) -> ClusterInfo:
    """Bring the cluster up, or find it running."""
    engine = _engine()
    session.out.note("Starting …")
    return engine.up(session.settings, engine.UpOptions(address, num_cpus, num_gpus))


def _engine() -> ModuleType:
    """The part of Dray that needs Ray.

    Raises:
        InvalidInput: it is not installed here.
    """
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise InvalidInput("this needs Ray: run pip install 'dray[cluster]'", field="command")
    from dray.actors import cluster

    return cluster


def _show(session: Session) -> None:
    info, agents = session.client.server_info(), session.client.list_agents()
    queues = session.client.list_queues()
    n_running = sum(len(agent.task_ids) for agent in agents)
    facts = Facts()
    facts.add("dray", f"up, version {info.version}")
    facts.add("url", session.client.url)
    facts.add("home", info.home)
    facts.add("tasks", f"{n_running} running, {sum(q.n_pending for q in queues)} pending")
    facts.group("Control plane")
    for part in info.components:
        facts.add(part.name, f"{part.state} (pid {part.pid})")
    _add_agents(facts, agents)
    session.out.facts({"server": info, "agents": agents, "queues": queues}, facts)


def _add_agents(facts: Facts, agents: list[AgentRecord]) -> None:
    facts.group("Agents")
    for agent in agents:
        doing = ", ".join(words.short_id(i) for i in agent.task_ids) or "idle"
        facts.add(agent.name, f"{agent.state}, {agent.resources.label()}, {doing}")
