"""What can be asked about the environments that nodes keep, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dray.runtime.execution import Execution


class EnvironmentState(str, Enum):
    """What an entry of a node's cache is good for."""

    READY = "ready"
    BUILDING = "building"
    BROKEN = "broken"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class CachedEnvironment:
    """One environment in a node's cache.

    Attributes:
        key: its name; equal on nodes that would make the same of the same.
        problem: why it is broken; such an entry is built again when it is needed.
        python: exact version of its interpreter.
        manager: who built it.
        origin: what said what to install: ``uv.lock``, ``task``, ``requirements.txt`` …
        platform: such as ``linux-x86_64``.
        place: mark of the container image it is for; empty: for the node itself.
        torch_backend: builds of PyTorch that were taken; empty: not asked.
        n_packages: how many distributions are installed.
        n_bytes: of its files when it was built; hard links into an installer's cache count.
        n_users: attempts and builds that use it at this moment.
        created_at: when it was built, as Unix time.
        used_at: when it was used last, as Unix time.
        build_seconds: how long it took to build.
    """

    key: str
    state: EnvironmentState = EnvironmentState.READY
    problem: str = ""
    python: str = ""
    manager: str = ""
    origin: str = ""
    platform: str = ""
    place: str = ""
    torch_backend: str = ""
    n_packages: int = 0
    n_bytes: int = 0
    n_users: int = 0
    created_at: float = 0.0
    used_at: float = 0.0
    build_seconds: float = 0.0


@dataclass(frozen=True)
class EnvironmentDetails:
    """One environment in full.

    Attributes:
        node: name of the node that has it.
        folder: where it is there.
        installed: requirement lines of everything in it.
        covered: what its key covers, by name; secrets are ``${NAME}``.
    """

    node: str
    folder: str
    environment: CachedEnvironment
    installed: list[str] = field(default_factory=list[str])
    covered: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class NodeEnvironments:
    """The cache of one node.

    Attributes:
        folder: where it is there.
        environments: used last, first.
        n_bytes: of all of them together.
        limit_bytes: at most so much is kept.
        max_age_s: what was not used for so long goes; 0: nothing goes by age.
        free_bytes: free disk space there.
        reserve_bytes: free disk space that is kept free.
        problem: why the node did not answer; empty when it did.
    """

    node: str
    folder: str = ""
    environments: list[CachedEnvironment] = field(default_factory=list[CachedEnvironment])
    n_bytes: int = 0
    limit_bytes: int = 0
    max_age_s: float = 0.0
    free_bytes: int = 0
    reserve_bytes: int = 0
    problem: str = ""


@dataclass(frozen=True)
class PartDifference:
    """One part of two keys that is not the same.

    Attributes:
        part: such as ``python``, ``requirements``, ``files: uv.lock``.
        removed: lines that the first has alone.
        added: lines that the second has alone.
        note: said when the lines are the same and something else is not, such as their order.
    """

    part: str
    removed: list[str] = field(default_factory=list[str])
    added: list[str] = field(default_factory=list[str])
    note: str = ""


@dataclass(frozen=True)
class EnvironmentWhy:
    """Why two environments are two, or why one was built although others were there.

    Attributes:
        left: key of the first; empty: there was nothing to compare with.
        right: key of the second.
        summary: one sentence.
        differences: in reading order; empty when both are one.
    """

    left: str
    right: str
    summary: str
    differences: list[PartDifference] = field(default_factory=list[PartDifference])


@dataclass(frozen=True)
class EnvironmentRequest:
    """What is to be built on a node: the environment of a task, or of an execution as given.

    Attributes:
        task_id: the task's own execution and code; empty: ``execution`` is given.
        node: name of a node; empty: one that is likely to run it.
    """

    task_id: str = ""
    execution: Execution | None = None
    node: str = ""


@dataclass(frozen=True)
class EnvironmentBuilt:
    """What came of a request to build.

    Attributes:
        reused: it was there already.
        seconds: from the request to the environment.
        log: the end of what was said meanwhile.
    """

    node: str
    environment: CachedEnvironment
    reused: bool
    seconds: float
    log: str = ""


@dataclass(frozen=True)
class Pruned:
    """What one node removed.

    Attributes:
        removed: keys, longest unused first.
        n_bytes: of what was removed; hard links into an installer's cache free little.
        n_in_use: environments that stayed because something uses them.
        problem: why the node did not answer; empty when it did.
        mirrors: addresses of the git repositories whose mirrors were removed.
    """

    node: str
    removed: list[str] = field(default_factory=list[str])
    n_bytes: int = 0
    n_in_use: int = 0
    problem: str = ""
    mirrors: list[str] = field(default_factory=list[str])
