"""Source and environment of an attempt, and how its process is started."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dray.actors.orders import WorkOrder
from dray.actors.streams import AttemptSpool
from dray.actors.workshop import GatewayBlobs, Workshop
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.bytecode import compile_bytecode
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.cache.eviction import trim
from dray.envbuilder.cache.limits import limits_of
from dray.envbuilder.choice.choose import choose
from dray.envbuilder.containers.box import Box
from dray.envbuilder.containers.choice import container_place
from dray.envbuilder.containers.place import ContainerPlace, Occupant
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.git.mirrors import prune_mirrors
from dray.envbuilder.git.options import git_options, mirror_limits
from dray.envbuilder.launch.child_code import child_code
from dray.envbuilder.launch.hooks import NodeHooks, node_hooks
from dray.envbuilder.launch.plan import LaunchPlan, launch_plan
from dray.envbuilder.launch.setup_script import SetupOutput, SetupPlan, with_setup
from dray.envbuilder.place import NODE, Place
from dray.envbuilder.source.prepare import PreparedSource, prepare_source
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.log import NoLog, say
from dray.envbuilder.tools.secrets import reveal
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError
from dray.runtime.execution import Container, EnvironmentReport, Execution, RunDefaults
from dray.runtime.hardware import cuda_version
from dray.runtime.paths import AttemptPaths
from dray.runtime.run_defaults import with_defaults
from dray.sdk.client import Client

log = logging.getLogger("dray.agent")


@dataclass(frozen=True)
class Prepared:
    """All that a child needs; ``environment`` is held until it is released.

    Attributes:
        setup: tells what setup scripts, which run in the child first, say; None: there are none.
        image: by digest, that it runs in; empty: in no container.
        box: its container; None: it runs in none.
        cuda: version that the node's driver speaks; empty: it has none.
    """

    plan: LaunchPlan
    environment: Environment
    source: PreparedSource
    setup: SetupOutput | None = None
    image: str = ""
    box: Box | None = None
    cuda: str = ""

    @property
    def report(self) -> EnvironmentReport:
        """What was prepared, as the attempt tells it."""
        return replace(
            self.environment.report,
            commit=self.source.commit,
            image=self.image,
            cuda=self.cuda,
        )


async def prepare(
    order: WorkOrder, spool: AttemptSpool, shop: Workshop, client: Client
) -> Prepared:
    """Lay out the code and get the environment.

    Raises:
        PreparationFailed: one of them cannot be made; the log has the details.
    """
    execution = with_defaults(order.task.execution, order.defaults, own_defaults(shop.settings))
    _refuse_system_packages(execution)
    hooks = await asyncio.to_thread(node_hooks, shop.settings)
    started = replace(execution, variables=await _revealed(execution.variables))
    place, inherited = await _place_of(execution, order, spool, shop, hooks)
    git, blobs = git_options(shop.settings), GatewayBlobs(client)
    source = await prepare_source(execution, spool.code, shop.node, blobs, spool, git=git)
    if source.origin == "git":
        shop.background.start_soon(_prune_mirrors, shop, name="prune mirrors")
    spec = await choose(execution, spool.code)
    limits = limits_of(shop.settings)
    environment = await ensure_environment(spec, shop.node, spool, place=place, limits=limits)
    if not environment.reused:
        shop.background.start_soon(
            _finish_environment, spec, shop, place, name="finish environment"
        )
    try:
        tag = environment.cache_tag
        ours = await child_code(shop.node, environment.python, tag, place.run)
        variables = _variables(order, spool, shop)
        plan = launch_plan(
            started, environment, spool.code, ours, variables, inherited, hooks=hooks
        )
        setup = await _setup(execution, plan, hooks, list(variables), spool)
        launched = await asyncio.to_thread(place.launch, plan if setup is None else setup.plan)
        cuda = await asyncio.to_thread(cuda_version)
    except BaseException:
        environment.release()
        raise
    output = None if setup is None else setup.output
    prepared = Prepared(launched, environment, source, output, cuda=cuda)
    if isinstance(place, ContainerPlace):
        return replace(prepared, image=place.image.digest, box=place.box)
    return prepared


async def _revealed(variables: Mapping[str, str]) -> dict[str, str]:
    """The task's own variables with the node's secrets that they refer to."""
    secrets = await reveal(variables.values())
    return {name: secrets.in_text(value) for name, value in variables.items()}


async def _setup(
    execution: Execution,
    plan: LaunchPlan,
    hooks: NodeHooks,
    reserved: list[str],
    spool: AttemptSpool,
) -> SetupPlan | None:
    """``plan`` with the setup scripts of agent and task before it; None: there are none."""
    container = execution.container
    if not container.image and (container.setup_script or container.arguments):
        say(spool, "the task runs in no container: what it says of one is left out")
    own = container.setup_script if container.image else ""
    scripts = (hooks.setup_script, own, execution.setup_script)
    if not any(script.strip() for script in scripts):
        return None
    say(spool, "running the setup script")
    return await asyncio.to_thread(with_setup, plan, scripts, reserved, spool.root / "setup")


def _refuse_system_packages(execution: Execution) -> None:
    """A node is shared: what a task has the system install there would be every task's."""
    if execution.system_packages and not execution.container.image:
        names = " ".join(execution.system_packages)
        raise environment_failed(
            f"the task asks for system packages ({names}), which are installed in containers only: "
            "name an image with task.set_base_docker(docker_image=...), or have them installed on "
            "the node and clear execution.system_packages",
            field="execution.system_packages",
        )


