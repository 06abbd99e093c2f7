"""One run of the chaos, from an empty folder to a verdict, leaving nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dray.runtime.codec import to_json
from dray.runtime.errors import DrayError, ServerUnreachable
from dray.selftest import history, plans, processes, sidelog
from dray.selftest.cluster import LEASE_TTL_S, Place, PrivateCluster, free_ports
from dray.selftest.history import History, Scene
from dray.selftest.liveness import Liveness
from dray.selftest.nemesis import Nemesis
from dray.selftest.proxy import Proxy
from dray.selftest.report import Report, report
from dray.selftest.users import Users, unfinished

#: Tasks for each second of faults: 200 and more in two minutes.
TASKS_PER_S = 1.75
FEWEST_TASKS = 30
#: After the last fault: for what waits, and for each task that may still have to run.
_QUIET_S, _QUIET_PER_TASK_S = 60.0, 0.5
_LOOK_EVERY_S = 0.3


@dataclass(frozen=True)
class Options:
    """How to run it.

    Attributes:
        duration_s: how long faults happen.
        seed: of plans and faults; the machine adds chance of its own.
        n_tasks: None: by the duration.
        n_agents: slots of the private cluster, whatever the machine has.
        keep: leave the folder, whatever comes out.
    """

    duration_s: float
    seed: int
    n_tasks: int | None = None
    n_agents: int = 8
    keep: bool = False

    @property
    def n_tasks_wanted(self) -> int:
        """How many tasks are enqueued."""
        return self.n_tasks or max(FEWEST_TASKS, round(self.duration_s * TASKS_PER_S))


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Break a private cluster for a while, heal it, wait until it is quiet, judge.

    Everything it started has ended when this returns or raises, also after Ctrl-C.

    Raises:
        DrayError: the private cluster did not come up, or not one task ran on it.
    """
    root = Path(tempfile.mkdtemp(prefix="dray-chaos-"))
    place = Place(root, *free_ports(2))
    say(f"seed {options.seed}; everything is in {root}")
    with _leaving_in_order():
        try:
            found = _run(options, place, say)
        finally:
            if not options.keep:
                shutil.rmtree(root, ignore_errors=True)
    return found


def _run(options: Options, place: Place, say: Callable[[str], None]) -> Report:
    cluster = PrivateCluster(place, options.n_agents)
    proxy = Proxy(place.proxy_port, place.port)
    liveness = Liveness(place.side_log)
    with contextlib.ExitStack() as exits:
        if not options.keep:
            exits.callback(cluster.forget)
        exits.callback(proxy.stop)
        exits.callback(liveness.stop)
        exits.callback(cluster.down)
        proxy.start()
        say(f"starting a cluster of {options.n_agents} slots …")
        cluster.up()
        drawn = plans.draw(options.seed, options.n_tasks_wanted, 0.9 * options.duration_s)
        users = Users(cluster.client, place, drawn)
        users.prepare()
        liveness.start()
        nemesis = Nemesis(cluster.ray_pid(), proxy, options.seed)
        exits.callback(nemesis.stop)
        say(f"{len(drawn)} tasks, and faults for {options.duration_s:.0f} s …")
        began_at = time.monotonic()
        users.start()
        nemesis.start()
        _let_pass(options.duration_s, nemesis)
        nemesis.stop()
        faulty_s = time.monotonic() - began_at
        say("healed; waiting until all is quiet …")
        users.finish()
        _wait_until_quiet(users, options.n_tasks_wanted)
        quiet_s = time.monotonic() - began_at - faulty_s
        seen = _witness(cluster, place, users, liveness, nemesis)
        found = report(seen, options.seed, faulty_s, quiet_s, LEASE_TTL_S)
        if options.keep:
            (place.root / "report.json").write_text(json.dumps(to_json(found), indent=2))
            (place.root / "faults.json").write_text(json.dumps(to_json(seen.faults), indent=1))
    return found


def _let_pass(duration_s: float, nemesis: Nemesis) -> None:
    """Wait, unless the nemesis itself has crashed, of which nothing would tell."""
    deadline = time.monotonic() + duration_s
    while time.monotonic() < deadline:
        if not nemesis.is_running:
            raise DrayError("the chaos itself has failed; its own traceback is above")
        time.sleep(min(_LOOK_EVERY_S, max(0.0, deadline - time.monotonic())))


def _wait_until_quiet(users: Users, n_tasks: int) -> None:
    """Until every accepted task has come to an end, within bounds: the judge sees what has not."""
    deadline = time.monotonic() + _QUIET_S + _QUIET_PER_TASK_S * n_tasks
    while time.monotonic() < deadline:
        try:
            if not unfinished(users.client, users.orders):
                return
        except ServerUnreachable:
            pass  # it is being restarted; whether it comes back is seen at the end
        time.sleep(_LOOK_EVERY_S)


def _witness(
    cluster: PrivateCluster, place: Place, users: Users, liveness: Liveness, nemesis: Nemesis
) -> History:
    """Hear every witness, while the cluster still runs."""

    def living() -> list[str]:
        known = {fact.pid: fact.name for fact in liveness.alive()}
        pids = {*known, *processes.of_attempts(place)}
        return [f"process {pid} of attempt {known.get(pid, 'nobody knows')}" for pid in pids]

    scene = history.scene(cluster.client, living)
    stories = history.stories(cluster.client, users.orders)
    return History(
        stories=stories,
        facts=sidelog.read(place.side_log),
        lives=liveness.look(),
        orders=users.orders,
        faults=nemesis.faults,
        scene=Scene(scene.alive, scene.busy, scene.waiting, scene.silent, _integrity(cluster)),
    )


def _integrity(cluster: PrivateCluster) -> list[str]:
    """What the store's own check finds violated."""
    done = cluster.dray("doctor", "--store", "--deep")
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return said[-20:] if done.returncode != 0 else []


@contextlib.contextmanager
def _leaving_in_order() -> Generator[None]:
    """Have every polite signal end this process through its clean-ups, as Ctrl-C does."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.signal(number, leave)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def new_seed() -> int:
    """A seed nobody chose, short enough to be typed."""
    return int.from_bytes(os.urandom(3), "big")
