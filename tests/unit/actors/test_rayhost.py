"""Ray's own processes: found by the data folder they were started for, and no others ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dray.actors import rayhost
from dray.runtime.paths import HomePaths


def test_a_pid_that_became_another_processs_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        rayhost.end_head(other.pid, HomePaths(tmp_path))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_was_started_for_a_data_folder_is_ended(tmp_path: Path) -> None:
    home = HomePaths(tmp_path)
    mark = str(rayhost.temp_dir(home))
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark])
    assert rayhost.is_alive(ours.pid, home)
    rayhost.end_head(ours.pid, home)
    ours.wait(timeout=10)  # psutil may have buried it
    assert not rayhost.is_alive(ours.pid, home)
