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


async def test_a_task_that_asks_for_a_container_is_refused_naming_it() -> None:
    execution = Execution(container=Container("nvidia/cuda:12.4.0"))
    nothing: Any = None  # it is refused before anything is fetched
    task = Task("ab" * 16, "t", "p", execution=execution)
    order = WorkOrder(task, 1, "c", "t", "http://127.0.0.1:1", 30.0)
    shop: Any = SimpleNamespace(settings=Settings())
    with pytest.raises(PreparationFailed, match=r"container 'nvidia/cuda:12\.4\.0'") as caught:
        await prepare(order, nothing, shop, nothing)
    assert caught.value.details["kind"] == "environment_failed"


async def test_system_packages_are_for_containers_only() -> None:
    execution = Execution(system_packages=["libgl1"])
    nothing: Any = None  # it is refused before anything is fetched
    task = Task("ab" * 16, "t", "p", execution=execution)
    order = WorkOrder(task, 1, "c", "t", "http://127.0.0.1:1", 30.0)
    shop: Any = SimpleNamespace(settings=Settings())
    with pytest.raises(PreparationFailed, match=r"libgl1.*in containers only") as caught:
        await prepare(order, nothing, shop, nothing)
    assert caught.value.details["field"] == "execution.system_packages"
