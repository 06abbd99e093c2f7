"""A clone as resolved installs what an attempt ran with, and nothing is chosen anew."""

from __future__ import annotations

from dray.runtime.execution import Container, EnvironmentReport, Execution
from dray.runtime.resolved import as_resolved, requirements_of

REPORT = EnvironmentReport(
    key="k",
    reused=True,
    seconds=0.1,
    python="3.11.7",
    installed=["numpy==2.1.0", "torch==2.9.0+cpu"],
    manager="uv",
    torch_backend="auto",
    commit="c" * 40,
)


def test_packages_python_and_builds_are_those_that_were_built() -> None:
    asked = Execution(
        branch="main",
        packages=["numpy", "torch"],
        constraints=["numpy<3"],
        extras=["gpu"],
        groups=["dev"],
        index_urls=["https://host/simple"],
        python_version="3.11",
    )
    made = as_resolved(asked, REPORT)
    assert (made.packages, made.packages_from) == (["numpy==2.1.0", "torch==2.9.0+cpu"], "task")
    assert (made.python_version, made.torch_backend) == ("3.11.7", "cpu")
    assert (made.constraints, made.extras, made.groups) == ([], [], [])
    assert made.index_urls == asked.index_urls, "it is still looked for where it was found"
    assert (made.branch, made.commit) == ("main", "c" * 40)


def test_a_tool_that_installs_from_its_lock_alone_gives_way() -> None:
    report = EnvironmentReport("k", True, 0.1, manager="poetry")
    assert as_resolved(Execution(), report).environment_manager == "uv"


def test_a_container_is_the_very_image() -> None:
    asked = Execution(container=Container("python:3.12", "--ipc=host"))
    report = EnvironmentReport("k", True, 0.1, image="python@sha256:1234")
    assert as_resolved(asked, report).container == Container("python@sha256:1234", "--ipc=host")
    assert as_resolved(asked, REPORT).container == asked.container


def test_packages_of_the_code_are_installed_from_the_code_again() -> None:
    copy = "file:///cache/environments/.building-k-1/.project"
    lines = [f"app @ {copy}", f"lib @ {copy}/libs/lib", "six==1.17.0", "a @ file:///w/a.whl"]
    assert requirements_of(lines) == [".", "./libs/lib", "six==1.17.0", "a @ file:///w/a.whl"]
