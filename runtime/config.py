"""Settings, built once at the edge and passed down, and where each value came from.

Order: flags, ``DRAY_*``, ``dray.toml`` or ``[tool.dray]`` of ``pyproject.toml`` found upwards of
the working directory, ``~/.config/dray/config.toml``, defaults. Works with none of them.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from dray.runtime import aliases
from dray.runtime.errors import InvalidInput

#: Variables an agent gives to a child; they configure an attempt, not a user's Dray.
CHILD_VARIABLES = frozenset(
    {"DRAY_TASK_ID", "DRAY_EPOCH", "DRAY_SPOOL", "DRAY_AGENT", "DRAY_MASTER_PID"}
)
#: Of variables that hold a secret of the node, for its installers; no settings.
SECRET_PREFIX = "DRAY_SECRET_"  # noqa: S105


def _data_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "dray"


def _cache_home() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "dray"


@dataclass(frozen=True)
class Settings:
    """Everything that can be set; each is also ``DRAY_`` + its name in capitals.

    Attributes:
        home: data folder. Default: ``dray`` in the XDG data directory.
        cache: node-wide cache of environments, mirrors and blobs. Default: XDG cache directory.
        url: the server to talk to; empty: the one ``dray up`` started here.
        token: bearer token; empty: the one in ``home``.
        host: address the gateway binds. Loopback unless told.
        port: port the gateway binds. Default 8265 belongs to Ray's dashboard, so 8262.
        advertised_url: where agents reach the gateway, when that is not where it binds (behind
            NAT or a proxy). Empty: host and port.
        lease_ttl_s: seconds of silence after which an attempt is unreachable. A laptop's
            network may blink for 20 s; 30 leaves a third of margin.
        heartbeat_s: longest an idle lease renewal waits at the server for a stop request.
        safety_tick_s: how often the scheduler re-derives what it was told by pushes.
        agent_idle_s: seconds an elastic agent stays warm without work.
        stop_grace_s: seconds between INT and TERM when a task is stopped; KILL comes a second
            after TERM, or sooner when this is less. A task's policy may say another.
        cgroups: give each attempt a cgroup of its own where the system lets an agent make one:
            its memory limit holds, and what ran out of memory says so.
        snapshot_limit_bytes: largest snapshot sent without asking. 200 MiB.
        local_snapshot_limit_bytes: largest snapshot that a run started by hand sends beside itself
            when no repository has its code; 0: none. 32 MiB.
        upload_limit_bytes: largest request body of one blob. 20 GiB.
        frame_limit_bytes: largest request body of records. 16 MiB.
        reserve_blobs_bytes: free disk space under which the server takes no new blobs. 2 GiB.
        reserve_console_bytes: free disk space under which console output is not kept. 500 MiB.
        console_burst_bytes: of one console stream of an attempt, what is kept whatever its speed.
            A long training run prints less in all. 64 MiB.
        console_rate_bytes_s: by which that room grows again. What is over it is a flood: counted
            and hashed, stated as a gap, not kept. 256 KiB/s.
        reuse_window_h: hours in which ``Task.init`` reuses the last task of the same name.
        offline: record to the spool only.
        output_uri: where artifacts and models go unless a script says; empty: the server's store.
        auto_pickle: keep objects that have no better form as pickles without being asked.
        allow_pickle: load pickled artifacts without being asked.
        log_environment: variables that a run started by hand records and an agent sets again:
            comma-separated names and patterns such as ``CUDA_*``.
        environment_manager: who installs for tasks whose queue does not say it either; empty: what
            the task's code holds, else ``uv``.
        torch_backend: builds of PyTorch for tasks whose queue does not say it either, such as
            ``cu128``; ``none``: those of the package indexes; empty: those for the driver.
        environment_limit_bytes: what a node's environments may take together; the longest unused go
            first. 100 GiB.
        environment_max_age_days: environments that were not used for so long go; 0: none goes by
            its age.
        environment_reserve_bytes: free disk space under which unused environments go and none is
            built. 1 GiB.
        environment_build_limit_s: longest that a task waits for its environment.
        build_ahead: while a task waits, make its environment on a node that is likely to run it,
            and look whether its imports would work.
        agent_setup_script: shell lines that agents run before each task, or the absolute path of a
            file that has them.
        agent_variables: of every task's process unless it sets them: ``HF_HOME=/data A='b c'``.
        agent_python_path: folders of the node that every task imports from after its own, with
            ``:`` between them.
        setup_limit_s: longest that the setup scripts of a task may take together.
        container_engine: ``docker``, ``podman`` or ``apptainer``; empty: the first that is there.
        container_image: image that agents run tasks in which name none; empty: in no container.
        container_arguments: for that image, such as ``--ipc=host``.
        container_allowed_arguments: arguments of ``docker run`` that tasks may give beyond the safe
            ones: ``--cap-add=SYS_PTRACE`` with this value, ``--device`` with any.
        container_allowed_paths: folders of the node that tasks may mount, with ``:`` between them.
        git_rewrite: how git hosts are asked, whatever a task's address says: comma-separated
            ``host=https``, ``host=ssh`` or ``host=ssh://git@host:2222``.
        git_history: get commits with all that led to them; without, alone, which is quicker for
            repositories with a large past.
        git_lfs: get the files that git LFS keeps; without, their pointers are left.
        source_limit_s: longest that getting a task's code may take.
        mirror_limit_bytes: what the mirrors of git repositories may take on a node. 50 GiB.
        mirror_max_age_days: mirrors that were not used for so long go; 0: none.
    """

    home: Path = field(default_factory=_data_home)
    cache: Path = field(default_factory=_cache_home)
    url: str = ""
    token: str = ""
    host: str = "127.0.0.1"
    port: int = 8262
    advertised_url: str = ""
    lease_ttl_s: float = 30.0
    heartbeat_s: float = 8.0
    safety_tick_s: float = 15.0
    agent_idle_s: float = 600.0
    stop_grace_s: float = 5.0
    cgroups: bool = True
    snapshot_limit_bytes: int = 200 << 20
    local_snapshot_limit_bytes: int = 32 << 20
    upload_limit_bytes: int = 20 << 30
    frame_limit_bytes: int = 16 << 20
    reserve_blobs_bytes: int = 2 << 30
    reserve_console_bytes: int = 500 << 20
    console_burst_bytes: int = 64 << 20
    console_rate_bytes_s: int = 256 << 10
    reuse_window_h: float = 72.0
    offline: bool = False
    output_uri: str = ""
    auto_pickle: bool = False
    allow_pickle: bool = False
    log_environment: str = ""
    environment_manager: str = ""
    torch_backend: str = ""
    environment_limit_bytes: int = 100 << 30
    environment_max_age_days: float = 30.0
    environment_reserve_bytes: int = 1 << 30
    environment_build_limit_s: float = 1800.0
    build_ahead: bool = True
    agent_setup_script: str = ""
    agent_variables: str = ""
    agent_python_path: str = ""
    setup_limit_s: float = 600.0
    container_engine: str = ""
    container_image: str = ""
    container_arguments: str = ""
    container_allowed_arguments: str = ""
    container_allowed_paths: str = ""
    git_rewrite: str = ""
    git_history: bool = True
    git_lfs: bool = True
    source_limit_s: float = 600.0
    mirror_limit_bytes: int = 50 << 30
    mirror_max_age_days: float = 60.0


@dataclass(frozen=True)
class Loaded:
    """Settings with their origins.

    Attributes:
        origins: field name → where its value came from (``flag``, ``DRAY_PORT``, a path,
            ``default``).
        warnings: sentences about variables and keys nobody knows.
    """

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]


def load(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Loaded:
    """Settings from every source, first wins.

    Args:
        flags: values given by the caller; None values count as not given.
        environ: environment variables; default: this process's.
        directory: where the search for ``dray.toml`` begins; default: the working directory.

    Raises:
        InvalidInput: a value that cannot be read as its field's type, or a broken file.
    """
    env = os.environ if environ is None else environ
    names = {f.name for f in fields(Settings)}
    values: dict[str, Any] = {}
    origins = dict.fromkeys(names, "default")
    warnings: list[str] = []

    def offer(name: str, value: Any, origin: str) -> None:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.append(f"{origin}: unknown setting {name!r}{hint}")
        elif name not in values:
            values[name] = _cast(name, value, origin)
            origins[name] = origin

    for name, value in (flags or {}).items():
        if value is not None:
            offer(name, value, "flag")
    for variable, value in env.items():
        if variable.startswith(SECRET_PREFIX) or variable in CHILD_VARIABLES | aliases.VARIABLES:
            continue
        if variable.startswith("DRAY_"):
            offer(variable.removeprefix("DRAY_").lower(), value, variable)
    if "CLEARML_AGENT_EXTRA_PYTHON_PATH" in env:
        name = "CLEARML_AGENT_EXTRA_PYTHON_PATH"
        offer("agent_python_path", env[name], name)
    offline = aliases.variable("OFFLINE", env)
    if offline is not None:
        offer("offline", offline, "CLEARML_OFFLINE_MODE")
    for path, table in _config_files(directory or Path.cwd(), env):
        for name, value in table.items():
            offer(name, value, str(path))
    return Loaded(replace(Settings(), **values), origins, warnings)


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """The user's own settings file, whether it is there or not."""
    env = os.environ if environ is None else environ
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "dray" / "config.toml"


