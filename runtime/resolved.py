"""A task's execution with the very packages, Python and commit that an attempt of it ran with."""

from __future__ import annotations

import re
from dataclasses import replace

from dray.runtime.execution import EnvironmentReport, Execution

#: What a clone installs: what its source asks for, or what was built for that.
PACKAGES = ("requested", "resolved")
_TORCH_BUILD = re.compile(r"torch==[^+]+\+(?P<build>cpu|xpu|cu\d+|rocm[\d.]+)$")
#: A package of the code itself, installed from its copy in the environment in the making.
_OF_THE_CODE = re.compile(r"^\S+ @ file://\S*/\.project(?P<path>/[^#?]*)?")


def as_resolved(execution: Execution, report: EnvironmentReport) -> Execution:
    """``execution`` that installs exactly what ``report`` says, whatever its code asks for.

    Who installs stays, but for a tool that installs from its own lock only. Where a branch was
    asked for, the commit that it meant then is.
    """
    container = execution.container
    return replace(
        execution,
        packages=requirements_of(report.installed),
        packages_from="task",
        python_version=report.python or execution.python_version,
        extras=[],
        groups=[],
        constraints=[],
        environment_manager="uv" if report.manager == "poetry" else report.manager,
        torch_backend=_torch_build(report.installed) or execution.torch_backend,
        container=replace(container, image=report.image) if report.image else container,
        commit=report.commit or execution.commit,
    )


def _torch_build(installed: list[str]) -> str:
    """The build of PyTorch that is installed, such as ``cu128``; empty: none, or no special one."""
    found = (_TORCH_BUILD.match(line) for line in installed)
    return next((match["build"] for match in found if match), "")


def requirements_of(installed: list[str]) -> list[str]:
    """Requirement lines that install the same; packages of the code are named by their path."""
    return [_requirement(line) for line in installed]


def _requirement(line: str) -> str:
    found = _OF_THE_CODE.match(line)
    if found is None:
        return line
    path = (found["path"] or "").strip("/")
    return f"./{path}" if path else "."
