"""What an order proves of the lease behind it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from dray.actors.orders import WorkOrder
from dray.runtime.clock import monotonic_origin
from dray.runtime.models import Task

ORDER = WorkOrder(
    Task("ab" * 16, "t", "p"), 1, "c", "t", "http://h", 30.0, claimed_at=7.0, clock="boot 1"
)


def test_a_claim_made_on_the_same_clock_dates_the_lease() -> None:
    assert ORDER.confirmed_at("boot 1") == 7.0


@pytest.mark.parametrize("clock", ["boot 2", ""])
def test_on_another_clock_the_server_has_to_be_asked(clock: str) -> None:
    assert ORDER.confirmed_at(clock) is None
    assert replace(ORDER, clock=clock).confirmed_at("") is None


def test_an_order_that_is_given_again_proves_nothing() -> None:
    assert replace(ORDER, claimed_at=None).confirmed_at("boot 1") is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not known")
def test_processes_of_one_machine_count_from_the_same_instant() -> None:
    code = "from dray.runtime.clock import monotonic_origin as o; print(o())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == monotonic_origin() != ""
