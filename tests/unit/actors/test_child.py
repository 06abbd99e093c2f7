"""The process of an attempt under its agent: what ends it, and what is said of the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import anyio
import psutil
import pytest

from dray.actors.child import ChildRun, StopRequest
from dray.actors.ending import ProcessEnd, process_cause
from dray.actors.orders import WorkOrder
from dray.actors.streams import AttemptSpool
from dray.actors.workshop import Workshop
from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.launch.setup_script import SetupOutput, SetupPlan, with_setup
from dray.runtime import causes
from dray.runtime.causes import CauseKind
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.models import OnLost, Policy, Task
from dray.runtime.paths import NodePaths, SpoolPaths
from dray.runtime.subprocesses import Supervisor
from dray.sdk.ship.shipping import Shipper
from tests.unit.runtime.processes import DAEMONISES, STUBBORN, WAITS, is_alive
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")


@dataclass
class SilentShipper:
    """Ships nothing; the server was last heard of when the test says so."""

    last_confirmed: float = field(default_factory=time.monotonic)
    executing: bool = False

    def mark_executing(self) -> None:
        self.executing = True

    def notify(self) -> None:
        return


@dataclass
class Agent:
    """An agent's place of work, with one task."""

    shop: Workshop
    policy: Policy = field(default_factory=Policy)
    lease_ttl_s: float = 30.0
    shipper: SilentShipper = field(default_factory=SilentShipper)
    stop: StopRequest = field(default_factory=StopRequest)

    async def run(self, code: str) -> ProcessEnd:
        """How a task that is ``code`` ends here."""
        return await self.start(LaunchPlan([sys.executable, "-I", "-S", "-c", code], Path(), {}))

    async def start(self, plan: LaunchPlan, setup: SetupOutput | None = None) -> ProcessEnd:
        """How the process of a plan ends here, in the code of an attempt."""
        task = Task("ab" * 16, "t", "p", policy=self.policy)
        order = WorkOrder(task, os.getpid(), "c", "t", "http://h", self.lease_ttl_s)
        with AttemptSpool(self.shop.node.attempt(task.id, order.epoch)) as spool:
            spool.open(order, agent="a", node="n")
            spool.on_append = lambda _: None
            shipper = cast("Shipper", self.shipper)
            child = ChildRun(order, self.shop, spool, shipper, self.stop)
            environment = {**os.environ, "DRAY_SPOOL": str(spool.paths.root)}
            plan = LaunchPlan(plan.argv, spool.code, environment)
            return await asyncio.wait_for(child.run(plan, setup), timeout=30)

    def console(self, stream: str = "stdout") -> str:
        """What the task wrote to a stream so far."""
        files = list(self.shop.node.attempts.glob(f"*/spool/{stream}.log"))
        return files[0].read_text() if files else ""


@pytest.fixture(params=[True, False], ids=["cgroups", "no cgroups"])
async def agent(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Agent]:
    settings = Settings(stop_grace_s=0.1, cgroups=request.param)
    async with Supervisor.start() as supervisor:
        shop = Workshop(
            agent="a",
            node_name="n",
            node=NodePaths(tmp_path),
            settings=settings,
            supervisor=supervisor,
            background=anyio.create_task_group(),
            gpus=[],
            clock=SystemClock(),
        )
        yield Agent(shop)


async def test_a_process_that_ends_by_itself_was_asked_nothing(agent: Agent) -> None:
    end = await agent.run("print('hello')")
    assert (end.status.exit_code, end.asked, end.steps, end.starved) == (0, None, (), None)
    assert not end.fenced


async def test_a_stop_climbs_the_ladder_with_the_grace_of_the_task(agent: Agent) -> None:
    agent.policy = Policy(stop_grace_s=0.0)
    agent.shop = replace(agent.shop, settings=replace(agent.shop.settings, stop_grace_s=1000.0))
    running = asyncio.create_task(agent.run(STUBBORN))
    await asyncio.to_thread(wait_until, agent.console)
    assert agent.stop.ask(causes.aborted("ann"))
    assert not agent.stop.ask(causes.aborted("bob"))
    end = await running
    assert end.asked == causes.aborted("ann")
    assert end.steps == tuple(f"{n} to 1 process" for n in ("SIGINT", "SIGTERM", "SIGKILL"))


async def test_a_time_limit_counts_from_the_start_of_the_process(agent: Agent) -> None:
    agent.policy = Policy(max_run_time_s=0.1)
    end = await agent.run(WAITS)
    assert end.asked is not None
    assert end.asked.kind is CauseKind.TIME_LIMIT
    assert end.steps == ("SIGINT to 1 process",)


async def test_a_silent_server_lets_the_fence_fall(agent: Agent) -> None:
    agent.lease_ttl_s = 1.0
    end = await agent.run(WAITS)
    assert end.fenced
    assert end.status.signal == signal.SIGKILL
    assert end.starved is None, "the KILL was ours"


