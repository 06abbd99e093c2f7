"""Runs a script under ``examples/`` as its users would, by hand and through a queue."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dray import Task
from dray.sdk.client import Client
from tests.integration.conftest import PATIENCE_S, Cluster

EXAMPLES = Path(__file__).parents[2] / "examples"
#: What a script may import in a queue: one environment for all, of the versions tested here.
_DISTRIBUTIONS = (
    "absl-py",
    "click",
    "fire",
    "hydra-core",
    "jsonargparse",
    "loguru",
    "matplotlib",
    "numpy",
    "pandas",
    "pillow",
    "plotly",
    "pydantic",
    "pyyaml",
    "scikit-learn",
    "tensorboardx",
)
LOCAL, QUEUE = "local", "queue"
#: How many run beside each other: more of them than cores, as each also waits for the server.
_AT_ONCE = 3
_ANNOUNCED = re.compile(r"/tasks/([0-9a-f]{32})")


@dataclass(frozen=True)
class Script:
    """A script of ``examples/``, how it is called and how it is to end."""

    path: str
    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    status: str = "completed"


@dataclass
class Recorded:
    """A run of an example that has ended.

    Attributes:
        task: its first task, as the server has it.
        where: ``local`` or ``queue``.
        console: what the script printed on stdout.
        cluster: where it was recorded.
        task_ids: of all tasks the process announced, in order; one for most.
    """

    task: Task
    where: str
    console: str
    cluster: Cluster
    script: Script
    task_ids: list[str] = field(default_factory=list[str])

    def again(self, **parameters: Any) -> Task:
        """A clone with these parameters (``Args__epochs=3`` for ``Args/epochs``), run in a queue.

        Only of a run through a queue: a local one outside git has sent no code.
        """
        assert self.where == QUEUE, "clone what ran in a queue"
        clone = Task.clone(self.task)
        clone.set_packages(packages())
        clone.update_parameters({k.replace("__", "/"): v for k, v in parameters.items()})
        Task.enqueue(clone, "default")
        self.cluster.client.wait(clone.id, timeout=PATIENCE_S)
        return _fetched(clone.id)


def example(
    path: str,
    arguments: Sequence[str] = (),
    *,
    where: Sequence[str] = (LOCAL, QUEUE),
    status: str = "completed",
    **variables: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a test ``run``, a :class:`Recorded` of that script, once for each of ``where``."""
    script = Script(path, tuple(arguments), tuple(variables.items()), status)
    runs = [pytest.param((script, place), id=f"{place}") for place in where]
    return pytest.mark.parametrize("run", runs, indirect=True)


class Runs:
    """Runs of examples, begun ahead of the tests that read them, some beside each other.

    The places of one script follow each other: some scripts read what their last run left.

    Args:
        wanted: the script and its place for each test, by the test's id, in order.
        cluster: where they run; its variables are to stay in the environment meanwhile.
        folder: below it every run has a folder of its own.
    """

    def __init__(
        self, wanted: Mapping[str, tuple[Script, str]], cluster: Cluster, folder: Path
    ) -> None:
        self._runs: dict[str, Future[Recorded]] = {test: Future() for test in wanted}
        self._threads = ThreadPoolExecutor(_AT_ONCE)
        tests_of: dict[str, list[str]] = {}
        for test, (script, _) in wanted.items():
            tests_of.setdefault(script.path, []).append(test)

        def run_in_turn(tests: list[str]) -> None:
            for test in tests:
                script, where = wanted[test]
                own = folder / f"{list(wanted).index(test)}"
                try:
                    self._runs[test].set_result(run_script(script, where, cluster, own))
                except BaseException as problem:  # the test raises it
                    self._runs[test].set_exception(problem)

        for tests in tests_of.values():
            self._threads.submit(run_in_turn, tests)

    def of(self, test: str) -> Recorded:
        """The run for the test of this id, once it has ended."""
        return self._runs[test].result()

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)


def run_script(script: Script, where: str, cluster: Cluster, folder: Path) -> Recorded:
    """Run ``script`` there, with ``folder`` as what its user works in."""
    source = EXAMPLES / script.path
    # As a user's folder outside of git, so that the snapshot is the script and what it imports.
    shutil.copytree(
        source.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    if where == QUEUE:
        return _through_queue(script, cluster, folder / source.name)
    return _by_hand(script, cluster, folder / source.name)


@functools.cache
def packages() -> list[str]:
    """Requirement lines of the environment that examples have in a queue."""
    return [f"{name}=={metadata.version(name)}" for name in _DISTRIBUTIONS]


def _by_hand(script: Script, cluster: Cluster, path: Path) -> Recorded:
    done = subprocess.run(
        [sys.executable, str(path), *script.arguments],
        env={**cluster.environ, **dict(script.variables)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode == 0) == (script.status == "completed"), done.stdout + done.stderr
    task_ids = list(dict.fromkeys(_ANNOUNCED.findall(done.stderr)))
    assert task_ids, f"{script.path} announced no task:\n{done.stderr}"
    for task_id in task_ids:
        cluster.client.wait(task_id, timeout=PATIENCE_S)
    task = _fetched(task_ids[0])
    _check_end(task, script, cluster.client)
    return Recorded(task, LOCAL, done.stdout, cluster, script, task_ids)


def _through_queue(script: Script, cluster: Cluster, path: Path) -> Recorded:
    draft = Task.create(
        project_name="examples",
        task_name=path.name,
        script=path.name,
        working_directory=str(path.parent),
        packages=packages(),
        add_task_init_call=False,
    )
    if script.arguments:
        execution = {"arguments": list(script.arguments)}
        cluster.client.edit_task(draft.id, execution=execution)
    Task.enqueue(draft, "default")
    cluster.client.wait(draft.id, timeout=PATIENCE_S)
    task = _fetched(draft.id)
    _check_end(task, script, cluster.client)
    return Recorded(task, QUEUE, _console(cluster.client, draft.id), cluster, script, [draft.id])


def _check_end(task: Task, script: Script, client: Client) -> None:
    if task.status != script.status:
        pieces = client.console(task.id).pieces
        said = "".join(piece.text for piece in pieces)[-4000:]
        raise AssertionError(
            f"{script.path} is {task.status}, not {script.status}: "
            f"{task.get_status_message()}\n{said}"
        )


def _console(client: Client, task_id: str) -> str:
    pieces = client.console(task_id).pieces
    return "".join(piece.text for piece in pieces if piece.stream == "stdout")


def _fetched(task_id: str) -> Task:
    task = Task.get_task(task_id)
    assert task is not None
    return task
