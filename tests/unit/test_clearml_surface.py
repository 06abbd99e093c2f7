"""Scripts written for ClearML find every call, with its arguments in their order.

``clearml_surface.json`` lists the public names of ClearML 2.1: class, method, arguments (null for
a property). What Dray does not have is named here, and in docs/coming-from-clearml.md.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import dray
from dray.sdk.artifacts.artifact import Artifact

HERE = Path(__file__).parent
SURFACE: dict[str, dict[str, list[str] | None]] = json.loads(
    (HERE / "clearml_surface.json").read_text("utf-8")
)
PAGE = (HERE.parents[1] / "docs" / "coming-from-clearml.md").read_text("utf-8")
CLASSES: dict[str, Any] = {
    "Artifact": Artifact,
    **{name: getattr(dray, name) for name in SURFACE if name != "Artifact"},
}
ABSENT = {
    ("Artifact", "verify_pickle_file_integrity"),
    ("InputModel", "get_offline_mode_folder"),
    ("Model", "get_offline_mode_folder"),
    ("OutputModel", "get_offline_mode_folder"),
    ("Task", "get_dataviews"),
    ("Task", "get_http_router"),
    ("Task", "labels_stats"),
    ("Task", "list_external_endpoints"),
    ("Task", "metrics_manager"),
    ("Task", "report_subprocess_enabled"),
    ("Task", "request_external_endpoint"),
    ("Task", "resource_monitor"),
    ("Task", "save_exec_model_design_file"),
    ("Task", "set_artifacts"),
    ("Task", "set_dataview"),
    ("Task", "wait_for_external_endpoint"),
}
CALLS = [
    pytest.param(owner, name, arguments, id=f"{owner}.{name}")
    for owner, names in SURFACE.items()
    for name, arguments in names.items()
    if (owner, name) not in ABSENT
]


@pytest.mark.parametrize(("owner", "name", "arguments"), CALLS)
def test_a_call_of_clearml_is_there(owner: str, name: str, arguments: list[str] | None) -> None:
    found = getattr(CLASSES[owner], name)
    if arguments is None or not callable(found):
        return
    own = [n for n in inspect.signature(found).parameters if n not in ("self", "cls")]
    wanted = [argument for argument in arguments if not argument.startswith("*")]
    assert own[: len(wanted)] == wanted


@pytest.mark.parametrize(("owner", "name"), sorted(ABSENT))
def test_what_is_absent_is_said_so(owner: str, name: str) -> None:
    assert not hasattr(CLASSES[owner], name)
    assert name in PAGE
