"""``dray agent``: who runs tasks, and what on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dray.sdk.cli import words
from dray.sdk.cli.output import Column, Facts
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.models import AgentRecord

app = group("Agents: who runs tasks, and what on.")

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="Name of an agent.")]


@verb(app, "list")
def list_(session: Session) -> None:
    """List agents and what each is doing."""
    columns: list[Column[AgentRecord]] = [
        Column("AGENT", lambda a: a.name),
        Column("STATE", lambda a: a.state),
        Column("KIND", lambda a: a.kind),
        Column("HOLDS", lambda a: a.resources.label()),
        Column("QUEUES", _queues),
        Column("NODE", lambda a: a.node),
        Column(
            "RUNS",
            lambda a: ",".join(a.task_ids),
            lambda a: ", ".join(words.short_id(i) for i in a.task_ids) or "idle",
        ),
    ]
    session.out.table(
        session.client.list_agents(),
        columns,
        empty="No agents yet; elastic ones start when a task needs them.",
    )


@verb(app, "show")
def show(session: Session, name: AgentArgument) -> None:
    """Show one agent and what it runs."""
    agent = session.client.get_agent(name)
    facts = Facts()
    facts.add("agent", agent.name)
    facts.add("state", agent.state)
    facts.add("reason", agent.reason)
    facts.add("kind", agent.kind)
    facts.add("holds", agent.resources.label())
    facts.add("queues", _queues(agent))
    facts.add("slots", agent.slots)
    facts.add("node", agent.node)
    facts.add("started", words.moment(agent.created_at))
    facts.add("last seen", words.moment(agent.last_seen_at))
    facts.add("runs", ", ".join(agent.task_ids))
    session.out.facts(agent, facts)


@verb(app, "drain")
def drain(
    session: Session,
    name: AgentArgument,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at it.")] = "by hand",
) -> None:
    """Give an agent no more work. What it runs ends by itself, what it holds stays held."""
    agent = session.client.drain_agent(name, reason)
    session.out.answer(
        agent, f"{name} is drained; give it work again with: dray agent resume {name}"
    )


@verb(app, "resume")
def resume(session: Session, name: AgentArgument) -> None:
    """Give a drained agent work again."""
    session.out.answer(session.client.resume_agent(name), f"{name} takes work again")


@verb(app, "stop")
def stop(session: Session, name: AgentArgument) -> None:
    """End an agent and free what it holds. What it runs goes back to its queue."""
    session.out.answer(session.client.stop_agent(name), f"{name} is being stopped")


def _queues(agent: AgentRecord) -> str:
    return ",".join(agent.queues) or "all"
