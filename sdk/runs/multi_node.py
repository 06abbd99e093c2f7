"""``Task.launch_multi_node``: copies of a task as further nodes, told apart by their rank.

What is missing until nodes are started as one: each copy waits in its queue for itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from dray.runtime import aliases
from dray.runtime.errors import InvalidInput, UsageError
from dray.sdk.parameters import values as parameters
from dray.sdk.tasks.base import TaskBase

SECTION = "launch_multi_node"
#: System tags of the copies.
TAG, HIDDEN = "multi_node_instance", "hidden"
#: Set in rank 0 once its copies are enqueued, for the processes it starts.
_LAUNCHED = "DRAY_MULTI_NODE_MASTER"
#: What a copy is told by rank 0.
_TOLD = ("master_addr", "master_port", "node_rank", "wait")


@dataclass(frozen=True)
class Wanted:
    """The arguments of ``launch_multi_node``."""

    total_num_nodes: int
    port: int | None
    queue: str | None
    wait: bool
    addr: str | None
    devices: int | Sequence[int] | None


def launch(task: TaskBase, wanted: Wanted, *, hide_children: bool) -> dict[str, Any]:
    """The configuration of this node; rank 0 under an agent makes and enqueues the others.

    Raises:
        UsageError: less than one node, or no queue.
    """
    attempt = task.attempt_here
    assert attempt is not None  # noqa: S101  (checked by the caller)
    if wanted.total_num_nodes < 1:
        raise UsageError(
            f"total_num_nodes {wanted.total_num_nodes} is less than 1, which is this node",
            field="total_num_nodes",
            value=wanted.total_num_nodes,
        )
    executed = str(attempt.task.get("queue") or "")
    if attempt.is_remote and not (wanted.queue or executed):
        raise UsageError(
            "launch_multi_node: this task came from no queue, so queue must be given", field="queue"
        )
    connect: Any = getattr(task, "connect")  # noqa: B009  (of the part that comes with parameters)
    editable = {"total_num_nodes": wanted.total_num_nodes, "queue": wanted.queue}
    edited: dict[str, Any] = dict(connect(editable, name=SECTION))
    conf: dict[str, Any] = {
        "master_addr": _first("ADDR") or wanted.addr or _private_address(),
        "master_port": int(_first("PORT") or wanted.port or 29500),
        "node_rank": 0,
        "wait": wanted.wait,
        "devices": wanted.devices,
        **edited,
    }
    if not attempt.is_remote:
        return conf
    told = attempt.parameters(SECTION)
    if "node_rank" in told:
        for name in _TOLD:
            conf[name] = parameters.from_text(told[name]["value"], conf[name])
    elif not os.environ.get(_LAUNCHED):
        _enqueue_copies(task, conf, conf["queue"] or executed, hidden=hide_children)
        os.environ[_LAUNCHED] = "1"
    _export(conf, _n_devices(wanted.devices))
    return conf


def _enqueue_copies(task: TaskBase, conf: dict[str, Any], queue: str, *, hidden: bool) -> None:
    client = task.server()
    copies: list[str] = []
    for rank in range(1, int(conf["total_num_nodes"])):
        node = client.clone_task(task.id, name=f"{task.name} <rank {rank}>", parent_id=task.id)
        told = {name: {**conf, "node_rank": rank}[name] for name in _TOLD}
        client.edit_task(
            node.id,
            parameters={f"{SECTION}/{k}": parameters.as_record(v) for k, v in told.items()},
            system_tags=[*node.system_tags, TAG, *([HIDDEN] if hidden else [])],
        )
        client.enqueue(node.id, queue)
        copies.append(node.id)
    if conf["wait"]:
        for node_id in copies:
            client.wait(node_id, {"running", "completed", "failed", "aborted", "published"})


def _export(conf: dict[str, Any], n_devices: int) -> None:
    rank = int(conf["node_rank"])
    local = os.environ.get("LOCAL_RANK", "0")
    os.environ.update(
        MASTER_ADDR=str(conf["master_addr"]),
        MASTER_PORT=str(conf["master_port"]),
        RANK=str(rank * n_devices + (int(local) if local.isdigit() else 0)),
        NODE_RANK=str(rank),
        WORLD_SIZE=str(int(conf["total_num_nodes"]) * n_devices),
    )


def _first(name: str) -> str:
    own = aliases.variable(f"MULTI_NODE_MASTER_DEF_{name}")
    return own or os.environ.get(f"MASTER_{name}") or ""


def _n_devices(devices: int | Sequence[int] | None) -> int:
    if devices is None:
        return 1
    if isinstance(devices, Sequence):
        return len(devices)
    given = cast("Any", devices)
    if not hasattr(given, "__index__"):
        raise InvalidInput(
            f"devices {given!r} is neither a number nor a list of indices", field="devices"
        )
    if devices >= 0:
        return devices
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as exc:
        raise ImportError(
            "devices=-1 asks torch how many devices there are, and torch is not installed; "
            "give their number"
        ) from exc
    return int(cast("Any", torch).cuda.device_count())


def _private_address() -> str:
    """The address this machine has towards others; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
