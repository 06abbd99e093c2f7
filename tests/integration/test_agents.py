"""Agents that should take no more work, and those that cannot: drained, resumed, ended."""

from __future__ import annotations

import os
import signal

from dray.runtime.causes import CauseKind
from dray.runtime.models import AgentRecord, Policy
from dray.runtime.states import State
from tests.integration.conftest import Cluster
from tests.waiting import wait_until


def agents(cluster: Cluster) -> dict[str, AgentRecord]:
    return {agent.name: agent for agent in cluster.client.list_agents()}


def test_a_drained_agent_takes_no_work_until_it_is_resumed(cluster: Cluster) -> None:
    ended = cluster.finished(cluster.submit("print(1)"))
    assert ended.attempt is not None
    name = ended.attempt.agent
    assert cluster.dray("agent", "drain", name, "--reason", "new driver").returncode == 0
    other = cluster.finished(cluster.submit("print(2)"))
    assert other.attempt is not None
    assert other.attempt.agent != name
    assert "new driver" in cluster.dray("agent", "show", name).stdout
    assert cluster.dray("agent", "resume", name).returncode == 0
    assert agents(cluster)[name].state == "ready"


def test_a_drained_agent_stays_so_when_the_scheduler_is_killed(cluster: Cluster) -> None:
    ended = cluster.finished(cluster.submit("print(1)"))
    assert ended.attempt is not None
    name = ended.attempt.agent
    cluster.client.drain_agent(name, "smells of smoke")
    os.kill(cluster.pid_of("scheduler"), signal.SIGKILL)
    after = cluster.finished(cluster.submit("print(2)"))
    assert after.attempt is not None
    assert after.attempt.agent != name
    assert agents(cluster)[name].reason == "smells of smoke"
    cluster.client.stop_agent(name)
    wait_until(lambda: name not in agents(cluster))


def test_an_agent_that_is_stopped_gives_its_task_back(cluster: Cluster) -> None:
    source = "import os, time\nif os.environ['DRAY_EPOCH'] == '1': time.sleep(600)\n"
    task = cluster.submit(source)
    wait_until(lambda: cluster.client.get_task(task.id).phase, lambda p: p == "executing")
    running = cluster.client.get_task(task.id).attempt
    assert running is not None
    assert cluster.dray("agent", "stop", running.agent).returncode == 0
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch, ended.n_requeues) == (State.COMPLETED, 2, 0)
    first = cluster.client.attempts(task.id)[0]
    assert first.cause is not None
    assert first.cause.kind is CauseKind.PREEMPTED


def test_an_agent_that_fails_task_after_task_is_drained_and_says_so(cluster: Cluster) -> None:
    source = (
        "import os, time\n"
        "os.symlink('/dev/full', os.environ['DRAY_SPOOL'] + '/stdout.log')\n"
        "print('lost', flush=True)\ntime.sleep(600)\n"
    )
    names: list[str] = []
    for _ in range(3):
        ended = cluster.finished(cluster.submit(source, policy=Policy(max_requeues=0)))
        assert ended.cause is not None
        assert ended.cause.kind is CauseKind.WORKER_LOST
        assert ended.attempt is not None
        names.append(ended.attempt.agent)
    assert len(set(names)) == 1
    drained = wait_until(lambda: agents(cluster)[names[0]], lambda a: a.state == "drained")
    assert "3 tasks in a row" in drained.reason
    cluster.client.stop_agent(names[0])
    assert cluster.finished(cluster.submit("print('next')")).state is State.COMPLETED


def test_a_task_under_which_agents_die_is_put_in_quarantine(cluster: Cluster) -> None:
    source = (
        "import os, signal, time\n"
        "supervisor = os.popen(f'ps -o ppid= -p {os.getppid()}').read().strip()\n"
        "agent = os.popen(f'ps -o ppid= -p {supervisor}').read().strip()\n"
        "os.kill(int(agent), signal.SIGKILL)\ntime.sleep(600)\n"
    )
    task = cluster.submit(source, policy=Policy(quarantine_after=2))
    ended = cluster.finished(task)
    assert ended.cause is not None
    assert (ended.state, ended.cause.kind) == (State.FAILED, CauseKind.QUARANTINED), ended.cause
    assert ended.epoch == 2
    lost = {attempt.agent for attempt in cluster.client.attempts(task.id)}
    assert all(agent in ended.cause.message for agent in lost)
