"""Invariant 1 at every instant: killed after any commit, fsync or rename, nothing accepted is lost.

A life of a store is killed at point 1, 2, 3 …, opened again and taken on from the step that was not
acknowledged. ``DRAY_POWER_CUTS_EVERY=1`` cuts the power at every point too, not at some.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.stateful.server import MEMORY

ROOT = Path(__file__).parents[2]
CUT_EVERY = os.environ.get("DRAY_POWER_CUTS_EVERY", "5")
KILLED = 42

pytestmark = [pytest.mark.xdist_group("crashing"), pytest.mark.timeout(660)]


@pytest.fixture(scope="module")
def kills() -> list[dict[str, Any]]:
    """What became of each kill; the last one never came."""
    folder = tempfile.mkdtemp(prefix="dray-crashing-", dir=MEMORY)
    command = [sys.executable, "-m", "tests.stateful.crashing", folder, CUT_EVERY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_point_is_killed_at_until_a_run_comes_to_its_end(kills: list[dict[str, Any]]) -> None:
    died = [kill for kill in kills if kill["status"] == KILLED]
    points = [kill["kill_at"] for kill in died if not kill["power_cut"]]
    assert points == list(range(1, len(points) + 1))
    assert len(points) > 40
    assert any(kill["power_cut"] for kill in died)
    assert {kill["status"] for kill in kills if kill["kill_at"] > len(points)} == {0}


def test_what_was_accepted_before_a_kill_is_there_after_it(kills: list[dict[str, Any]]) -> None:
    assert [kill for kill in kills if kill.get("lost")] == []


@pytest.mark.invariant(1)
def test_a_killed_store_opens_and_ends_as_an_undisturbed_one(kills: list[dict[str, Any]]) -> None:
    assert [kill for kill in kills if kill["again"] != 0 or kill["parted"]] == []
