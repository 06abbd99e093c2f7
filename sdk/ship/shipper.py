"""The process beside a run started by hand: ships its spool, samples hardware, tells how it ended.

``python -m dray.sdk.ship.shipper SPOOL --pid PID``; ``DRAY_TOKEN`` holds the token of the attempt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dray.runtime import causes, config
from dray.runtime.abort_pipe import run_callbacks
from dray.runtime.causes import Cause
from dray.runtime.cgroups import Cgroup, OomWatch
from dray.runtime.codec import from_json, to_json
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable, StaleEpoch
from dray.runtime.hardware import Sampler, host_facts
from dray.runtime.models import Policy
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS
from dray.runtime.spool import SpoolWriter
from dray.sdk.capture.code import CODE_FILE
from dray.sdk.capture.script import Script
from dray.sdk.client import Client, find_server
from dray.sdk.http.transport import pause_s
from dray.sdk.runs.endings import ending
from dray.sdk.runs.threads import in_thread
from dray.sdk.ship.shipped import load_shipped, save_shipped
from dray.sdk.ship.shipping import Pace, Shipper
from dray.sdk.ship.sync import open_attempt, read_json

log = logging.getLogger(__name__)

SAMPLE_EVERY_S = 5.0
#: How long it tries to reach a server after the script has ended; then `dray sync` is the way.
LINGER_S = 60.0
#: How long the end of a short run waits for its code to be read.
CAPTURE_WITHIN_S = 60.0


def main(argv: list[str] | None = None) -> int:
    """Run beside a script until it has ended and its spool is shipped."""
    parser = argparse.ArgumentParser(prog="python -m dray.sdk.ship.shipper", description=__doc__)
    parser.add_argument("spool", type=Path, help="folder of the run's records")
    parser.add_argument("--pid", type=int, required=True, help="process of the run")
    parser.add_argument(
        "--told", action="store_true", help="a byte on stdin says that the run is over"
    )
    options = parser.parse_args(argv)
    spool = SpoolPaths(options.spool.absolute())
    script = Run(options.pid, os.dup(0) if options.told else None)
    _detach(spool)
    reading = _capture(spool)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        attempt = read_json(spool.attempt)
        settings = config.load({"url": attempt.get("url") or None}).settings
        asyncio.run(_accompany(spool, attempt, script, settings, reading))
    except DrayError as exc:
        log.warning("left to `dray sync %s`: %s", spool.root, exc)
        return 1
    finally:
        script.close()
    return 0


class Run(Script):
    """A script and its run, which may be over before its process is.

    Args:
        pid: of the process that began the run.
        told: descriptor a byte comes from when the run is over; None: nobody tells.
    """

    def __init__(self, pid: int, told: int | None) -> None:
        super().__init__(pid)
        self._told = told
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Whether the run goes on."""
        return not self._is_over and super().is_running

    async def ended(self) -> None:
        """Wait for the end of the run, or of its process."""
        gone = asyncio.create_task(super().ended(), name="gone")
        waiting = {gone}
        if self._told is not None:
            waiting.add(asyncio.create_task(in_thread(self._listen), name="told"))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if gone not in done and not self._is_over:
                await gone  # nobody can tell any more
        finally:
            for task in waiting:
                task.cancel()

    def _listen(self) -> None:
        told = self._told
        if told is not None and os.read(told, 1):
            self._is_over = True


def _capture(spool: SpoolPaths) -> subprocess.Popen[bytes] | None:
    """Have the code of the run read by a process of its own; None where there is none to read."""
    if not (spool.root / CODE_FILE).exists():
        return None
    command = [sys.executable, "-m", "dray.sdk.capture.code_beside", str(spool.root)]
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as exc:
        log.warning("the code is not captured: %s", exc)
        return None


async def _accompany(
    spool: SpoolPaths,
    attempt: dict[str, Any],
    script: Run,
    settings: Settings,
    reading: subprocess.Popen[bytes] | None,
) -> None:
    monitoring: dict[str, Any] = attempt.get("monitoring") or {}
    sampling = asyncio.create_task(_sample_for_ever(spool, script.pid, monitoring), name="sample")
    try:
        if attempt.get("url"):
            await _ship(spool, attempt, script, settings, reading)
        else:
            await script.ended()  # offline: `dray sync` ships what is in the spool
            await _read_whole(reading)
    finally:
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling


async def _ship(
    spool: SpoolPaths,
    attempt: dict[str, Any],
    script: Run,
    settings: Settings,
    reading: subprocess.Popen[bytes] | None,
) -> None:
    began = time.monotonic()
    url, token = find_server(settings)
    with Client(url, token, retries=0) as client:
        epoch = await _epoch(spool, attempt, script, client)
        over = asyncio.Event()
        shipper = Shipper(
            spool,
            str(attempt["task_id"]),
            epoch,
            client,
            pace=Pace(renew_wait_s=settings.heartbeat_s, lease_ttl_s=settings.lease_ttl_s),
            on_stop=lambda _: over.set(),
            on_refused=lambda _: over.set(),
        )
        async with shipper:
            limits = _Limits.of(spool, began, settings)
            cause = await _until_over(spool, script, shipper, over, limits)
            if cause is not None:
                await _read_whole(reading)
                with contextlib.suppress(StaleEpoch):  # told below, with when it came earlier
                    await shipper.finish(cause, LINGER_S)
        if shipper.superseded:
            # It moved to a queue, or its end was stated by hand: nothing is left to ship.
            log.info("the server takes no more of this run: %s", shipper.refused)
            save_shipped(spool, replace(load_shipped(spool, url), epoch=epoch, closed=True))
        elif shipper.refused is not None:
            raise shipper.refused


