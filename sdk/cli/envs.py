"""``dray env``: the environments that nodes keep for tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dray.runtime import durations
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable
from dray.sdk.cli import options, words
from dray.sdk.cli.output import Column, Facts
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.environments import (
        CachedEnvironment,
        EnvironmentBuilt,
        EnvironmentDetails,
        EnvironmentWhy,
        NodeEnvironments,
        Pruned,
    )
    from dray.sdk.cli.envs_here import Caches

app = group("Environments that nodes keep for tasks.")

#: Lines of one difference that are listed on a terminal.
_LINES_SHOWN = 30

EnvArgument = Annotated[
    str,
    typer.Argument(metavar="ENV", help="Key of an environment, or its first digits; or a task's."),
]
HereOption = Annotated[
    bool, typer.Option("--here", help="The cache of this machine, without asking a server.")
]
NodeOption = Annotated[str, typer.Option("--node", metavar="NODE", help="Of this node only.")]


@dataclass(frozen=True)
class _Row:
    node: str
    environment: CachedEnvironment


@verb(app, "list")
def list_(session: Session, node: NodeOption = "", here: HereOption = False) -> None:
    """List the environments of every node, used last first."""
    nodes = _of_node(_caches(session, here).list_environments(), node)
    columns: list[Column[_Row]] = [
        Column("ENV", lambda r: r.environment.key, lambda r: r.environment.key[:12]),
        Column("NODE", lambda r: r.node),
        Column("STATE", lambda r: str(r.environment.state)),
        Column("PYTHON", lambda r: r.environment.python),
        Column("MANAGER", lambda r: r.environment.manager),
        Column("FROM", lambda r: r.environment.origin),
        Column("PACKAGES", lambda r: str(r.environment.n_packages)),
        Column(
            "SIZE", lambda r: str(r.environment.n_bytes), lambda r: _size(r.environment.n_bytes)
        ),
        Column("USERS", lambda r: str(r.environment.n_users)),
        Column(
            "USED",
            lambda r: words.moment(r.environment.used_at),
            lambda r: words.ago(r.environment.used_at),
        ),
    ]
    if session.out.as_json:
        session.out.json(nodes)
    else:
        rows = [_Row(n.node, e) for n in nodes for e in n.environments]
        session.out.table(rows, columns, empty="No environments yet; tasks leave theirs here.")
    for line in _about_nodes(nodes):
        session.out.note(line)


@verb(app, "show")
def show(
    session: Session, env: EnvArgument, node: NodeOption = "", here: HereOption = False
) -> None:
    """Show one environment: what its key covers, what is installed. Its files are compared."""
    found = _details(session, _caches(session, here), env, node)
    session.out.facts(found, _facts(found))


@verb(app, "build")
def build(
    session: Session,
    task_id: Annotated[
        str | None,
        typer.Argument(metavar="TASK", help="Task whose environment to build; or give packages."),
    ] = None,
    packages: options.Packages = None,
    python: options.Python = None,
    node: NodeOption = "",
    here: HereOption = False,
) -> None:
    """Build a task's environment, or one of packages, before it is needed."""
    from dray.runtime.environments import EnvironmentRequest
    from dray.runtime.errors import UsageError
    from dray.runtime.execution import Execution

    if (task_id is None) == (not packages):
        raise UsageError("give either a TASK, or --package (several times), not both and not none")
    execution = None
    if task_id is None:
        wanted = list(packages or ())
        execution = Execution(packages=wanted, packages_from="task", python_version=python or "")
    elif python:
        raise UsageError("--python goes with --package; a task says its own Python")
    request = EnvironmentRequest(task_id or "", execution, node)
    made = _caches(session, here).build_environment(request)
    session.out.answer(made, _built_in_words(made))


@verb(app, "prune")
def prune(
    session: Session,
    envs: Annotated[
        list[str] | None,
        typer.Argument(metavar="ENV...", help="These alone; all that nothing uses unless given."),
    ] = None,
    unused_for: Annotated[
        str,
        typer.Option("--unused-for", metavar="TIME", help="Only what was unused so long: 7d, 12h."),
    ] = "0s",
    here: HereOption = False,
) -> None:
    """Remove environments and mirrors of git repositories that nothing uses.

    Tasks that need one of them again build or fetch it again.
    """
    caches = _caches(session, here)
    keys = [_details(session, caches, env, "").environment.key for env in envs or ()]
    unused_for_s = durations.seconds(unused_for, "--unused-for")
    done = caches.prune_environments(keys, unused_for_s=unused_for_s)
    session.out.answer(done, "\n".join(_pruned_in_words(each) for each in done))


@verb(app, "why")
def why(
    session: Session,
    env: EnvArgument,
    other: Annotated[
        str | None,
        typer.Argument(metavar="OTHER", help="Environment or task to compare with."),
    ] = None,
    node: NodeOption = "",
    here: HereOption = False,
) -> None:
    """Say what differs between two environments; of one, why it had to be built."""
    caches = _caches(session, here)
    left = _details(session, caches, env, node)
    if other is None:
        found = caches.why_environment(left.environment.key, node=left.node)
    else:
        found = _between(left, _details(session, caches, other, node))
    if session.out.as_json:
        session.out.json(found)
        return
    print(found.summary)
    for line in _in_lines(found):
        print(line)


