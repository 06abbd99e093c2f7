"""A thousand seeds of faults, and every promise checked after every event.

``DRAY_SIM_SEEDS=20000`` runs more of them, ``DRAY_SIM_FIRST=5001`` others.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.scenario import FAULTS, draw
from tests.simulation.world import Outcome, simulate

N_SEEDS = int(os.environ.get("DRAY_SIM_SEEDS", "1000"))
FIRST = int(os.environ.get("DRAY_SIM_FIRST", "1"))
N_BLOCKS = 20
#: What must have happened in a block for its silence to mean anything.
HAPPENED = (
    "agent died",
    "agent stopped",
    "attempt adopted",
    "call repeated",
    "clock set",
    "fence fell",
    "gateway crashed at a commit",
    "gateway killed",
    "gateway stopped",
    "http cut",
    "late end refused",
    "late write refused",
    "leases extended by a look",
    "message lost",
    "message slow",
    "message twice",
    "node cut off",
    "node died",
    "order given twice",
    "process killed",
    "queue killed",
    "ray lost a node",
    "requeued after a loss",
    "retried",
    "scheduler killed",
    "start put off",
    "unreachable",
    "user command",
)


def told(outcome: Outcome) -> str:
    """What to read, and to run, when a seed broke a promise."""
    last = simulate(outcome.seed, traced=True).trace[-25:]
    lines = [f"seed {outcome.seed}: {outcome.violation}", *last]
    replay = f".venv/bin/python -m tests.simulation {outcome.seed} -v"
    return "\n".join([*lines, f"replay it with: {replay}"])


@pytest.mark.parametrize("block", range(N_BLOCKS))
def test_every_promise_holds_whatever_strikes(block: int) -> None:
    counts: Counter[str] = Counter()
    n_events = n_seeds = 0
    for seed in range(FIRST + block, FIRST + N_SEEDS, N_BLOCKS):
        outcome = simulate(seed)
        assert outcome.violation is None, told(outcome)
        counts.update(outcome.counts)
        n_events += outcome.n_events
        n_seeds += 1
    if n_seeds >= 50:
        assert n_events / n_seeds > 300
        assert [what for what in HAPPENED if not counts[what]] == []


def test_a_seed_is_the_same_run_each_time() -> None:
    first, second = simulate(7, traced=True), simulate(7, traced=True)
    assert first.trace == second.trace
    assert first.counts == second.counts


def test_every_fault_is_in_some_seeds_and_missing_in_others() -> None:
    drawn = [set(draw(seed).every_s) for seed in range(1, 51)]
    assert set.union(*drawn) == set(FAULTS)
    assert set.intersection(*drawn) == set()
