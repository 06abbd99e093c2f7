"""What a task's environment is made of: its lock file, its packages, or its requirements files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.execution import Execution

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


async def choose(execution: Execution, code: Path) -> EnvironmentSpec:
    """What to install for ``execution``, whose code lies in ``code``.

    A requirement on ``dray`` itself is left out: the agent puts its own on the child's path.
    """
    return EnvironmentSpec(
        python=execution.python_version.strip(),
        manager=execution.environment_manager or "uv",
        requirements=tuple(_without_dray(_lines(execution.packages))),
        index_urls=tuple(url.strip() for url in execution.index_urls if url.strip()),
        code=code,
    )


def _lines(packages: Iterable[str]) -> Iterator[str]:
    """Requirement lines without blank ones and comments, which change nothing."""
    for line in packages:
        text = line.strip()
        if text and not text.startswith("#"):
            yield text


def _without_dray(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        name = _NAME.match(line)
        if name is None or name[0].lower() != "dray":
            yield line