async def _read_whole(reading: subprocess.Popen[bytes] | None) -> None:
    """Wait until the code of a short run is captured too."""
    if reading is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            await in_thread(lambda: reading.wait(CAPTURE_WITHIN_S))


@dataclass(frozen=True)
class _Limits:
    """What the run may take.

    Attributes:
        max_run_time_s: None for ever.
        left_s: what is left of it.
        grace_s: between the first signal and the next.
    """

    max_run_time_s: float | None
    left_s: float | None
    grace_s: float

    @staticmethod
    def of(spool: SpoolPaths, began: float, settings: Settings) -> _Limits:
        """As its task has them; ``began`` is monotonic."""
        policy = from_json(Policy, read_json(spool.task).get("policy") or {})
        limit_s, grace_s = policy.max_run_time_s, policy.stop_grace_s
        return _Limits(
            limit_s,
            None if limit_s is None else max(0.0, limit_s - (time.monotonic() - began)),
            settings.stop_grace_s if grace_s is None else grace_s,
        )


async def _until_over(
    spool: SpoolPaths, script: Run, shipper: Shipper, over: asyncio.Event, limits: _Limits
) -> Cause | None:
    """How the run ended; None when the server has given it up and the script goes on."""
    oom = OomWatch(Cgroup([]))
    ended = asyncio.create_task(script.ended(), name="script")
    told = asyncio.create_task(over.wait(), name="told")
    try:
        await asyncio.wait(
            {ended, told}, timeout=limits.left_s, return_when=asyncio.FIRST_COMPLETED
        )
        if ended.done():
            return await in_thread(lambda: ending(spool, oom.verdict(died_of_kill=True)))
        if shipper.stop_cause is not None:
            cause = shipper.stop_cause
        elif told.done() or limits.max_run_time_s is None:
            return None
        else:
            cause = causes.time_limit(limits.max_run_time_s)
        return await _stop(spool, script, cause, limits.grace_s)
    finally:
        ended.cancel()
        told.cancel()
        await asyncio.gather(ended, told, return_exceptions=True)


async def _stop(spool: SpoolPaths, script: Script, cause: Cause, grace_s: float) -> Cause:
    """Let the run have its last word, then end it; the cause with how that went."""
    log.info("stopping the script: %s", cause.message)
    outcomes: list[str] = []
    if sys.platform != "win32":  # where no callback can be registered
        outcomes = await in_thread(lambda: run_callbacks(spool.root, to_json(cause)))
    steps = await script.stop(grace_s)
    return cause.with_evidence("\n".join([*outcomes, *steps]))


async def _epoch(spool: SpoolPaths, attempt: dict[str, Any], script: Run, client: Client) -> int:
    """The attempt's epoch; a run that began while the server was away is started there first."""
    if attempt.get("epoch"):
        return int(attempt["epoch"])
    deadline: float | None = None
    for n_failures in range(1 << 30):
        try:
            return await in_thread(lambda: _open(spool, attempt, client))
        except ServerUnreachable:
            if script.is_running:
                deadline = None
            else:
                deadline = deadline or time.monotonic() + LINGER_S
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(pause_s(n_failures))
    raise AssertionError  # the range has no end anybody will see


def _open(spool: SpoolPaths, attempt: dict[str, Any], client: Client) -> int:
    try:
        task = client.get_task(str(attempt["task_id"]))
    except NotFound:
        task = None
    return open_attempt(spool, client, task)


async def _sample_for_ever(spool: SpoolPaths, pid: int, monitoring: dict[str, Any]) -> None:
    """Facts of the host once, then what it is doing; the x axis is seconds since the start."""
    every_s = float(monitoring.get("every_s", SAMPLE_EVERY_S))
    started = time.monotonic()
    with SpoolWriter(spool.stream(RECORDS)) as writer:
        writer.append("runtime", values=await in_thread(host_facts))
        if not every_s:  # auto_resource_monitoring=False
            return
        sampler = await in_thread(lambda: Sampler(pid, _visible_gpus()))
        while True:
            await asyncio.sleep(every_s)
            sample = await in_thread(sampler.sample)
            seconds = int(time.monotonic() - started)
            for title, values in sample.items():
                for series, value in values.items():
                    writer.scalar(title, series, seconds, value)


def _visible_gpus() -> list[str] | None:
    # CUDA's own variable, not one of our settings.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if visible is None else [gpu for gpu in visible.split(",") if gpu]


def _detach(spool: SpoolPaths) -> None:
    """Live past the terminal's Ctrl-C, and hold nothing of the script's open.

    A pipe the script writes to ends when its last holder is gone; that must be the script.
    """
    if hasattr(os, "setsid"):
        with contextlib.suppress(PermissionError):  # it was started in a session of its own
            os.setsid()
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    told = os.open(spool.root / "shipper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd, target in ((nothing, 0), (told, 1), (told, 2)):
        os.dup2(fd, target)
    os.close(nothing)
    os.close(told)


if __name__ == "__main__":
    sys.exit(main())
