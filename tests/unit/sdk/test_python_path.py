"""Folders that a script imports from besides its own are recorded, for machines without them."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from dray.sdk.capture.captured import Entry, capture
from dray.sdk.capture.python_path import importable


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose package lies in ``src`` and whose script lies beside it."""
    package = tmp_path / "src" / "nets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "resnet.py").write_text("LAYERS = 18\n")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "train.py").write_text("from nets import resnet\nimport helper\n")
    (tmp_path / "scripts" / "helper.py").write_text("")
    (tmp_path / "unused").mkdir()
    (tmp_path / ".drayignore").write_text("")
    return tmp_path


def captured(project: Path, path: list[str], entry: str = "scripts/train.py") -> list[str]:
    found = capture(Entry(project / entry), project, path=[str(project / "scripts"), *path])
    assert found.root == project
    return found.execution["python_path"]


def test_a_folder_that_an_editable_install_put_on_the_path_is_recorded(project: Path) -> None:
    path = [str(project / "src"), str(project / "unused"), "/usr/lib/python3/dist-packages"]
    assert captured(project, path) == ["src"]


def test_the_scripts_own_folder_and_those_outside_the_code_are_not(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere")
    (outside / "nets.py").write_text("")
    assert captured(project, [str(outside)]) == []


def test_a_package_that_an_editable_install_finds_by_a_table_is_found_from_above_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = types.ModuleType("__editable___nets_0_1_finder")
    table = {"nets": project / "src" / "nets", "a.b": project / "src" / "a" / "b", "renamed": "/x"}
    finder.__dict__["MAPPING"] = {name: str(place) for name, place in table.items()}
    monkeypatch.setitem(sys.modules, finder.__name__, finder)
    assert importable() == [*sys.path, str(project / "src")]
    assert captured(project, importable()) == ["src"]
