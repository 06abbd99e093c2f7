"""What the cache key of an environment covers, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dray.envbuilder.interpreters import Interpreter
from dray.runtime.models import Execution

#: Hexadecimal digits of a key: 128 bits, and short enough to read in a path.
KEY_LENGTH = 32

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class EnvironmentSpec:
    """What an environment is made of.

    Attributes:
        python: version asked for; empty for the agent's own.
        manager: who installs, such as ``uv``.
        requirements: requirement lines, in order: a later one may not change what an earlier
            one chose.
        index_urls: package indexes, the default first; empty for what the node is set to.
        build_flags: further options for the installer, verbatim.
    """

    python: str = ""
    manager: str = "uv"
    requirements: tuple[str, ...] = ()
    index_urls: tuple[str, ...] = ()
    build_flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, execution: Execution) -> EnvironmentSpec:
        """The part of ``execution`` that an environment depends on.

        A requirement on ``dray`` itself is left out: the agent puts its own on the child's path.
        """
        return cls(
            python=execution.python_version.strip(),
            manager=execution.environment_manager,
            requirements=tuple(_without_dray(_lines(execution.packages))),
            index_urls=tuple(url.strip() for url in execution.index_urls if url.strip()),
        )


def environment_key(spec: EnvironmentSpec, interpreter: Interpreter) -> str:
    """The name of the environment of ``spec`` on ``interpreter``, the same on equal nodes.

    The interpreter stands in for the version that was asked for, so ``3.11`` and ``3.11.7`` share
    an environment, and an upgrade of the node's Python leads to a new one.
    """
    covered = [
        interpreter.implementation,
        interpreter.version,
        interpreter.abi,
        interpreter.platform,
        spec.manager,
        spec.requirements,
        spec.index_urls,
        spec.build_flags,
    ]
    return hashlib.sha256(json.dumps(covered).encode()).hexdigest()[:KEY_LENGTH]


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
