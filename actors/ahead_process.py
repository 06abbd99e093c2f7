"""One build ahead, in a process of its own: code, environment, imports; yields to tasks.

A process, because it reads source that nobody has looked at, because it can be ended with all it
started, and because its priority is its own. Its order is in a file, what it found out goes to its
stdout as JSON, a line each, and the log of the preparation to its stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dray.actors.orders import AheadOrder, AheadReport
from dray.actors.preparation import own_defaults
from dray.actors.workshop import GatewayBlobs
from dray.actors.yielding import YieldingPlace, yield_to_tasks
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.bytecode import compile_bytecode
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.cache.eviction import trim
from dray.envbuilder.cache.limits import limits_of
from dray.envbuilder.choice.choose import choose
from dray.envbuilder.containers.choice import container_place
from dray.envbuilder.containers.place import ContainerPlace
from dray.envbuilder.git.options import git_options
from dray.envbuilder.launch.hooks import NodeHooks, node_hooks
from dray.envbuilder.launch.plan import launch_plan
from dray.envbuilder.place import NODE, Place
from dray.envbuilder.smoke.check import check_imports
from dray.envbuilder.source.prepare import prepare_source
from dray.runtime import codec, config
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError, PreparationFailed
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from dray.runtime.run_defaults import with_defaults
from dray.sdk.client import Client

_ROOT = Path(__file__).parents[2]
#: In its own folder it would import what lies there.
_PROGRAM = (
    f"import sys; sys.path[:] = [p for p in sys.path if p] + [{str(_ROOT)!r}]; "
    "from dray.actors.ahead_process import main; main(sys.argv[1])"
)
#: Tells the process that a task waits for what it makes: it tries no imports.
WANTED = signal.SIGUSR1
#: The file of the order, in the folder that the build has for itself.
_ORDER = "order.json"
#: What the solver says, and says again on every node, of requirements that contradict each other
#: or that no index has; unless it could not look, or it is this node's doing.
REFUSAL = "No solution found when resolving"
COULD_NOT_LOOK = (
    *("network was disabled", "not found in the cache", "ailed to fetch", "offline"),
    *("authentication", "Unauthorized", "Forbidden", "provided package locations"),
    # Of this node's Python or platform, which another one need not have.
    *("current Python", "matching platform", "matching Python", "ABI tag"),
)


class _Log:
    """The log of the preparation, for whoever started this process."""

    def write(self, data: bytes, /) -> object:
        """Hand it over."""
        return os.write(2, data)


_LOG = _Log()


def command(folder: Path, order: AheadOrder, settings: Settings) -> list[str]:
    """Write the order down in ``folder``, which is this build's alone; how to start it."""
    said = {f.name: str(getattr(settings, f.name)) for f in fields(settings) if f.name != "token"}
    text = json.dumps({"order": codec.to_json(order), "settings": said})
    descriptor = os.open(folder / _ORDER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return [sys.executable, "-c", _PROGRAM, str(folder)]


def report_of(output: str) -> AheadReport:
    """What the process found out, as far as it came.

    Raises:
        ValueError: what it said is not what it says.
    """
    said: dict[str, Any] = {}
    for line in output.splitlines():
        said.update(json.loads(line))
    return codec.from_json(AheadReport, said)


def main(folder: str) -> None:
    """Do what the order in ``folder`` says; TERM ends it with everything it has begun."""
    yield_to_tasks()
    said = json.loads(Path(folder, _ORDER).read_text("utf-8"))
    order = codec.from_json(AheadOrder, said["order"])
    settings = config.load(said["settings"], {}, Path(folder)).settings
    asyncio.run(_until_terminated(order, settings, Path(folder)))


async def _until_terminated(order: AheadOrder, settings: Settings, folder: Path) -> None:
    is_wanted, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(WANTED, is_wanted.set)
    task = asyncio.ensure_future(_build(order, settings, folder, is_wanted))
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        os._exit(0)  # everything is cleaned up but threads, one of which may wait for a server


async def _unless(is_wanted: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do it, unless a task begins to wait for what else there is to do."""
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(is_wanted.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        if not task.done():
            task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def _tell(**members: object) -> None:
    print(json.dumps(codec.to_json(members)), flush=True)


def _end(cause: Cause | None = None, notes: Sequence[str] = ()) -> None:
    """Nothing more will be found out."""
    _tell(cause=cause, notes=list(notes), looked_at=True)


async def _build(
    order: AheadOrder, settings: Settings, folder: Path, is_wanted: asyncio.Event
) -> None:
    execution = with_defaults(order.execution, own_defaults(settings))
    node, code = NodePaths(settings.cache), folder / "code"
    limits = limits_of(settings)
    try:
        hooks = await asyncio.to_thread(node_hooks, settings)
        has_code = await _lay_code(execution, order, settings, code)
        place = await _place_of(execution, settings, node, hooks)
        spec = await choose(execution, code)
        environment = await ensure_environment(spec, node, _LOG, place=place, limits=limits)
    except (DrayError, OSError) as exc:
        cause = refused_cause(exc)
        _end(cause, [] if cause else [str(exc)])
        return
    with environment:
        _tell(environment=environment.report)
        if has_code:
            look = _look_at(execution, environment, code, hooks, place)
            await _unless(is_wanted, look)
        if not environment.reused:
            await compile_bytecode(environment, place.run)
    await trim(node, limits)


async def _lay_code(
    execution: Execution, order: AheadOrder, settings: Settings, code: Path
) -> bool:
    """The task's code; False where somebody asks for an environment of packages alone."""
    if not (execution.snapshot or execution.repository or execution.diff.strip()):
        await asyncio.to_thread(code.mkdir)
        return False
    node, git = NodePaths(settings.cache), git_options(settings)
    with Client(order.url, order.token, retries=0) as client:
        await prepare_source(execution, code, node, GatewayBlobs(client), _LOG, git=git)
    return True


async def _place_of(
    execution: Execution, settings: Settings, node: NodePaths, hooks: NodeHooks
) -> Place:
    """Where it would run, of which its container has nobody in it yet."""
    if execution.container.image:
        return await container_place(execution, settings, node, _LOG, folders=hooks.python_path)
    return YieldingPlace(NODE)


async def _look_at(
    execution: Execution, environment: Environment, code: Path, hooks: NodeHooks, place: Place
) -> None:
    """Whether it would start, and what it imports."""
    try:
        plan = launch_plan(execution, environment, code, code, {}, hooks=hooks)
    except PreparationFailed as exc:
        cause = start_cause(exc)
        _end(cause, [] if cause else [str(exc)])
        return
    if isinstance(place, ContainerPlace):  # it would need what is not in the image
        _end(notes=["its imports are not looked at: it runs in a container"])
        return
    is_open = bool(hooks.setup_script.strip())
    smoke = await check_imports(execution, plan, code, place=place, is_open=is_open)
    _end(smoke.cause, smoke.notes)


def refused_cause(exc: Exception) -> Cause | None:
    """The cause of a task whose requirements the solver refuses; None of whatever else fails.

    Every node would hear the same. What one node cannot do (a missing Python, an index that does
    not answer, credentials, a full disk) another one may.
    """
    evidence = str(exc.details.get("evidence", "")) if isinstance(exc, PreparationFailed) else ""
    if not isinstance(exc, PreparationFailed) or REFUSAL not in evidence:
        return None
    if any(words in evidence for words in COULD_NOT_LOOK):
        return None
    return Cause(CauseKind(exc.details["kind"]), exc.message).with_evidence(evidence)


def start_cause(exc: PreparationFailed) -> Cause | None:
    """The cause of a task whose own words say that it cannot be started, on no node at all."""
    if not str(exc.details.get("field", "")).startswith("execution."):
        return None
    evidence = str(exc.details.get("evidence", ""))
    return Cause(CauseKind(exc.details["kind"]), exc.message).with_evidence(evidence)
