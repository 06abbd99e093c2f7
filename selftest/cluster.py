"""A cluster of its own in a folder of its own, for as long as the chaos lasts."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dray.runtime.errors import DrayError
from dray.runtime.paths import HomePaths, NodePaths
from dray.sdk.client import Client
from dray.selftest import processes

#: Short enough that leases run out, fences fall and agents come back many times in a minute.
LEASE_TTL_S = 6.0
_UP_TIMEOUT_S = 240.0
_DOWN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Place:
    """Where everything of a run is.

    Attributes:
        root: the folder that holds all of it.
        port: the gateway's own.
        proxy_port: the one agents are told of.
    """

    root: Path
    port: int
    proxy_port: int

    @property
    def home(self) -> HomePaths:
        """The private data folder."""
        return HomePaths(self.root / "home")

    @property
    def node(self) -> NodePaths:
        """The private cache."""
        return NodePaths(self.root / "cache")

    @property
    def side_log(self) -> Path:
        """What attempts write down themselves."""
        return self.root / "side-log.jsonl"

    def environ(self) -> dict[str, str]:
        """The variables of every command and process: nothing of the user's own Dray."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DRAY_")}
        return {
            **inherited,
            "XDG_CONFIG_HOME": str(self.root / "config"),
            "DRAY_HOME": str(self.home.root),
            "DRAY_CACHE": str(self.node.root),
            "DRAY_PORT": str(self.port),
            "DRAY_ADVERTISED_URL": f"http://127.0.0.1:{self.proxy_port}",
            "DRAY_LEASE_TTL_S": str(LEASE_TTL_S),
            "DRAY_HEARTBEAT_S": "1.5",
            "DRAY_SAFETY_TICK_S": "3",
            "DRAY_STOP_GRACE_S": "0.5",
        }


class PrivateCluster:
    """Up and down by the command line, as users do it."""

    def __init__(self, place: Place, n_agents: int) -> None:
        self._place, self._n_agents = place, n_agents
        self._ray_folder: Path | None = None
        self.client = Client(f"http://127.0.0.1:{place.port}", "")

    def up(self) -> None:
        """Start it.

        Raises:
            DrayError: it did not come up; the message has the command's own words.
        """
        self._place.root.mkdir(parents=True, exist_ok=True)
        done = self.dray("up", "--json", "--num-cpus", str(self._n_agents))
        if done.returncode != 0:
            raise DrayError(f"the private cluster did not come up: {done.stderr.strip()[-2000:]}")
        self._ray_folder = processes.ray_folder(self.ray_pid())
        url = str(json.loads(done.stdout)["url"])
        self.client = Client(url, self._place.home.token.read_text("utf-8").strip())

    def down(self) -> None:
        """End it and everything that runs for it, whatever state it is in."""
        self.client.close()
        processes.wake_all(self._place)
        if self._place.home.root.is_dir():
            self.dray("down", "--force", timeout_s=_DOWN_TIMEOUT_S)
        processes.kill_all(self._place)

    def forget(self) -> None:
        """Remove what Ray wrote beside the folder of the run; after ``down``."""
        if self._ray_folder is not None:
            shutil.rmtree(self._ray_folder, ignore_errors=True)

    def ray_pid(self) -> int:
        """The first process of its Ray."""
        record: dict[str, Any] = json.loads(self._place.home.cluster.read_text("utf-8"))
        return int(record["ray_pid"])

    def dray(
        self, *arguments: str, timeout_s: float = _UP_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command against it; in a session of its own, which Ctrl-C does not reach."""
        return run_dray(arguments, self._place.environ(), timeout_s)


def run_dray(
    arguments: Sequence[str], environ: dict[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """One ``dray`` command of this very installation."""
    return subprocess.run(
        [sys.executable, "-m", "dray", *arguments],
        env=environ,
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        start_new_session=True,
    )


def free_ports(n: int) -> list[int]:
    """TCP ports of the loopback that nobody listens on right now, all different."""
    probes = [socket.socket() for _ in range(n)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
