"""The faults: dealt in turn, seen to land, healed, and never two that nobody could survive."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest

from dray.selftest import nemesis, processes
from dray.selftest.cluster import free_ports
from dray.selftest.nemesis import DECK, Fault, Nemesis
from dray.selftest.processes import KINDS, Found
from dray.selftest.proxy import Proxy
from tests.waiting import wait_until


class Herd:
    """One process of each kind, made again when it was killed."""

    def __init__(self) -> None:
        self.by_kind: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: list[subprocess.Popen[bytes]] = []

    def find(self, ray_pid: int) -> list[Found]:
        del ray_pid
        for kind in KINDS:
            process = self.by_kind.get(kind)
            if process is None or process.poll() is not None:
                self.by_kind[kind] = subprocess.Popen(["sleep", "600"])
                self.ended.append(self.by_kind[kind])
        attempt = ("a" * 32, 1)
        return [
            Found(kind, p.pid, 1 if kind in KINDS[3:] else 0, attempt if kind == "child" else None)
            for kind, p in self.by_kind.items()
        ]

    def end(self) -> None:
        for process in self.ended:
            process.kill()
            process.wait()


@pytest.fixture
def herd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Herd]:
    herd = Herd()
    monkeypatch.setattr(processes, "find", herd.find)
    monkeypatch.setattr(nemesis, "PAUSE_S", 0.001)
    monkeypatch.setattr(nemesis, "LEASE_TTL_S", 0.05)
    yield herd
    herd.end()


def is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def run(seed: int, is_enough: Callable[[list[Fault]], bool]) -> list[Fault]:
    proxy = Proxy(*free_ports(2))
    proxy.start()
    found = Nemesis(1, proxy, seed)
    found.start()
    try:
        wait_until(lambda: list(found.faults), is_enough)
    finally:
        found.stop()
        proxy.stop()
    return found.faults


def at_least(n_faults: int) -> Callable[[list[Fault]], bool]:
    return lambda faults: len(faults) >= n_faults


def test_every_fault_has_its_turn(herd: Herd) -> None:
    run(1, lambda faults: {fault.card for fault in faults} == set(DECK))


def test_kills_and_stops_are_seen_to_land_and_stops_are_healed(herd: Herd) -> None:
    faults = run(2, at_least(2 * len(DECK)))
    assert all(fault.landed for fault in faults if fault.card.action == "kill")
    stops = [f for f in faults if f.card.action == "stop" and f.card.target != "keeper"]
    assert all(fault.landed and fault.lasted_s > 0 for fault in stops)
    wait_until(lambda: not any(is_stopped(process.pid) for process in herd.ended))


def test_a_child_that_was_hit_is_named_with_its_attempt(herd: Herd) -> None:
    faults = run(3, lambda faults: any(f.card.target == "child" for f in faults))
    hit = {fault.attempt for fault in faults if fault.card.target == "child"}
    assert hit == {("a" * 32, 1)}


def test_a_supervisor_and_its_keeper_are_never_hit_at_once(herd: Herd) -> None:
    faults = run(4, at_least(4 * len(DECK)))
    guards = [f for f in faults if f.card.target in ("supervisor", "keeper")]
    for stop in guards:
        until = stop.at + stop.lasted_s
        assert not [f for f in guards if f is not stop and stop.at < f.at < until]