async def test_a_task_that_waits_for_its_server_has_no_fence(agent: Agent) -> None:
    agent.policy = Policy(on_lost=OnLost.WAIT)
    agent.shipper.last_confirmed -= 1000
    end = await agent.run("print('unharmed')")
    assert (end.status.exit_code, end.fenced) == (0, False)


ONCE = pytest.mark.parametrize("agent", [False], indirect=True, ids=["no cgroups"])


@ONCE
async def test_no_process_starts_under_a_lease_that_has_run_out(agent: Agent) -> None:
    agent.shipper.last_confirmed -= agent.lease_ttl_s
    with pytest.raises(OSError, match="fence has fallen"):
        await agent.run("print('started', flush=True)")
    assert agent.console() == ""


@dataclass
class HeardShipper(SilentShipper):
    """The server answers as soon as the process has started, shortly before its fence falls."""

    last_confirmed: float = field(default_factory=lambda: time.monotonic() - 22.5)

    def mark_executing(self) -> None:
        self.last_confirmed = time.monotonic()


@ONCE
async def test_renewals_keep_the_fence_from_falling(agent: Agent) -> None:
    agent.shipper = HeardShipper()
    end = await agent.run("import time; time.sleep(1.6)")  # born with a fence in 1.5 s
    assert (end.status.exit_code, end.fenced) == (0, False)


@ONCE
async def test_no_process_outlives_a_watch_that_fails(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        await asyncio.to_thread(wait_until, agent.console)
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(ChildRun, "_limit_time", fail)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  (a group; the class is of 3.11)
        await agent.run("import os; print(os.getpid(), flush=True)" + WAITS)
    assert "a bug of ours" in repr(caught.value)
    assert not is_alive(int(agent.console()))


async def test_output_that_cannot_be_kept_ends_it_without_a_last_word(agent: Agent) -> None:
    code = "import os; os.symlink('/dev/full', os.environ['DRAY_SPOOL'] + '/stdout.log')\n"
    end = await agent.run(code + "print('lost', flush=True)" + WAITS)
    assert end.asked is not None
    assert end.asked.kind is CauseKind.WORKER_LOST
    assert agent.stop.at_once


async def test_nothing_stays_of_what_lost_all_its_keepers(agent: Agent) -> None:
    running = asyncio.create_task(agent.run(DAEMONISES + WAITS))
    pids = await asyncio.to_thread(
        wait_until, lambda: agent.console().split(), lambda lines: len(lines) == 2
    )
    child = next(p for p in map(psutil.Process, map(int, pids)) if p.ppid() != 1 and is_child(p))
    keeper = child.parent()
    assert keeper is not None
    helper = keeper.parent()
    assert helper is not None
    helper.suspend()
    keeper.kill()
    helper.kill()
    end = await running
    assert end.status.lost
    wait_until(lambda: [pid for pid in map(int, pids) if is_alive(pid)], lambda alive: not alive)


def is_child(process: psutil.Process) -> bool:
    """Whether it is the child, whose keeper is a fork of the supervisor; not its daemon."""
    return os.getsid(process.pid) == process.pid


def with_setup_script(agent: Agent, code: str, script: str, folder: Path) -> SetupPlan:
    plan = LaunchPlan([sys.executable, "-I", "-S", "-c", code], folder, dict(os.environ))
    setup = with_setup(plan, [script], [], folder / "setup")
    assert setup is not None
    return setup


@ONCE
async def test_the_words_of_a_setup_script_go_to_the_log_of_the_preparation(
    agent: Agent, tmp_path: Path
) -> None:
    setup = with_setup_script(agent, "print('task')", "echo setting up", tmp_path)
    end = await agent.start(setup.plan, setup.output)
    assert (end.status.exit_code, end.setup_failed) == (0, None)
    assert agent.console() == "task\n"
    assert agent.console("prepare") == "setting up\n"
    assert agent.shipper.executing, "and only then it was said to execute"


@ONCE
async def test_a_setup_script_that_fails_is_the_cause(agent: Agent, tmp_path: Path) -> None:
    setup = with_setup_script(agent, "print('task')", "echo no disk; exit 4", tmp_path)
    end = await agent.start(setup.plan, setup.output)
    cause = process_cause(end, SpoolPaths(tmp_path))
    assert (cause.kind, cause.evidence) == (CauseKind.ENVIRONMENT_FAILED, "no disk")
    assert cause.message == "its setup script failed with exit code 4"
    assert not agent.shipper.executing
    assert agent.console() == ""


@ONCE
async def test_a_setup_script_has_a_limit(agent: Agent, tmp_path: Path) -> None:
    agent.shop = replace(agent.shop, settings=replace(agent.shop.settings, setup_limit_s=0.2))
    setup = with_setup_script(agent, "print('task')", "echo asking; sleep 1000", tmp_path)
    end = await agent.start(setup.plan, setup.output)
    cause = process_cause(end, SpoolPaths(tmp_path))
    assert cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "not done after 0.2 s" in cause.message
    assert "asking" in (cause.evidence or "")
