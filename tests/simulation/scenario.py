"""What a seed stands for: a cluster, its users' tasks, and which faults strike how often."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.simulation.timeline import Weather


@dataclass(frozen=True)
class Scenario:
    """Drawn from a seed; each fault is in some seeds and missing in others (a swarm).

    Attributes:
        faulty_s: how long faults strike.
        n_nodes: machines at the start, with ``cpus`` each.
        n_tasks: submitted over the time of faults.
        drift: share by which a node's clock may be wrong.
        crash_at_commit: chance that the gateway dies before or after a transaction.
        every_s: {fault: mean seconds between two}; a fault that is missing never strikes.
    """

    lease_ttl_s: float
    faulty_s: float
    n_nodes: int
    cpus: int
    n_tasks: int
    weather: Weather
    drift: float
    crash_at_commit: float
    every_s: dict[str, float]


FAULTS = (
    "kill gateway",
    "stop gateway",
    "set clock",
    "kill scheduler",
    "stop scheduler",
    "kill queue",
    "kill agent",
    "stop agent",
    "kill process",
    "power off node",
    "cut node",
    "cut http",
    "user",
)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    pick = random.Random(f"scenario {seed}")
    lease_ttl_s = pick.choice([3.0, 6.0, 10.0])
    faulty_s = lease_ttl_s * pick.uniform(5, 10)
    faults = [fault for fault in FAULTS if pick.random() < 0.35]
    return Scenario(
        lease_ttl_s=lease_ttl_s,
        faulty_s=faulty_s,
        n_nodes=pick.randint(1, 3),
        cpus=pick.randint(1, 3),
        n_tasks=pick.randint(2, 8),
        weather=Weather(
            drop=pick.choice([0, 0, 0.05, 0.2]),
            twice=pick.choice([0, 0.05, 0.2]),
            slow=pick.choice([0, 0.05, 0.2]),
            slow_s=lease_ttl_s * pick.choice([0.2, 0.8, 1.5]),
        ),
        drift=pick.choice([0, 0.01]),
        crash_at_commit=pick.choice([0, 0, 0.005, 0.02]),
        every_s={fault: lease_ttl_s * pick.uniform(0.5, 4.0) for fault in faults},
    )
