"""The one door to Ray: names, options, get-or-create, node facts; nobody else calls Ray.

Actor classes are plain classes; this module adds name, namespace, life, concurrency and
resources. Every actor is detached and named, so that any process of the cluster finds it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, cast

import ray as untyped_ray
from ray import exceptions as ray_exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dray.actors.orders import Health
from dray.runtime.errors import ServerUnreachable
from dray.runtime.policy import NodeView
from dray.runtime.resources import Resources

# Ray's own annotations are partly unknown to a strict type checker; this is the border.
ray: Any = untyped_ray

NAMESPACE = "dray"
GATEWAY = "gateway"
SCHEDULER = "scheduler"

#: Calls an async actor serves at once; long ones (run, watch) hold a place each.
CONCURRENCY = 10_000
#: Held by actors that must live on the head node, where the data folder is.
HEAD = "node:__internal_head__"
#: A token amount: Ray wants more than zero of a resource to place by it.
TOKEN_AMOUNT = 0.001

#: What a caller sees when the actor is gone for good, or can never be placed (its node is gone).
ActorGone = (ray_exceptions.ActorDiedError, ray_exceptions.ActorUnschedulableError)
#: What a caller sees when an actor could not be reached, this time or for good.
ActorTrouble = (ray_exceptions.RayActorError, ray_exceptions.ActorUnschedulableError)
#: What a caller sees when the method itself raised.
CallFailed = ray_exceptions.RayTaskError
#: What a driver sees when an answer took too long.
CallTimeout = ray_exceptions.GetTimeoutError


class Handle(Protocol):
    """An actor from outside: ``await handle.method.remote(...)``."""

    def __getattr__(self, name: str) -> Any:
        """The remote method of that name."""
        ...


def queue_actor_name(queue: str) -> str:
    """The Ray name of a queue's actor."""
    return f"queue:{queue}"


def agent_actor_name(agent: str) -> str:
    """The Ray name of an agent's actor."""
    return f"agent:{agent}"


def builder_actor_name(node_id: str) -> str:
    """The Ray name of the actor that builds environments on a node."""
    return f"builder:{node_id}"


@dataclass(frozen=True)
class ActorOptions:
    """What Ray must know of an actor beyond its class.

    Attributes:
        restarts: coordinators restart for ever and re-read the store; an agent never does,
            because its death is the proof that its attempts are dead, nor does a builder.
        on_head: place it on the head node.
        node_id: place it on this node.
        resources: what it holds; coordinators hold nothing.
    """

    name: str
    restarts: bool = True
    on_head: bool = False
    node_id: str = ""
    resources: Resources = field(default_factory=lambda: Resources(cpus=0))


def get_or_create(cls: type[Any], options: ActorOptions, *args: Any) -> Handle:
    """The actor of that name, made when there is none."""
    held = options.resources
    custom = dict(held.custom)
    if options.on_head:
        custom[HEAD] = TOKEN_AMOUNT
    keywords: dict[str, Any] = {
        "name": options.name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1 if options.restarts else 0,
        "max_task_retries": -1 if options.restarts else 0,
        "max_concurrency": CONCURRENCY,
        "num_cpus": held.cpus,
        "num_gpus": held.gpus,
        "resources": custom,
    }
    if held.memory_bytes:
        keywords["memory"] = held.memory_bytes
    if options.node_id:
        keywords["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
            options.node_id, soft=False
        )
    return cast("Handle", ray.remote(cls).options(**keywords).remote(*args))


def find(name: str) -> Handle | None:
    """The actor of that name; None when there is none."""
    try:
        return cast("Handle", ray.get_actor(name, namespace=NAMESPACE))
    except ValueError:
        return None


def first_line(exc: BaseException) -> str:
    """What an error of Ray says, without the traces that follow."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]


def kill(name: str) -> None:
    """End an actor at once, without restart; nothing happens when there is none."""
    handle = find(name)
    if handle is not None:
        ray.kill(handle, no_restart=True)


async def live_nodes() -> tuple[NodeView, ...]:
    """The live nodes of the cluster and what each has in total."""
    rows = cast("list[dict[str, Any]]", await asyncio.to_thread(ray.nodes))
    return tuple(
        NodeView(str(row["NodeID"]), {k: float(v) for k, v in row["Resources"].items()})
        for row in rows
        if row["Alive"]
    )


def own_node_id() -> str:
    """The node this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def own_restarts() -> bool:
    """Whether this actor process is a restarted one."""
    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def own_gpu_ids() -> list[str]:
    """The GPUs Ray gave to this actor, as ``CUDA_VISIBLE_DEVICES`` names them."""
    return [str(gpu) for gpu in ray.get_gpu_ids()]


def connect(address: str) -> None:
    """Join the cluster at ``address`` as a driver.

    Raises:
        ServerUnreachable: no Ray answers there, or it asks for another token.
    """
    try:
        ray.init(
            address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, ray_exceptions.RayError, ValueError, RuntimeError) as exc:
        raise ServerUnreachable(
            f"no Ray cluster can be joined at {address} ({exc}); start one with "
            "`ray start --head`, or leave --address out to have Dray start its own",
            address=address,
        ) from exc


def disconnect() -> None:
    """Leave the cluster; detached actors stay."""
    ray.shutdown()


def get(reference: Any, timeout_s: float) -> Any:
    """The value of a remote call, for drivers; coroutines await the reference instead."""
    return ray.get(reference, timeout=timeout_s)


def own_health() -> Health:
    """What this actor answers when it is asked whether it is there."""
    return Health(own_pid(), own_restarts(), own_node_id())


def own_pid() -> int:
    """The process id, for people who look at ``dray status``."""
    return os.getpid()


@lru_cache(maxsize=1)
def gateway() -> Handle:
    """The gateway, which restarts under the same handle."""
    return _must_find(GATEWAY)


@lru_cache(maxsize=1)
def scheduler() -> Handle:
    """The scheduler, which restarts under the same handle."""
    return _must_find(SCHEDULER)


def _must_find(name: str) -> Handle:
    handle = find(name)
    if handle is None:
        raise ServerUnreachable(f"no actor named {name!r} in this cluster; start it with: dray up")
    return handle


def kill_all() -> None:
    """End every actor of Dray in this cluster, agents first."""
    names = [
        str(entry["name"])
        for entry in ray.util.list_named_actors(all_namespaces=True)
        if entry["namespace"] == NAMESPACE
    ]
    for name in sorted(names, key=lambda name: not name.startswith("agent:")):
        kill(name)
