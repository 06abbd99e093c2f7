"""The simulation finds what it is there for: each rule that is taken away is missed by a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dray.runtime import lease, machine
from dray.runtime.clock import SteadyClock
from dray.runtime.machine import Head, ProveDead
from tests.simulation.agents import Agent, AttemptRun
from tests.simulation.promises import Promise
from tests.simulation.store import SimStore
from tests.simulation.world import simulate

#: Seeds tried before a mutant is said to live.
MANY = 400

Patch = Callable[[pytest.MonkeyPatch], None]


def sets(owner: Any, name: str, value: Any) -> Patch:
    """A mutant that puts something else in the place of a rule."""
    return lambda patch: patch.setattr(owner, name, value)


def no_epochs(head: Head, epoch: int) -> None:
    """``machine.check_epoch`` that looks at the state alone."""
    if head.state is not machine.State.RUNNING:
        raise machine.StaleEpoch("over")


def forgets_claims(patch: pytest.MonkeyPatch) -> None:
    """A claim whose answer was lost is made anew: back to pending, and claimed again."""
    step = machine.step

    def forgetful(head: Head, command: machine.Command) -> Head:
        if isinstance(command, machine.Claim) and head.claim_id == command.claim_id:
            head = replace(head, state=machine.State.PENDING)
        return step(head, command)

    patch.setattr(machine, "step", forgetful)


def with_policy(**changes: Any) -> Patch:
    """A machine that reads another policy than the task's when a worker is lost."""
    lose = machine._lose

    def generous(head: Head, *args: Any, **kwargs: Any) -> Head:
        after = lose(replace(head, policy=replace(head.policy, **changes)), *args, **kwargs)
        return replace(after, policy=head.policy)

    return sets(machine, "_lose", generous)


def gives_up_all(
    head: Head, held: lease.Held, ttl_s: float, node_gone: str = ""
) -> ProveDead | None:
    """``lease.given_up`` under every policy."""
    return ProveDead(held.epoch, "silent")


def wall_time(self: SteadyClock) -> float:
    """The machine's clock as it is, however it was set."""
    return self._machine.now()


def runs_orders_again(self: Agent, order: Any) -> None:
    """``AgentActor.run`` that does not remember what it runs."""
    run = AttemptRun(self._world, self, order, self._world.plan_of(order.task_id))
    self.runs[order.task_id, order.epoch] = run
    run.begin()


def eats_retries(patch: pytest.MonkeyPatch) -> None:
    """One budget for lost workers and for failures."""
    lose = machine._lose

    def hungry(head: Head, *args: Any, **kwargs: Any) -> Head:
        after = lose(head, *args, **kwargs)
        return replace(after, n_retries=after.n_retries + 1)

    patch.setattr(machine, "_lose", hungry)


P = Promise
MUTANTS: list[tuple[str, Patch, set[Promise]]] = [
    ("no epoch check", sets(machine, "check_epoch", no_epochs), {P.ONE_WRITER, P.CAUSED}),
    ("fence after the lease", sets(lease, "FENCE_SHARE", 2.0), {P.ONE_PROCESS}),
    ("no fence", sets(AttemptRun, "_fence_at", lambda _: None), {P.ONE_PROCESS}),
    ("absence unseen", sets(lease, "was_away", lambda *_: False), {P.PATIENCE, P.NO_ZOMBIE}),
    ("leases on the wall clock", sets(SteadyClock, "now", wall_time), {P.PATIENCE, P.NO_ZOMBIE}),
    ("claims forgotten", forgets_claims, {P.ONE_CLAIM, P.EPOCHS_GROW, P.ONE_PROCESS}),
    ("leases not extended", sets(SimStore, "extend_all", lambda _: None), {P.PATIENCE}),
    ("requeued without bound", with_policy(max_requeues=99), {P.BOUNDED}),
    ("no quarantine", with_policy(quarantine_after=0), {P.BOUNDED}),
    ("retries eaten", eats_retries, {P.OWN_BUDGETS}),
    ("started on an old order", sets(lease, "may_start", lambda *_: True), {P.ONE_PROCESS}),
    ("lost node as proof", sets(lease, "is_proof", lambda *_: True), {P.ONE_PROCESS}),
    ("silence as proof", sets(lease, "given_up", gives_up_all), {P.PATIENCE}),
    ("stop forgotten", sets(machine, "_asked_to_stop", lambda _: None), {P.STOP_KEPT}),
    ("orders run twice", sets(Agent, "run", runs_orders_again), {P.ONE_PROCESS}),
]


@pytest.mark.parametrize(
    ("patch", "promises"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS]
)
def test_a_rule_that_is_taken_away_is_missed(
    patch: Patch, promises: set[Promise], monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(monkeypatch)
    for seed in range(1, MANY + 1):
        violation = simulate(seed).violation
        if violation is not None:
            print(f"seed {seed}: {violation}")
            assert violation.promise in promises, violation
            return
    pytest.fail(f"no seed up to {MANY} missed the rule")
