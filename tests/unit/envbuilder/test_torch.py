"""Builds of PyTorch: the node's driver decides, unless somebody says it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dray.envbuilder.choice.torch import extra_for, for_manager, torch_backend, torch_variables
from dray.runtime.errors import PreparationFailed


def backend(
    *lines: str,
    said: str = "",
    has_indexes: bool = False,
    node: Mapping[str, str] | None = None,
    driver: str = "550.144.03",
) -> str:
    return torch_backend(said, lines, has_indexes=has_indexes, node=node or {}, driver=driver)


def test_the_driver_decides_for_tasks_that_need_pytorch() -> None:
    assert backend("torch==2.5.1", "numpy") == "auto:550.144.03"
    assert backend("Lightning>=2") == "auto:550.144.03"
    assert backend("torch", driver="") == "cpu"


def test_nothing_is_decided_for_tasks_without_it() -> None:
    assert backend("numpy") == backend("numpy", said="cpu") == ""


@pytest.mark.parametrize("said", ["cpu", "cu128", "rocm6.3", "xpu"])
def test_what_is_said_holds(said: str) -> None:
    assert backend("torch", said=said, has_indexes=True) == said


def test_none_leaves_it_to_the_package_indexes() -> None:
    assert backend("torch", said="none") == ""


def test_a_build_that_is_pinned_is_taken() -> None:
    assert backend("numpy", "torch==2.5.1+cu121") == "cu121"
    assert backend("torch==2.5.1+cpu", driver="") == "cpu"


def test_named_indexes_decide_themselves() -> None:
    assert backend("torch", has_indexes=True) == ""
    assert backend("torch", node={"UV_DEFAULT_INDEX": "https://mirror"}) == ""
    assert backend("torch", node={"UV_FIND_LINKS": "/wheels"}) == ""
    assert backend("torch", said="auto", node={"UV_FIND_LINKS": "/wheels"}) == "auto:550.144.03"


def test_what_the_operator_tells_uv_counts_as_said() -> None:
    assert backend("torch", node={"UV_TORCH_BACKEND": "cpu"}) == "cpu"
    assert backend("torch", said="cu128", node={"UV_TORCH_BACKEND": "cpu"}) == "cu128"


def test_only_uv_and_pip_can_be_told() -> None:
    assert [for_manager("auto:550.1", who) for who in ("uv", "pip")] == ["auto:550.1"] * 2
    assert [for_manager("cpu", who) for who in ("conda", "poetry")] == ["", ""]


def test_a_backend_nobody_knows_is_refused() -> None:
    with pytest.raises(PreparationFailed, match="torch_backend is 'cuda'; give cpu") as caught:
        backend("numpy", said="cuda")
    assert caught.value.details["field"] == "execution.torch_backend"


def test_uv_is_told_by_variables() -> None:
    assert torch_variables("") == {}
    assert torch_variables("cu128") == {"UV_TORCH_BACKEND": "cu128"}
    assert torch_variables("auto:550.1") == {
        "UV_TORCH_BACKEND": "auto",
        "UV_CUDA_DRIVER_VERSION": "550.1",
    }


@pytest.mark.parametrize(
    ("driver", "expected"),
    [("", "cpu"), ("470.82", "cu118"), ("550.144.03", "cu128"), ("580.65", "cu130")],
)
def test_of_a_locks_extras_the_newest_that_the_driver_runs_is_taken(
    driver: str, expected: str
) -> None:
    assert extra_for(["cpu", "cu118", "cu128", "cu130", "docs"], "", driver) == expected


def test_a_lock_without_such_extras_is_left_alone() -> None:
    assert extra_for(["docs"], "", "550.1") == ""
