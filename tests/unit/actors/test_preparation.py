"""What an agent refuses to prepare."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dray.actors.orders import WorkOrder
from dray.actors.preparation import prepare
from dray.runtime.config import Settings
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Container, Execution
from dray.runtime.models import Task
from dray.runtime.paths import AttemptPaths, NodePaths


async def refused(execution: Execution, tmp_path: Any, **settings: Any) -> PreparationFailed:
    nothing: Any = None  # it is refused before anything is fetched
    task = Task("ab" * 16, "t", "p", execution=execution)
    order = WorkOrder(task, 1, "c", "t", "http://127.0.0.1:1", 30.0)
    attempt = AttemptPaths(tmp_path / "attempt")
    spool: Any = SimpleNamespace(root=attempt.root, lock_path=attempt.root / "lock")
    shop: Any = SimpleNamespace(
        settings=Settings(**settings),
        node=NodePaths(tmp_path / "cache"),
        agent="a",
        node_name="n",
        gpus=[],
    )
    with pytest.raises(PreparationFailed) as caught:
        await prepare(order, spool, shop, nothing)
    assert caught.value.details["kind"] == "environment_failed"
    return caught.value


async def test_a_container_without_an_engine_names_the_setting(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await refused(Execution(container=Container("nvidia/cuda:12.4.0")), tmp_path)
    assert "no program 'docker'" in error.message
    assert "container_engine" in error.message


async def test_an_argument_outside_the_list_is_refused_before_any_engine_is_asked(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    execution = Execution(container=Container("debian", "--privileged"))
    error = await refused(execution, tmp_path)
    assert "--privileged" in error.message
    assert "container_allowed_arguments" in error.message


async def test_system_packages_need_a_container(tmp_path: Any) -> None:
    error = await refused(Execution(system_packages=["libgomp1"]), tmp_path)
    assert "set_base_docker" in error.message
