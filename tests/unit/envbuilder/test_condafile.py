"""What conda is asked for, read from files of the code and from a task's lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from dray.envbuilder.builders.conda import home_of, request_of, version_of
from dray.envbuilder.builders.condafile import CondaRequest, of_file, of_lines
from dray.envbuilder.builders.relocation import relocated
from dray.envbuilder.spec import EnvironmentSpec, ProjectFile
from dray.envbuilder.tools.interpreters import own_interpreter
from dray.runtime.errors import PreparationFailed

ENVIRONMENT = """\
name: ignored
channels: [pytorch, conda-forge, nodefaults]
dependencies:
  - python>=3.10
  - numpy=1.26
  - dray
  - pip:
    - draysample==1.0
    - dray==0.1
variables:
  A: 1
"""
LOCK = """\
version: 1
package:
- {name: python, manager: conda, platform: linux-64, hash: {md5: ab},
   url: "https://c/linux-64/python-3.11.9-h_0.conda"}
- {name: python, manager: conda, platform: osx-64, hash: {md5: cd},
   url: "https://c/osx-64/python-3.11.9-h_1.conda"}
- {name: six, manager: pip, platform: linux-64, hash: {sha256: ef},
   url: "https://p/six-1-py3-none-any.whl"}
- {name: pytest, manager: conda, platform: linux-64, category: dev, hash: {md5: 01},
   url: "https://c/noarch/pytest-8-0.conda"}
"""


def test_an_environment_file_is_channels_specs_and_lines_for_pip_and_dray_is_left_out() -> None:
    assert of_file(ENVIRONMENT, "environment.yml", "linux-64") == CondaRequest(
        channels=("pytorch", "conda-forge"),
        specs=("python>=3.10", "numpy=1.26"),
        pip=("draysample==1.0",),
        variables={"A": "1"},
    )


def test_a_conda_lock_is_the_packages_of_this_platform_without_those_for_development() -> None:
    request = of_file(LOCK, "conda-lock.yml", "linux-64")
    assert request.explicit == ("https://c/linux-64/python-3.11.9-h_0.conda#ab",)
    assert request.pip == ("six @ https://p/six-1-py3-none-any.whl --hash=sha256:ef",)
    assert request.python == "3.11.9"
    with pytest.raises(PreparationFailed, match="locks no package for linux-aarch64; it has linux"):
        of_file(LOCK, "conda-lock.yml", "linux-aarch64")


def test_lines_of_a_task_that_no_conda_spec_can_be_are_for_pip() -> None:
    request = of_lines(
        [
            "# of a task",
            "--channel conda-forge",
            "numpy=1.26",
            "pytorch::pytorch=2.5=*cuda*",
            "scipy >=1.11,<2  # a range",
            "pkg[extra]==1",
            "lib @ https://x/lib.whl",
            "git+https://x/y.git",
            "https://host/t/${TOKEN}/own::lib=1=h_0",
            "pip: one==1",
            "pip:",
            "plain==1",
        ]
    )
    assert request.channels == ("conda-forge", "pytorch", "https://host/t/${TOKEN}/own")
    assert request.specs == (
        "numpy=1.26",
        "pytorch::pytorch=2.5=*cuda*",
        "scipy >=1.11,<2",
        "lib=1=h_0",
    )
    assert request.pip == (
        "pkg[extra]==1",
        "lib @ https://x/lib.whl",
        "git+https://x/y.git",
        "one==1",
        "plain==1",
    )


def test_an_explicit_list_keeps_urls_and_hashes() -> None:
    lines = [
        "@EXPLICIT",
        "https://c/linux-64/python-3.12.1-h_0.conda#ab",
        "https://c/noarch/a.conda",
    ]
    request = of_lines(lines)
    assert request.explicit == tuple(lines[1:])
    assert request.python == "3.12.1"


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ("python=3.11", "3.11"),
        ("python 3.11.*", "3.11"),
        ("python==3.11.7", "3.11.7"),
        ("conda-forge::python=3.12", "3.12"),
        ("python=3.11.7=h955ad1f_0", "3.11.7"),
        ("python", ""),
        ("python>=3.10", ""),
        ("python-dateutil=2.8", ""),
    ],
)
def test_which_python_a_spec_fixes(spec: str, version: str) -> None:
    assert CondaRequest(specs=(spec,)).python == version


@pytest.mark.parametrize(
    ("specs", "version", "asked"),
    [
        (("a",), "3.11", ["python 3.11.*", "a"]),
        (("python", "a"), "3.11.7", ["python ==3.11.7", "a"]),
        (("python>=3.10",), "3.11", ["python >=3.10,3.11.*"]),
        (("conda-forge::python=3.11",), "3.11", ["conda-forge::python 3.11.*"]),
    ],
)
def test_python_is_asked_for_exactly_and_within_the_range_of_the_file(
    specs: tuple[str, ...], version: str, asked: list[str]
) -> None:
    assert CondaRequest(specs=specs).specs_with_python(version) == asked


def test_pip_comes_along_where_something_is_for_it() -> None:
    assert CondaRequest(pip=("a",)).specs_with_python("3.11") == ["python 3.11.*", "pip"]


def test_a_task_and_its_file_that_want_two_pythons_are_refused() -> None:
    file = ProjectFile("environment.yml", "dependencies: [python=3.11]")
    spec = EnvironmentSpec(python="3.12", manager="conda", origin="environment.yml", files=(file,))
    with pytest.raises(PreparationFailed, match=r"asks for Python 3\.11 and the task for 3\.12"):
        version_of(spec, request_of(spec))


def test_no_python_anywhere_is_the_agents_minor_release() -> None:
    spec = EnvironmentSpec(manager="conda", requirements=("numpy",))
    own = own_interpreter().version
    assert f"{version_of(spec, request_of(spec))}." in own


def test_requirements_files_are_for_pip_whoever_installs() -> None:
    spec = EnvironmentSpec(manager="conda", origin="requirements.txt", requirements=("a==1",))
    assert request_of(spec).pip == ("a==1",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not valid YAML"),
        ("just text", "has no dependencies in it"),
        ("dependencies: [{npm: [x]}]", "neither a conda package nor a list for pip"),
    ],
)
def test_a_broken_file_is_named(text: str, words: str) -> None:
    with pytest.raises(PreparationFailed, match=f"environment.yml .*{words}"):
        of_file(text, "environment.yml", "linux-64")


def test_an_environment_in_the_making_is_installed_where_it_will_be() -> None:
    assert home_of(Path("/envs/.building-ab12-345")) == Path("/envs/ab12")
    assert home_of(Path("/envs/.building-ab12-1-345")) == Path("/envs/ab12-1")
    assert home_of(Path("/envs/mine")) == Path("/envs/mine")


@pytest.mark.parametrize(
    "header",
    [
        b"#!/envs/one/bin/python3.11\n",
        b'#!"/envs/one/bin/python"\n',
        b"#!/bin/sh\n'''exec' /envs/one/bin/python3.11 \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_a_script_of_an_environment_finds_the_interpreter_beside_itself(header: bytes) -> None:
    changed = relocated(header + b"import x\n", Path("/envs/one"))
    assert b"/envs/one" not in changed
    assert changed.endswith(b"\nimport x\n")
    assert changed.startswith(b"#!/bin/sh\n")


def test_other_scripts_stay_as_they_are() -> None:
    script = b"#!/usr/bin/env bash\necho /envs/one/bin/python\n"
    assert relocated(script, Path("/envs/one")) == script