def _caches(session: Session, here: bool) -> Caches:
    """The server's nodes; this machine where that is asked for, or no server is known."""
    from dray.sdk.cli.envs_here import Here

    try:
        client = session.client
    except ServerUnreachable:
        if not here:
            session.out.note("dray: no server is configured: this is the cache of this machine")
        return Here(session.settings)
    return Here(session.settings, client) if here else client


def _details(session: Session, caches: Caches, text: str, node: str) -> EnvironmentDetails:
    """The environment that ``text`` begins, or that a task of that id has run in."""
    try:
        return caches.get_environment(text, node=node)
    except NotFound as none:
        key = _key_of_task(session, text, none)
        return caches.get_environment(key, node=node)


def _key_of_task(session: Session, text: str, none: NotFound) -> str:
    try:
        task = session.client.get_task(text)
    except DrayError:
        raise none from None
    report = task.attempt.environment if task.attempt else None
    if report is None:
        raise NotFound(
            f"task {task.id[:8]} has no environment yet; to build it: dray env build {task.id[:8]}"
        )
    return report.key


def _between(left: EnvironmentDetails, right: EnvironmentDetails) -> EnvironmentWhy:
    from dray.envbuilder.cache.why import compare

    keys = left.environment.key, right.environment.key
    return compare(keys[0], left.covered, keys[1], right.covered)


def _of_node(nodes: Sequence[NodeEnvironments], node: str) -> list[NodeEnvironments]:
    found = [each for each in nodes if node in ("", each.node)]
    if node and not found:
        there = ", ".join(each.node for each in nodes) or "none"
        raise NotFound(f"no node {node!r}; there are: {there}")
    return found


def _about_nodes(nodes: Sequence[NodeEnvironments]) -> Iterator[str]:
    for each in nodes:
        if each.problem:
            yield f"{each.node}: did not answer: {each.problem}"
            continue
        yield (
            f"{each.node}: {words.count(len(each.environments), 'environment')}, "
            f"{_size(each.n_bytes)} of at most {_size(each.limit_bytes)}, "
            f"{_size(each.free_bytes)} of disk free"
        )


def _facts(found: EnvironmentDetails) -> Facts:
    e = found.environment
    facts = Facts()
    facts.add("environment", e.key)
    facts.add("state", e.state)
    facts.add("because", e.problem)
    facts.add("node", found.node)
    facts.add("folder", found.folder)
    facts.add("python", f"{e.python}  {e.platform}".strip())
    facts.add("manager", e.manager)
    facts.add("made from", e.origin)
    facts.add("torch backend", e.torch_backend)
    facts.add("container", e.place)
    facts.add("size", _size(e.n_bytes))
    facts.add("users now", e.n_users or None)
    facts.add("last used", words.moment(e.used_at))
    facts.add("built", words.moment(e.created_at))
    facts.add("built in", words.duration(e.build_seconds) if e.build_seconds else "")
    facts.group("Asked for")
    for part, value in found.covered.items():
        facts.add(part, _part_in_words(value))
    facts.group("Installed")
    for line in found.installed:
        name, _, version = line.partition("==")
        facts.add(name if version else line.partition(" ")[0], version or line.partition(" ")[2])
    return facts


def _part_in_words(value: Any) -> str:
    if isinstance(value, dict):  # a file by its name: its text is long
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list):
        return "\n".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value or "")


def _in_lines(found: EnvironmentWhy) -> Iterator[str]:
    for each in found.differences:
        yield f"\n{each.part}{f': {each.note}' if each.note else ''}"
        lines = [*(f"  - {x}" for x in each.removed), *(f"  + {x}" for x in each.added)]
        yield from lines[:_LINES_SHOWN]
        if len(lines) > _LINES_SHOWN:
            yield f"  … and {len(lines) - _LINES_SHOWN} more (--json has all)"


def _built_in_words(made: EnvironmentBuilt) -> str:
    what = "is there already" if made.reused else f"built in {words.duration(made.seconds)}"
    e = made.environment
    return (
        f"{e.key}  {what} on {made.node}: Python {e.python}, "
        f"{words.count(e.n_packages, 'package')}, {_size(e.n_bytes)}"
    )


def _pruned_in_words(done: Pruned) -> str:
    if done.problem:
        return f"{done.node}: did not answer: {done.problem}"
    kept = f", {done.n_in_use} in use stay" if done.n_in_use else ""
    removed = words.count(len(done.removed), "environment")
    if done.mirrors:
        removed += f" and {words.count(len(done.mirrors), 'mirror')} of git repositories"
    return f"{done.node}: removed {removed}, {_size(done.n_bytes)}{kept}"


def _size(n_bytes: int) -> str:
    """A size in the unit that reads best."""
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
