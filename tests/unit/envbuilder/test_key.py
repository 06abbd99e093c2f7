"""The key of an environment covers what changes it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dray.envbuilder.interpreters import own_interpreter
from dray.envbuilder.key import EnvironmentSpec, environment_key
from dray.runtime.models import Execution
from dray.runtime.resources import Resources

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


def test_what_a_task_does_with_its_environment_is_not_covered() -> None:
    one = Execution(packages=["a==1"])
    other = replace(one, entry_point="x.py", diff="…", commit="c", resources=Resources(gpus=1))
    assert EnvironmentSpec.of(one) == EnvironmentSpec.of(other)


def test_blank_lines_and_comments_are_no_requirements() -> None:
    execution = Execution(packages=["# Python 3.11", "", "  a==1 ", "b==2  # pinned"])
    assert EnvironmentSpec.of(execution).requirements == ("a==1", "b==2  # pinned")


def test_dray_itself_is_left_out_because_the_agent_brings_it() -> None:
    lines = ["dray==0.1.0", "Dray", "dray[cluster] @ file:///home/me/dray", "drayage==1", "a"]
    assert EnvironmentSpec.of(Execution(packages=lines)).requirements == ("drayage==1", "a")
