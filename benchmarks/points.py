"""Scalars end to end: from a spool, through shipper, gateway and store, until a query has them."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.children import lay_out
from benchmarks.cluster import free_port
from benchmarks.measure import Reading, Sample, in_turns, in_words, quantile, ratio
from benchmarks.stand import Stand
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import ServerUnreachable
from dray.runtime.ids import new_id
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths, SpoolPaths
from dray.runtime.records import RECORDS
from dray.runtime.spool import SpoolWriter
from dray.sdk.client import Client
from dray.sdk.ship.shipping import Shipper

N_POINTS = 200_000
N_SERIES = 8
N_ROUNDS = 3
#: Answers waited for while nothing comes in.
N_QUESTIONS = 50
_START_TIMEOUT_S = 20.0


def measure(stand: Stand) -> list[Reading]:
    """Ship a spool and insert the same lines by hand, in turns."""
    lines = stand.folder / "points.jsonl"
    with SpoolWriter(lines) as writer:
        for i in range(N_POINTS):
            writer.scalar(f"title {i % N_SERIES}", "train", i // N_SERIES, 1.0 / (i + 1))
    with _gateway(stand.folder / "points") as (server, client):
        before_s = _cpu_s(server)
        ours, by_hand = in_turns(
            N_ROUNDS,
            lambda: asyncio.run(_ship(stand.folder, lines, client)),
            lambda: _by_hand(stand.folder, lines),
            n_warm_ups=0,
        )
        server_s = (_cpu_s(server) - before_s) / N_ROUNDS
        flood = _flood(stand.folder, lines, client)
    return [
        *flood,
        Reading(
            "points-per-second",
            ours,
            f"by hand {in_words(by_hand.median)}/s",
            ratio(ours, by_hand),
            note=(
                f"{N_POINTS:,} points of {N_SERIES} series; the gateway alone takes "
                f"{server_s:.2g} s of CPU for them, so one core of it takes in "
                f"{in_words(N_POINTS / server_s)} a second"
            ),
        ),
    ]


def _flood(folder: Path, lines: Path, client: Client) -> list[Reading]:
    """What others feel while a backlog comes in: questions, and tasks that are started."""
    at_rest = _ask(client, lambda n: n < N_QUESTIONS)
    shipping = threading.Thread(target=lambda: asyncio.run(_ship(folder, lines, client)))
    shipping.start()
    during = _ask(client, lambda _: shipping.is_alive())
    shipping.join()
    return [
        Reading(
            name,
            Sample(tuple(felt)).times(1000),
            f"at rest {in_words(Sample(tuple(calm)).median * 1000)} ms",
            ratio(Sample(tuple(felt)), Sample(tuple(calm))),
            note=f"of {len(felt)}, 95 % under {in_words(quantile(felt, 0.95) * 1000)} ms, the "
            f"slowest {in_words(max(felt) * 1000)} ms",
        )
        for name, felt, calm in zip(
            ("points-flood", "points-flood-claim"), during, at_rest, strict=True
        )
    ]


def _ask(client: Client, goes_on: Callable[[int], bool]) -> tuple[list[float], list[float]]:
    """Seconds of each answer of ``/healthz``, and of each task that was made and started."""
    answers, starts = list[float](), list[float]()
    while goes_on(len(answers)):
        began = time.perf_counter()
        client.healthz()
        answers.append(time.perf_counter() - began)
        began = time.perf_counter()
        task = client.create_task("bench", "beside")
        client.start(task.id, agent="local:bench", node="bench", claim_id=new_id())
        starts.append(time.perf_counter() - began)
        time.sleep(0.02)
    return answers, starts


@contextmanager
def _gateway(home: Path) -> Generator[tuple[psutil.Process, Client]]:
    home.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.gateway", str(home), str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        with Client(f"http://127.0.0.1:{port}", _token(home), retries=0) as client:
            _await(client)
            yield psutil.Process(process.pid), client
    finally:
        process.terminate()
        process.wait()


def _token(home: Path) -> str:
    """The token of a server that is starting."""
    path, deadline = HomePaths(home).token, time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if path.is_file() and (token := path.read_text("utf-8").strip()):
            return token
        time.sleep(0.05)
    raise TimeoutError(f"the gateway made no {path}")


def _await(client: Client) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            client.server_info()
            return
        except ServerUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


async def _ship(folder: Path, lines: Path, client: Client) -> float:
    """Points a second, until a query has the last of them."""
    task = client.create_task("bench", "points")
    started = client.start(task.id, agent="local:bench", node="bench", claim_id=new_id())
    spool = SpoolPaths(folder / "spools" / task.id)
    lay_out(spool, Task(id=task.id, name="points", project="bench"))
    os.link(lines, spool.stream(RECORDS))
    began = time.perf_counter()
    async with Shipper(spool, task.id, started.epoch, client) as shipper:
        shipper.notify()
        await shipper.finish(Cause(CauseKind.EXIT_CODE, "exit code 0", exit_code=0), 120)
    scalars = client.scalars(task.id)
    seconds = time.perf_counter() - began
    n_last = {s.iterations[-1] for named in scalars.values() for s in named.values()}
    metrics = client.get_task(task.id).metrics
    n_stored = sum(metric.n_points for named in metrics.values() for metric in named.values())
    assert n_last == {N_POINTS // N_SERIES - 1}
    assert n_stored == N_POINTS
    return N_POINTS / seconds


def _by_hand(folder: Path, lines: Path) -> float:
    """The floor: decode each line and insert it into a table with one index, one process."""
    path = folder / f"by-hand-{new_id()[:8]}.db"
    began = time.perf_counter()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE points (title, series, i, v, t, PRIMARY KEY (title, series, i))"
    )
    with connection, lines.open("rb") as file:
        connection.executemany(
            "INSERT INTO points VALUES (:title, :series, :i, :v, :t)", map(json.loads, file)
        )
    connection.close()
    return N_POINTS / (time.perf_counter() - began)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
