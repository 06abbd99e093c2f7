"""What `dray up` refuses: in a sentence, at once, leaving nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import free_port


def up(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("DRAY_")},
        "DRAY_HOME": str(home),
        "DRAY_PORT": str(free_port()),
        **variables,
    }
    command = [sys.executable, "-m", "dray", "up", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_a_port_that_is_taken_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = up(tmp_path, DRAY_PORT=port)
    assert refused.returncode == 2
    assert f"port {port}" in refused.stderr
    assert "--port" in refused.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    refused = up(blocked / "home")
    assert refused.returncode == 2
    assert str(blocked / "home") in refused.stderr
    assert "DRAY_HOME" in refused.stderr


def test_a_ray_cluster_that_does_not_answer_is_refused_at_once(tmp_path: Path) -> None:
    refused = up(tmp_path, "--address", f"127.0.0.1:{free_port()}")
    assert refused.returncode == 3
    assert "no Ray cluster answers" in refused.stderr
    assert not (tmp_path / "cluster.json").exists()
