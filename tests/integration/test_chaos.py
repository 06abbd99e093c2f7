"""A short chaos on a cluster of its own: the promises hold, and nothing of it is left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


@pytest.mark.timeout(400)
def test_a_short_chaos_breaks_no_promise() -> None:
    options = ["--chaos", "12s", "--tasks", "24", "--agents", "4", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "dray", "selftest", *options],
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    broken = {p["words"]: p["evidence"] for p in report["promises"] if p["held"] is False}
    assert not broken, f"seed {report['seed']}"
    assert done.returncode == 0
    assert report["n_tasks"] == 25  # with the one that makes the environment
    assert sum(fault["n"] for fault in report["faults"]) >= 5
    folder = done.stderr.split("everything is in ")[1].splitlines()[0]
    assert not [p for p in psutil.process_iter() if mentions(p, folder)]
    assert not Path(folder).exists()


def mentions(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in value for value in process.environ().values())
    except psutil.Error:
        return False  # it ended meanwhile, or is another user's
