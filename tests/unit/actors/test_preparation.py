"""What an agent refuses to prepare."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dray.actors.preparation import prepare
from dray.runtime.errors import PreparationFailed
from dray.runtime.models import Container, Execution


async def test_a_task_that_asks_for_a_container_is_refused_naming_it() -> None:
    execution = Execution(container=Container("nvidia/cuda:12.4.0"))
    nothing: Any = None  # it is refused before anything is looked at
    order: Any = SimpleNamespace(task=SimpleNamespace(execution=execution))
    with pytest.raises(PreparationFailed, match=r"container 'nvidia/cuda:12\.4\.0'") as caught:
        await prepare(order, nothing, nothing, nothing)
    assert caught.value.details["kind"] == "environment_failed"
