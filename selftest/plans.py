"""What the tasks of the chaos are to do, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dray.runtime.models import OnLost, Policy

#: Enough that bad luck alone never uses a budget up.
PLENTY = 1000
#: Within this long after it was put in its queue a task is aborted that is to be aborted.
ABORT_WITHIN_S = 4.0

_STEADY = Policy(max_requeues=PLENTY, quarantine_after=0, retry_delay_s=0.5)
#: Of each kind so many in a hundred; the rest is plain.
_SHARES = {
    "floods": 8,
    "fails": 12,
    "stubborn": 8,
    "reports": 10,
    "leaves": 6,
    "defaults": 6,
    "waits": 5,
    "overtime": 4,
    "parent": 4,
}
_N_FOLLOWERS = 2


@dataclass(frozen=True)
class Plan:
    """One task.

    Attributes:
        kind: what is special about it.
        work_s: how long an attempt takes by itself.
        stdout, stderr: lines it writes.
        fails: how often it ends with a code before it succeeds.
        n_points: scalars it reports.
        follows: index of the plan that is its parent; -1 without.
        abort_after_s: seconds until a user aborts it; None never.
        pause_s: seconds that pass before it is put in its queue.
    """

    index: int
    kind: str
    seed: int
    work_s: float
    stdout: int = 20
    stderr: int = 4
    fails: int = 0
    n_points: int = 0
    ignores_term: bool = False
    leaves_descendant: bool = False
    follows: int = -1
    abort_after_s: float | None = None
    pause_s: float = 0.0
    policy: Policy = field(default_factory=Policy)

    def for_script(self) -> dict[str, Any]:
        """What ``selftest/script.py`` must know of it."""
        mine = asdict(self)
        del mine["policy"]
        return mine


def draw(seed: int, n_tasks: int, duration_s: float) -> list[Plan]:
    """So many plans, to be enqueued over this long; the same for the same seed."""
    rng = random.Random(seed)
    kinds = [kind for kind, share in _SHARES.items() for _ in range(share)]
    kinds += ["plain"] * (100 - len(kinds))
    plans: list[Plan] = []
    while len(plans) < n_tasks:
        plan = _draw_one(rng, len(plans), rng.choice(kinds))
        plans.append(plan)
        if plan.kind == "parent":
            for _ in range(min(_N_FOLLOWERS, n_tasks - len(plans))):
                follower = _draw_one(rng, len(plans), "plain")
                plans.append(replace(follower, kind="follower", follows=plan.index))
    # Bursts and lulls: a queue that is never empty hides what an empty one would show.
    pauses = [rng.expovariate(1.0) * (rng.random() < 0.3) for _ in plans]
    scale = duration_s / (sum(pauses) or 1.0)
    return [replace(p, pause_s=pause * scale) for p, pause in zip(plans, pauses, strict=True)]


def _draw_one(rng: random.Random, index: int, kind: str) -> Plan:
    plan = Plan(
        index,
        kind,
        seed=rng.randrange(1 << 40),
        work_s=round(rng.triangular(0.2, 3.0, 0.6), 2),
        stdout=rng.randrange(1, 60),
        abort_after_s=rng.uniform(0.0, ABORT_WITHIN_S) if rng.random() < 0.1 else None,
        policy=replace(_STEADY, retries=rng.choice((0, 0, 3))),
    )
    return replace(plan, **_special(rng, kind, plan.policy))


def _special(rng: random.Random, kind: str, policy: Policy) -> dict[str, Any]:
    match kind:
        case "floods":
            return {"stdout": rng.randrange(500, 6000), "stderr": 200}
        case "fails":
            return {"fails": rng.choice((1, 2, PLENTY)), "policy": replace(policy, retries=2)}
        case "stubborn":
            return {
                "ignores_term": True,
                "work_s": 4.0,
                "abort_after_s": rng.uniform(0.5, ABORT_WITHIN_S),
            }
        case "reports":
            return {"n_points": rng.randrange(4, 200)}
        case "leaves":
            return {"leaves_descendant": True}
        case "defaults":
            return {"policy": Policy(retry_delay_s=0.5), "work_s": 2.0}
        case "waits":
            return {"policy": replace(policy, on_lost=OnLost.WAIT)}
        case "overtime":
            return {"policy": replace(policy, max_run_time_s=1.0), "work_s": 30.0}
        case "parent":
            return {"work_s": 3.0, "abort_after_s": rng.choice((None, rng.uniform(0.5, 3.0)))}
        case _:
            return {}
