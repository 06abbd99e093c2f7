"""Brings a cluster's actors up and down from outside, as a Ray driver."""

from __future__ import annotations

from typing import cast

from dray.actors import handles
from dray.actors.gateway import GatewayActor
from dray.actors.handles import ActorOptions
from dray.actors.lifetime import stop_patience_s
from dray.actors.orders import Health
from dray.actors.scheduler import SchedulerActor
from dray.runtime.config import Settings
from dray.runtime.errors import StoreUnusable
from dray.runtime.paths import HomePaths

#: Queues every cluster has.
QUEUES = ["default", "services"]
#: An actor process takes a second to start, many on a loaded machine.
ACTOR_TIMEOUT_S = 90.0
#: How long ``up`` waits for the first agent before it says that there is none yet.
AGENT_TIMEOUT_S = 60.0


def bring_up(settings: Settings, url: str, ray_address: str) -> int:
    """Every actor there and healthy; how many agents are ready.

    Raises:
        StoreUnusable: an actor did not start; the message has the end of its log.
    """
    handles.connect(ray_address)
    try:
        gateway = handles.get_or_create(
            GatewayActor, ActorOptions(handles.GATEWAY, on_head=True), settings, url
        )
        scheduler = handles.get_or_create(
            SchedulerActor, ActorOptions(handles.SCHEDULER, on_head=True), settings
        )
        _await_health(gateway, handles.GATEWAY, settings)
        _await_health(scheduler, handles.SCHEDULER, settings)
        handles.get(gateway.ensure_queues.remote(QUEUES), ACTOR_TIMEOUT_S)
        warm = scheduler.warm_up.remote(AGENT_TIMEOUT_S)
        return int(handles.get(warm, AGENT_TIMEOUT_S + ACTOR_TIMEOUT_S))
    finally:
        handles.disconnect()


def take_down(settings: Settings, ray_address: str) -> int:
    """Stop from the outside in: tasks, then what plans, then what keeps; how many were told."""
    patience_s = stop_patience_s(settings)
    handles.connect(ray_address)
    try:
        scheduler, gateway = handles.find(handles.SCHEDULER), handles.find(handles.GATEWAY)
        n_told = 0
        if scheduler is not None:
            told = scheduler.drain.remote(patience_s)
            n_told = int(handles.get(told, patience_s + ACTOR_TIMEOUT_S))
        if gateway is not None:
            handles.get(gateway.stop.remote(), ACTOR_TIMEOUT_S)
        handles.kill_all()
        return n_told
    finally:
        handles.disconnect()


def _await_health(actor: handles.Handle, name: str, settings: Settings) -> Health:
    try:
        return cast("Health", handles.get(actor.ping.remote(), ACTOR_TIMEOUT_S))
    except (handles.CallTimeout, *handles.ActorTrouble, handles.CallFailed) as exc:
        log = HomePaths(settings.home).logs / f"{name}.log"
        tail = log.read_text("utf-8", "replace")[-1500:] if log.is_file() else str(exc)
        raise StoreUnusable(f"the {name} did not start; the end of {log}:\n{tail}") from exc