def own_defaults(settings: Settings) -> RunDefaults:
    """How this agent runs tasks that do not say it themselves."""
    container = Container(settings.container_image, settings.container_arguments)
    return RunDefaults(settings.environment_manager, container, settings.torch_backend)


async def _place_of(
    execution: Execution, order: WorkOrder, spool: AttemptSpool, shop: Workshop, hooks: NodeHooks
) -> tuple[Place, Mapping[str, str] | None]:
    """Where it runs, and which variables a process inherits there; None: the agent's."""
    if not execution.container.image:
        return NODE, None
    occupant = Occupant(
        task_id=order.task.id,
        epoch=order.epoch,
        agent=shop.agent,
        node_name=shop.node_name,
        paths=AttemptPaths(spool.root),
        holder=spool.lock_path,
        gpus=tuple(shop.gpus),
        memory_bytes=execution.resources.memory_bytes,
    )
    place = await container_place(
        execution, shop.settings, shop.node, spool, occupant, hooks.python_path
    )
    return place, place.variables()


async def _prune_mirrors(shop: Workshop) -> None:
    try:
        for mirror in await prune_mirrors(shop.node, mirror_limits(shop.settings)):
            log.info("removed the mirror of %s, which nobody used for longest", mirror.url)
    except OSError as exc:
        log.warning("mirrors of git repositories could not be looked through: %s", exc)


async def _finish_environment(spec: EnvironmentSpec, shop: Workshop, place: Place) -> None:
    """What a new environment may do without at first: its bytecode, and room for the next."""
    try:
        with await ensure_environment(spec, shop.node, NoLog(), place=place) as environment:
            await compile_bytecode(environment, place.run)
        for key in await trim(shop.node, limits_of(shop.settings)):
            log.info("removed environment %s, which nobody used for longest", key[:12])
    except (DrayError, OSError) as exc:
        log.warning("an environment is used as it was built: %s", exc)


def _variables(order: WorkOrder, spool: AttemptSpool, shop: Workshop) -> dict[str, str]:
    return {
        "DRAY_TASK_ID": order.task.id,
        "DRAY_EPOCH": str(order.epoch),
        "DRAY_SPOOL": str(spool.paths.root),
        "DRAY_URL": order.url,
        "DRAY_TOKEN": order.token,
        "DRAY_AGENT": shop.agent,
        **shop.device_variables(),
    }
