"""The key of an environment covers what changes it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dray.envbuilder.spec import EnvironmentSpec, LocalPackage, ProjectFile, environment_key
from dray.envbuilder.tools.interpreters import own_interpreter

SPEC = EnvironmentSpec(
    python="3.11", requirements=("a==1", "b==2"), index_urls=("https://one/simple",)
)
PYTHON = own_interpreter()


def test_equal_specs_have_equal_keys() -> None:
    assert environment_key(SPEC, PYTHON) == environment_key(replace(SPEC), PYTHON)
    assert len(environment_key(SPEC, PYTHON)) == 32


@pytest.mark.parametrize(
    "change",
    [
        {"manager": "pip"},
        {"requirements": ("a==1", "b==3")},
        {"requirements": ("b==2", "a==1")},
        {"index_urls": ("https://two/simple",)},
        {"index_urls": ()},
        {"build_flags": ("--no-deps",)},
        {"constraints": ("a<2",)},
        {"find_links": ("/wheels",)},
        {"files": (ProjectFile("uv.lock", "…"),)},
        {"local": (LocalPackage("lib", "ab"),)},
        {"torch_backend": "cpu"},
    ],
)
def test_whatever_changes_the_environment_changes_the_key(change: dict[str, Any]) -> None:
    assert environment_key(replace(SPEC, **change), PYTHON) != environment_key(SPEC, PYTHON)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3.11.99"},
        {"abi": "cpython-311d-x86_64-linux-gnu"},
        {"platform": "linux-aarch64"},
        {"implementation": "pypy"},
    ],
)
def test_another_interpreter_changes_the_key(change: dict[str, str]) -> None:
    assert environment_key(SPEC, replace(PYTHON, **change)) != environment_key(SPEC, PYTHON)


def test_the_exact_version_and_its_abbreviation_share_an_environment() -> None:
    exact = replace(SPEC, python=PYTHON.version)
    assert environment_key(exact, PYTHON) == environment_key(SPEC, PYTHON)


def test_the_place_it_is_for_changes_the_key() -> None:
    assert environment_key(SPEC, PYTHON, "sha256:ab") != environment_key(SPEC, PYTHON)


def test_where_the_code_lies_and_what_chose_the_packages_do_not() -> None:
    moved = replace(SPEC, code=Path("/elsewhere"), origin="requirements.txt")
    assert environment_key(moved, PYTHON) == environment_key(SPEC, PYTHON)
