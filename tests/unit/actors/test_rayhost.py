"""Ray's own processes: found by the data folder they were started for, and no others ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from dray.actors import rayhost
from dray.runtime.paths import HomePaths
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(60)"


def test_other_processes_are_left_alone(tmp_path: Path) -> None:
    home = HomePaths(tmp_path)
    reads_a_log = str(rayhost.temp_dir(home) / "session_latest" / "logs" / "raylet.err")
    other = subprocess.Popen([sys.executable, "-c", SLEEP, reads_a_log])
    try:
        assert not rayhost.end_head(home)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_was_started_for_a_data_folder_is_ended_with_all_below_it(tmp_path: Path) -> None:
    home = HomePaths(tmp_path)
    mark = f"--temp-dir={rayhost.temp_dir(home)}"
    # As Ray's workers do, the process below bears no mark.
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
    ours = subprocess.Popen([sys.executable, "-c", start, mark])
    (below,) = wait_until(lambda: psutil.Process(ours.pid).children())
    assert rayhost.is_alive(ours.pid, home)
    assert rayhost.end_head(home)
    ours.wait(timeout=10)  # psutil may have buried it
    assert not below.is_running()
    assert not rayhost.is_alive(ours.pid, home)


def test_a_pid_in_an_old_record_is_not_taken_for_ours(tmp_path: Path) -> None:
    assert not rayhost.is_alive(os.getpid(), HomePaths(tmp_path))
