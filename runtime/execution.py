"""What is needed to run a task's code again, and what was made of it for an attempt."""

from __future__ import annotations

from dataclasses import dataclass, field

from dray.runtime.resources import Resources


@dataclass(frozen=True)
class Container:
    """The container a task is to run in.

    Attributes:
        image: such as ``nvidia/cuda:12.4.0-runtime-ubuntu22.04``; empty: in none.
        arguments: for whoever starts the container, such as ``--ipc=host -e A=1``.
        setup_script: shell lines to run in it before anything else.
    """

    image: str = ""
    arguments: str = ""
    setup_script: str = ""


@dataclass(frozen=True)
class Execution:
    """Everything needed to run a task's code again.

    Attributes:
        repository: URL of the git remote, without credentials; empty outside git.
        commit: full commit id the code stands on.
        branch: branch it was taken from; a label when ``commit`` is given.
        diff: uncommitted changes of tracked files against ``commit``, as git prints them.
        snapshot: sha256 of a manifest blob (see ``runtime.snapshots``); when present it is
            the code, and commit, branch and diff are labels.
        working_dir: directory to run in, relative to the root of the code; ``.`` is the root.
        entry_point: script relative to ``working_dir``, or ``-m package.module``.
        arguments: command-line arguments, after the entry point.
        bootstrap: run the entry point under Dray's recorder, for scripts that never call
            ``Task.init`` (``dray run``).
        python_version: ``3.11`` or ``3.11.7``; exactly that or a clear error.
            Empty: the version the agent runs on.
        packages: requirement lines to install, in order; paths of the code are local packages.
        packages_from: ``lock``, ``task`` (``packages``) or ``repository`` (its requirements
            files); empty: the first of these that there is.
        extras: optional dependencies of the code's own project to install, too.
        groups: dependency groups of that project to install, besides its default ones.
        constraints: requirement lines that limit what is installed without asking for it.
        index_urls: package indexes; the first is the default, the rest extra.
            Empty: what the node is configured with. ``${NAME}`` stands for a secret of the node.
        find_links: pages and folders to look for packages on, besides the indexes.
        environment_manager: ``uv``, ``pip``, ``conda``, ``poetry``, or ``system``: the Python of
            the container as it is. Empty: the queue's, the agent's, else what the code holds.
        torch_backend: builds of PyTorch to take, such as ``cpu`` or ``cu128``; ``none``: those of
            the package indexes. Empty: the queue's, the agent's, else those for the node's driver.
        output_uri: where artifacts go; empty for the server's blob store.
        binary: program that runs the entry point, such as ``/bin/bash``; empty: Python.
        python_path: folders of the code to import from, besides the script's own.
        variables: environment variables of its process.
        setup_script: shell lines to run before it, where it runs.
        system_packages: Debian packages to install; in containers only.
        container: the container it is to run in.
        resources: what its agent must hold.
    """

    repository: str = ""
    commit: str = ""
    branch: str = ""
    diff: str = ""
    snapshot: str = ""
    working_dir: str = "."
    entry_point: str = ""
    arguments: list[str] = field(default_factory=list[str])
    bootstrap: bool = False
    python_version: str = ""
    packages: list[str] = field(default_factory=list[str])
    packages_from: str = ""
    extras: list[str] = field(default_factory=list[str])
    groups: list[str] = field(default_factory=list[str])
    constraints: list[str] = field(default_factory=list[str])
    index_urls: list[str] = field(default_factory=list[str])
    find_links: list[str] = field(default_factory=list[str])
    environment_manager: str = ""
    torch_backend: str = ""
    output_uri: str = ""
    binary: str = ""
    python_path: list[str] = field(default_factory=list[str])
    variables: dict[str, str] = field(default_factory=dict[str, str])
    setup_script: str = ""
    system_packages: list[str] = field(default_factory=list[str])
    container: Container = field(default_factory=Container)
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class RunDefaults:
    """How tasks run that do not say it themselves.

    Attributes:
        environment_manager: see ``Execution``.
        container: for tasks that name no image; their own arguments and setup script go before.
        torch_backend: see ``Execution``.
    """

    environment_manager: str = ""
    container: Container = field(default_factory=Container)
    torch_backend: str = ""


@dataclass(frozen=True)
class EnvironmentReport:
    """What was prepared for an attempt.

    Attributes:
        key: of the environment in the node's cache.
        reused: whether a finished environment was found, as opposed to built.
        seconds: time from asking for the environment to having it.
        python: exact version of the interpreter.
        installed: requirement lines of everything in the environment.
        manager: who built it.
        origin: what said what to install: ``uv.lock``, ``task``, ``requirements.txt`` …
        platform: such as ``linux-x86_64``.
        cuda: version of CUDA that the node's driver speaks; empty: it has none.
        torch_backend: builds of PyTorch that were taken, such as ``cpu``; empty: not asked.
        build_seconds: how long it took to build, whenever that was.
        image: container image it was built in and for, by digest; empty: none.
        commit: full id of the commit that the code stood on, which a branch or tag may have
            meant; empty: the code has none.
    """

    key: str
    reused: bool
    seconds: float
    python: str = ""
    installed: list[str] = field(default_factory=list[str])
    manager: str = ""
    origin: str = ""
    platform: str = ""
    cuda: str = ""
    torch_backend: str = ""
    build_seconds: float = 0.0
    image: str = ""
    commit: str = ""
