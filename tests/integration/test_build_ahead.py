"""While a task waits: its environment is made, and what is certain to fail fails."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dray.runtime.causes import CauseKind
from dray.runtime.environments import EnvironmentRequest
from dray.runtime.models import Policy, Task
from dray.runtime.resources import Resources
from dray.runtime.states import State
from tests.integration.conftest import Cluster
from tests.unit.envbuilder.conftest import processes_at
from tests.unit.envbuilder.indexes import make_wheel, serve_index
from tests.waiting import wait_until

#: What builds ahead yields, so on a machine that is busy with other tests it takes its time.
YIELDING_S = 100.0
#: All that the cluster has: with it taken, not even a builder that held anything could start.
EVERYTHING = Resources(cpus=4, gpus=2)


@contextmanager
def every_slot_taken(cluster: Cluster) -> Iterator[None]:
    blocker = cluster.submit("import time; time.sleep(600)", resources=EVERYTHING)
    wait_until(lambda: cluster.client.get_task(blocker.id).state, lambda s: s is State.RUNNING)
    try:
        yield
    finally:
        cluster.client.abort(blocker.id)
        cluster.finished(blocker)


def waiting(cluster: Cluster, source: str, index: str = "", *packages: str) -> Task:
    return cluster.submit(
        source,
        resources=EVERYTHING,
        packages=list(packages),
        index_urls=[index] if index else [],
        policy=Policy(retries=3),
    )


def builders() -> list[int]:
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if name.startswith(b"ray::BuilderActor"):
            found.append(int(path.parent.name))
    return found


def test_a_waiting_task_finds_its_environment_built(cluster: Cluster, tmp_path: Path) -> None:
    make_wheel(tmp_path, "aheadofneed", "1.0")
    with serve_index(tmp_path) as index:
        with every_slot_taken(cluster):
            source = "import aheadofneed; print(aheadofneed.VERSION)"
            task = waiting(cluster, source, index.url, "aheadofneed")
            ready = r"its environment (\w{12}) is ready on "
            why = wait_until(
                lambda: cluster.client.why(task.id).reason,
                lambda text: re.search(ready, text),
                timeout_s=YIELDING_S,
                wrong=lambda text: "is busy" not in text,
            )
            (key,) = re.findall(ready, why)
            (node,) = cluster.client.list_environments()
            assert key in [each.key[:12] for each in node.environments]
            details = cluster.client.get_environment(key)
            assert (details.node, details.installed) == (node.node, ["aheadofneed==1.0"])
            built = cluster.client.build_environment(EnvironmentRequest(task.id))
            assert (built.reused, built.environment.key[:12]) == (True, key)
        ended = cluster.finished(task)
        assert (ended.state, cluster.console(ended)) == (State.COMPLETED, "1.0\n")
        assert ended.attempt is not None
        assert ended.attempt.environment is not None
        assert ended.attempt.environment.reused
        (pruned,) = cluster.client.prune_environments([details.environment.key])
        assert pruned.removed == [details.environment.key]


def test_a_typo_fails_the_task_while_it_waits(cluster: Cluster) -> None:
    with every_slot_taken(cluster):
        task = waiting(cluster, "import json\nimport jsno\n")
        alike = waiting(cluster, "import json\nimport jsno\n")
        ended, other = (cluster.client.wait(t.id, timeout=YIELDING_S) for t in (task, alike))
        for each in (ended, other):
            assert (each.state, each.epoch, each.n_retries) == (State.FAILED, 1, 0)
            assert each.cause is not None
            assert each.cause.kind is CauseKind.ENVIRONMENT_FAILED
            assert "main.py, line 2: No module named 'jsno'" in each.cause.message
            assert "the nearest there is 'json'" in each.cause.message
        assert ended.attempt is not None
        assert ended.attempt.agent.startswith("builder@")
        steps = [(entry.event, entry.by) for entry in cluster.client.history(task.id).items]
        assert steps[-2:] == [("claim", "builder"), ("fail", "builder")]


def test_nothing_half_built_is_left_by_a_builder_that_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    make_wheel(tmp_path, "slowtocome", "1.0")
    before = builders()
    with serve_index(tmp_path, hangs=True) as index:
        with every_slot_taken(cluster):
            task = waiting(cluster, "import slowtocome; print(1)", index.url, "slowtocome")
            assert index.asked.wait(YIELDING_S)
            environments = Path(cluster.environ["DRAY_CACHE"]) / "environments"
            assert list(environments.glob(".building-*"))
            for pid in set(builders()) - set(before) or builders():
                os.kill(pid, signal.SIGKILL)
            half_built = environments / ".building-"
            wait_until(lambda: processes_at(half_built), lambda alive: not alive)
            reason = wait_until(
                lambda: cluster.client.why(task.id).reason,
                lambda text: "could not be built ahead" in text,
            )
            assert "its builder is gone" in reason
        index.answer.set()
        ended = cluster.finished(task)
        assert (ended.state, cluster.console(ended)) == (State.COMPLETED, "1\n"), ended.cause
        assert not list(environments.glob(".building-*"))
