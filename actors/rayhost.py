"""Ray's own processes on this machine: started for one data folder, found again, ended."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from dray.runtime.errors import StoreUnusable
from dray.runtime.paths import HomePaths

#: Ray takes about three seconds here; a loaded machine may need many times that.
START_TIMEOUT_S = 90.0
#: After the actors have stopped by themselves nothing of value runs in Ray's processes.
TERM_GRACE_S = 2.0


def temp_dir(home: HomePaths) -> Path:
    """Where Ray keeps sockets and logs of this data folder.

    Not inside the data folder: the path of a Unix socket must stay under 108 bytes.
    """
    mark = hashlib.sha256(str(home.root).encode()).hexdigest()[:10]
    return Path(tempfile.gettempdir()) / f"dray-{os.getuid()}-{mark}"


def environment(home: HomePaths, *, loopback: bool) -> dict[str, str]:
    """Variables that every process of this Ray cluster, drivers too, must agree on."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home.ray_token),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray runs its workers at nice 15; agents answer for latency and their children must
        # not start at a disadvantage.
        "RAY_worker_niceness": "0",
        "RAY_DEDUP_LOGS": "0",
    }
    if loopback:
        # Binds Ray to 127.0.0.1 on Linux too: a cluster of one machine is nobody else's.
        variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return variables


def start_head(
    home: HomePaths, variables: Mapping[str, str], *, num_cpus: int | None, num_gpus: int | None
) -> tuple[str, int]:
    """Start a head in the background; its address and the pid of its first process.

    Raises:
        StoreUnusable: Ray did not come up; the message has the end of its log.
    """
    port = free_port()
    folder = temp_dir(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block",
        f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false",
        "--include-log-monitor=false", "--disable-usage-stats", "--log-style=record",
    ]  # fmt: skip
    if num_cpus is not None:
        command.append(f"--num-cpus={num_cpus}")
    if num_gpus is not None:
        command.append(f"--num-gpus={num_gpus}")
    home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_path = home.logs / "ray.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **variables},
            cwd="/",
        )
    _wait_started(process, log_path, home)
    return f"127.0.0.1:{port}", process.pid


def _wait_started(process: subprocess.Popen[bytes], log_path: Path, home: HomePaths) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if b"Ray runtime started" in log_path.read_bytes():
            return
        time.sleep(0.05)
    end_head(home)
    tail = log_path.read_text("utf-8", "replace")[-1500:]
    raise StoreUnusable(f"Ray did not start; the end of {log_path}:\n{tail}")


def is_alive(pid: int, home: HomePaths) -> bool:
    """Whether ``pid`` is still the Ray head started for this data folder."""
    try:
        return _is_of(psutil.Process(pid), home)
    except psutil.Error:
        return False


def end_head(home: HomePaths) -> bool:
    """End Ray's processes of this data folder and what is below them; whether there were any.

    They are found by their command lines: a pid that was written down may be anybody's after a
    reboot, and a start that was killed wrote none down.
    """
    ours = [process for process in psutil.process_iter() if _is_of(process, home)]
    _end(list({p: None for root in ours for p in (root, *_below(root))}))
    return bool(ours)


def _below(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=TERM_GRACE_S)
    for process in alive:
        _signal(process, kill=True)
    psutil.wait_procs(alive, timeout=TERM_GRACE_S)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return  # it was faster, or is another user's who looks at our files


def _is_of(process: psutil.Process, home: HomePaths) -> bool:
    """Whether it was given the folder as an option; a person who reads its logs was not."""
    try:
        arguments = process.cmdline()
    except psutil.Error:
        return False
    return any(a.startswith("--") and f"={temp_dir(home)}" in a for a in arguments)


def free_port() -> int:
    """A TCP port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_port_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
