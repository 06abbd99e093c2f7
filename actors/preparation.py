"""Source and environment of an attempt, and how its process is started."""

from __future__ import annotations

from dataclasses import dataclass

from dray.actors.orders import WorkOrder
from dray.actors.streams import AttemptSpool
from dray.actors.workshop import GatewayBlobs, Workshop
from dray.envbuilder.build import ensure_environment
from dray.envbuilder.childcode import child_code
from dray.envbuilder.environment import Environment
from dray.envbuilder.key import EnvironmentSpec
from dray.envbuilder.launch import LaunchPlan, launch_plan
from dray.envbuilder.source import prepare_source
from dray.sdk.client import Client


@dataclass(frozen=True)
class Prepared:
    """All that a child needs; ``environment`` is held until it is released."""

    plan: LaunchPlan
    environment: Environment


async def prepare(
    order: WorkOrder, spool: AttemptSpool, shop: Workshop, client: Client
) -> Prepared:
    """Lay out the code and get the environment.

    Raises:
        PreparationFailed: one of them cannot be made; the log has the details.
    """
    execution = order.task.execution
    environment = await ensure_environment(EnvironmentSpec.of(execution), shop.node, spool)
    try:
        await prepare_source(execution, spool.code, shop.node, GatewayBlobs(client), spool)
        ours = await child_code(shop.node, environment.python, environment.cache_tag)
        plan = launch_plan(execution, environment, spool.code, ours, _variables(order, spool, shop))
    except BaseException:
        environment.release()
        raise
    return Prepared(plan, environment)


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