def _config_files(directory: Path, env: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in (directory, *directory.parents):
        own, pyproject = folder / "dray.toml", folder / "pyproject.toml"
        if own.is_file():
            yield own, _read_toml(own)
            break
        if pyproject.is_file():
            table = _read_toml(pyproject).get("tool", {}).get("dray")
            if isinstance(table, dict):
                yield pyproject, cast("dict[str, Any]", table)
                break
    user = user_file(env)
    if user.is_file():
        yield user, _read_toml(user)


def _read_toml(path: Path) -> dict[str, Any]:
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    toml: Any = importlib.import_module(name)
    try:
        return cast("dict[str, Any]", toml.loads(path.read_text("utf-8")))
    except ValueError as exc:  # TOMLDecodeError and UnicodeDecodeError
        raise InvalidInput(f"{path} is not valid TOML: {exc}", field=str(path)) from exc


_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def _to_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise ValueError("expected true or false")


_CASTS: dict[str, Callable[[Any], Any]] = {
    "Path": lambda value: Path(str(value)).expanduser().absolute(),
    "str": str,
    "int": int,
    "float": float,
    "bool": _to_bool,
}


def _cast(name: str, value: Any, origin: str) -> Any:
    (kind,) = (str(f.type) for f in fields(Settings) if f.name == name)
    try:
        return _CASTS[kind](value)
    except (ValueError, TypeError) as exc:
        raise InvalidInput(
            f"{origin}: {name} = {value!r} is not a {kind.lower()} ({exc})", field=name, value=value
        ) from exc
