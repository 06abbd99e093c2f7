"""What an environment is made of, and the key that names the result."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from dray.envbuilder.tools.interpreters import Interpreter

#: Hexadecimal digits of a key: 128 bits, and short enough to read in a path.
KEY_LENGTH = 32


@dataclass(frozen=True)
class ProjectFile:
    """A file of the task's code that says what to install, such as its ``uv.lock``.

    Attributes:
        path: relative to the root of the code.
        text: its content.
    """

    path: str
    text: str


@dataclass(frozen=True)
class LocalPackage:
    """A package whose source is part of the task's code.

    Attributes:
        path: folder or archive, relative to the root of the code.
        sha256: of everything in it, so that changed code leads to another environment.
        extras: optional dependencies of it to install, too.
        by_name: a lock of ``EnvironmentSpec.files`` asks for it; else it is asked for as a
            requirement line would.
    """

    path: str
    sha256: str
    extras: tuple[str, ...] = ()
    by_name: bool = False

    @property
    def requirement(self) -> str:
        """As a requirement line names it, relative to the root of the code."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"./{self.path}{extras}" if self.path != "." else f".{extras}"


@dataclass(frozen=True)
class EnvironmentSpec:
    """What an environment is made of.

    Attributes:
        python: version asked for; empty for the agent's own.
        manager: who installs, such as ``uv``.
        origin: what says what to install: ``task``, or the path of a file of the code, such as
            ``uv.lock``, which is then one of ``files``. No part of the key.
        requirements: requirement lines, in order: a later one may not change what an earlier
            one chose. Local packages are in ``local`` instead.
        constraints: lines that limit what is installed without asking for it.
        index_urls: package indexes, the default first; empty for what the node is set to, and so
            is an empty first one. Secrets are ``${NAME}`` here, so the key knows none.
        find_links: pages and folders to look for packages on, besides the indexes.
        build_flags: further options for the installer, verbatim.
        files: what of the code the manager reads.
        local: packages to install from the code.
        project: folder of the project that a lock is for, relative to the root.
        extras: optional dependencies of that project.
        groups: dependency groups of that project, besides its default ones.
        torch_backend: builds of PyTorch to take, such as ``cpu`` or ``cu128``;
            ``auto:550.144.03``: the newest that this driver runs; empty: any.
        code: where the code lies on this node, for ``files`` and ``local``. No part of the key.
    """

    python: str = ""
    manager: str = "uv"
    origin: str = field(default="task", compare=False)
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    build_flags: tuple[str, ...] = ()
    files: tuple[ProjectFile, ...] = ()
    local: tuple[LocalPackage, ...] = ()
    project: str = "."
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    torch_backend: str = ""
    code: Path | None = field(default=None, compare=False)


def covered(spec: EnvironmentSpec, interpreter: Interpreter, mark: str = "") -> dict[str, object]:
    """Everything that the key covers, by name, as JSON knows it.

    The interpreter stands in for the version that was asked for, so ``3.11`` and ``3.11.7`` share
    an environment, and an upgrade of the node's Python leads to a new one.

    Args:
        mark: of the place it is built in and for.
    """
    return {
        "implementation": interpreter.implementation,
        "python": interpreter.version,
        "abi": interpreter.abi,
        "platform": interpreter.platform,
        "manager": spec.manager,
        "requirements": list(spec.requirements),
        "constraints": list(spec.constraints),
        "index_urls": list(spec.index_urls),
        "find_links": list(spec.find_links),
        "build_flags": list(spec.build_flags),
        "files": {file.path: file.text for file in spec.files},
        "local": {package.requirement: package.sha256 for package in spec.local},
        "project": spec.project,
        "extras": list(spec.extras),
        "groups": list(spec.groups),
        "torch_backend": spec.torch_backend,
        "place": mark,
    }


def environment_key(spec: EnvironmentSpec, interpreter: Interpreter, mark: str = "") -> str:
    """The name of the environment of ``spec`` on ``interpreter``, the same on equal nodes."""
    document = json.dumps(covered(spec, interpreter, mark), sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:KEY_LENGTH]
