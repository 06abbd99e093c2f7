"""Kills, stops and cuts at random, from a seed, and writes down what really happened."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dray.selftest import processes
from dray.selftest.cluster import LEASE_TTL_S
from dray.selftest.processes import Found
from dray.selftest.proxy import Proxy, Trouble

#: Between two faults, on average.
PAUSE_S = 0.4
#: While nothing runs, because all is being started again, only so many are dealt: a fault says
#: most where work is under way, and a slow machine would never get to any.
IDLE_SHARE = 0.25
#: Stops and cuts last up to this many leases: most are healed in time, some are not.
LONGEST_IN_LEASES = 1.6
#: How long a process may take to be seen dead or stopped after the signal.
_LANDING_S = 2.0
_TROUBLES = ("delay", "cut", "silence", "lost replies")
_GUARDS = ("supervisor", "keeper")
_DELAYS_S = (0.02, 0.2, 1.0)


@dataclass(frozen=True)
class Card:
    """A fault that may be dealt: ``kill`` or ``stop`` a kind of process, or a network trouble."""

    action: str
    target: str


#: Every fault there is. All that can be are dealt, kills three times, before a new deck begins.
DECK = (
    *(Card("kill", kind) for kind in processes.KINDS),
    *(Card("stop", kind) for kind in processes.KINDS),
    *(Card("network", trouble) for trouble in _TROUBLES),
)


@dataclass
class Fault:
    """One fault that happened.

    Attributes:
        at: when, on the monotonic clock.
        lasted_s: how long a stop or a trouble lasted; 0 for a kill.
        attempt: (task id, epoch) of a child that was hit.
        landed: whether it was seen to take effect.
    """

    card: Card
    at: float
    pid: int = 0
    lasted_s: float = 0.0
    attempt: tuple[str, int] | None = None
    landed: bool = False


@dataclass(frozen=True)
class _Open:
    """A fault that has still to be healed."""

    until: float
    fault: Fault
    target: Found | None
    heal: Callable[[], None]


class Nemesis:
    """Deals faults from ``start`` until ``stop``, which heals everything.

    One pair of faults never meets: a supervisor and one of its keepers. Each of the two makes
    up for the other, and what they make up for together is what nobody is left to see.
    """

    def __init__(self, ray_pid: int, proxy: Proxy, seed: int) -> None:
        self._ray_pid, self._proxy = ray_pid, proxy
        self._rng = random.Random(seed)
        self._deck: list[Card] = []
        self._open: list[_Open] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nemesis", daemon=True)
        self.faults: list[Fault] = []

    @property
    def is_running(self) -> bool:
        """Whether it still deals faults."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Heal everything and do no more; harmless when repeated."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._heal(float("inf"))

    def _run(self) -> None:
        next_at = time.monotonic()
        while not self._over.is_set():
            now = time.monotonic()
            self._heal(now)
            if now >= next_at:
                self._deal()
                next_at = time.monotonic() + self._rng.expovariate(1 / PAUSE_S)
            due = min([next_at, *(each.until for each in self._open)])
            self._over.wait(max(0.01, due - time.monotonic()))

    def _heal(self, now: float) -> None:
        for each in [e for e in self._open if e.until <= now]:
            self._open.remove(each)
            each.heal()
            each.fault.lasted_s = time.monotonic() - each.fault.at

    def _deal(self) -> None:
        """Play the first card for which there is a target; what cannot be played stays first."""
        found = processes.find(self._ray_pid)
        is_at_work = any(each.kind == "child" for each in found)
        if not is_at_work and self._rng.random() > IDLE_SHARE:
            return
        kills = [card for card in DECK if card.action == "kill"]
        fresh = [card for card in (*DECK, *kills, *kills) if card not in self._deck]
        self._rng.shuffle(fresh)
        for card in [*self._deck, *fresh]:
            if self._play(card, found):
                if card not in self._deck:
                    self._deck += fresh
                self._deck.remove(card)
                return

    def _play(self, card: Card, found: list[Found]) -> bool:
        if card.action == "network":
            # With nobody to talk to the gateway there is nothing to disturb.
            return any(each.kind == "child" for each in found) and self._disturb(card)
        targets = [f for f in found if f.kind == card.target and self._may_hit(f)]
        if not targets:
            return False
        target = self._rng.choice(_at_work(targets, found) or targets)
        fault = Fault(card, time.monotonic(), target.pid, attempt=target.attempt)
        self.faults.append(fault)
        if card.action == "kill":
            fault.landed = _send(target.pid, signal.SIGKILL) and _becomes(target.pid, "XZ")
            return True
        # A keeper is woken at once by its supervisor, before anybody could see it stopped.
        states = "TtSR" if target.kind == "keeper" else "Tt"
        fault.landed = _send(target.pid, signal.SIGSTOP) and _becomes(target.pid, states)
        self._keep_open(fault, target, lambda: _wake(target.pid))
        return True

    def _may_hit(self, target: Found) -> bool:
        stopped = {e.target.pid: e.target for e in self._open if e.target is not None}
        if target.kind in _GUARDS:
            guards = [t for t in stopped.values() if t.kind in _GUARDS]
            return all(guard.agent_pid != target.agent_pid for guard in guards)
        return target.pid not in stopped

    def _disturb(self, card: Card) -> bool:
        if self._proxy.trouble is not None:
            return False
        trouble = Trouble(
            card.target,
            share=self._rng.choice((0.3, 0.6, 1.0)),
            salt=self._rng.randrange(1 << 30),
            delay_s=self._rng.choice(_DELAYS_S),
        )
        fault = Fault(card, time.monotonic())
        self.faults.append(fault)
        before = self._proxy.n_hit[card.target]
        self._proxy.set(trouble)

        def heal() -> None:
            self._proxy.set(None)
            fault.landed = self._proxy.n_hit[card.target] > before

        self._keep_open(fault, None, heal)
        return True

    def _keep_open(self, fault: Fault, target: Found | None, heal: Callable[[], None]) -> None:
        """To be healed soon, or after longer than a lease."""
        is_short = self._rng.random() < 0.6
        longest_s = 1.0 if is_short else LONGEST_IN_LEASES * LEASE_TTL_S
        until = fault.at + self._rng.uniform(0.1 if target else 0.5, longest_s)
        self._open.append(_Open(until, fault, target, heal))


def _at_work(targets: list[Found], found: list[Found]) -> list[Found]:
    """Those of an agent's processes that have a task."""
    busy = {each.agent_pid for each in found if each.kind == "child"}
    return [target for target in targets if target.agent_pid in busy]


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _wake(pid: int) -> None:
    _send(pid, signal.SIGCONT)


def _becomes(pid: int, states: str) -> bool:
    """Whether a process is soon in one of these states, as the kernel names them; X: gone."""
    deadline = time.monotonic() + _LANDING_S
    while time.monotonic() < deadline:
        if _state(pid) in states:
            return True
        time.sleep(0.005)
    return False


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return "X"
