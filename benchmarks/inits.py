"""What a script started by hand waits for: ``Task.init`` with and without a server, ``close``."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measure import Reading, in_turns, in_words
from benchmarks.stand import Stand
from benchmarks.starts import start_to_first_line
from dray.runtime.paths import HomePaths
from dray.sdk.client import Client
from dray.sdk.http.transport import Transport

N_ROUNDS = 20
_SCRIPT = """\
import time
from dray import Task
began = time.perf_counter()
task = Task.init(project_name="bench", task_name="init", reuse_last_task_id=False)
begun = time.perf_counter()
task.get_logger().report_scalar("loss", "train", 1.0, 0)
closing = time.perf_counter()
task.close()
closed = time.perf_counter()
print((begun - began) * 1e3, (closed - closing) * 1e3)
"""
_BARE = "import time\nprint(time.time_ns(), flush=True)\n"


def measure(stand: Stand) -> list[Reading]:
    """Run scripts of this installation that begin and close a task, in turns with a bare one."""
    script, bare = stand.script("inits.py", _SCRIPT), stand.script("bare-inits.py", _BARE)
    with Gateway(stand.folder / "inits-server") as url_and_token:
        closes: list[float] = []
        away = laptop_variables(stand.folder / "inits-away")
        near = {**laptop_variables(stand.folder / "inits-near"), **url_and_token}
        start, local, server = in_turns(
            N_ROUNDS,
            lambda: start_to_first_line([sys.executable, str(bare)], away),
            lambda: _run(script, away, closes),
            lambda: _run(script, near, closes),
        )
    against = f"bare start {in_words(start.median)} ms"
    close = type(local)(tuple(closes))
    return [
        Reading("task-init-local", local, against, ratio=local.median / start.median),
        Reading("task-init-with-server", server, against, ratio=server.median / start.median),
        Reading("task-close", close, against, ratio=close.median / start.median),
    ]


def _run(script: Path, variables: Mapping[str, str], closes: list[float]) -> float:
    done = subprocess.run(
        [sys.executable, str(script)],
        env=variables,
        cwd=script.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    init_ms, close_ms = map(float, done.stdout.split())
    closes.append(close_ms)
    return init_ms


def laptop_variables(home: Path) -> dict[str, str]:
    """A laptop that knows no server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRAY_", "CLEARML_"))}
    return {**kept, "DRAY_HOME": str(home), "XDG_CONFIG_HOME": str(home)}


class Gateway:
    """A gateway of its own, while the block lasts."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __enter__(self) -> dict[str, str]:
        port = 20000 + secrets.randbelow(20000)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gateway", str(self._home), str(port)]
        )
        url = f"http://127.0.0.1:{port}"
        transport = Transport(url, retries=20)
        transport.call("GET", "/healthz", base="")
        token = HomePaths(self._home).token.read_text("utf-8").strip()
        with Client(url, token) as client:
            client.list_queues()
        return {"DRAY_URL": url, "DRAY_TOKEN": token}

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
