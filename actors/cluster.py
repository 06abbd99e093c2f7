"""Up, down and status of a cluster: what the command line's cluster commands call."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from dray import __version__
from dray.actors import rayhost
from dray.runtime import tokens
from dray.runtime.config import Settings
from dray.runtime.errors import Conflict, ServerUnreachable, StoreUnusable
from dray.runtime.paths import HomePaths

#: A Ray head that runs accepts a connection at once.
CONNECT_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class UpOptions:
    """How to bring a cluster up.

    Attributes:
        address: of a Ray cluster to join; ``auto`` for the one on this machine; None: start one.
        num_cpus: CPUs of the Ray head that is started; None: what the machine has.
        num_gpus: likewise.
    """

    address: str | None = None
    num_cpus: int | None = None
    num_gpus: int | None = None


@dataclass(frozen=True)
class ClusterInfo:
    """A cluster that is up.

    Attributes:
        n_agents: agents that are ready.
        was_up: it was up already, nothing was started.
    """

    url: str
    page: str
    home: str
    ray_address: str
    n_agents: int
    was_up: bool


@dataclass(frozen=True)
class DownReport:
    """What ``down`` did.

    Attributes:
        was_up: there was something to stop.
        n_told: running tasks that were told, and wait in their queues for the next ``up``.
    """

    was_up: bool
    n_told: int = 0


@dataclass(frozen=True)
class _Record:
    """What ``up`` leaves for the next command, in ``cluster.json``."""

    url: str
    ray_address: str
    ray_pid: int | None
    loopback: bool
    version: str = __version__
    started_at: float = field(default_factory=time.time)


def up(settings: Settings, options: UpOptions) -> ClusterInfo:
    """Start or join Ray, bring up gateway, scheduler, queues and a first agent; all healthy.

    Calling it again changes nothing; after ``down`` it finds everything as it was.

    Raises:
        StoreUnusable: the data folder is not writable, or Ray or an actor did not start.
        Conflict: the port is taken.
        ServerUnreachable: no Ray cluster answers at ``options.address``.
    """
    home = _make_home(settings)
    with _alone(home):
        return _up(settings, home, options)


def _up(settings: Settings, home: HomePaths, options: UpOptions) -> ClusterInfo:
    record = _read_record(home)
    if record is not None and _is_up(record, home):
        return _join(settings, home, record, was_up=True)
    _sweep(home)
    if not rayhost.is_port_free(settings.host, settings.port):
        raise Conflict(
            f"port {settings.port} on {settings.host} is taken; choose another with --port, "
            f"or stop what listens there",
            field="port",
            value=settings.port,
        )
    try:
        record = _start_ray(settings, home, options)
        # Before the actors are up: who is killed here leaves what the next command can find.
        _write_private(home.cluster, json.dumps(record.__dict__))
        return _join(settings, home, record, was_up=False)
    except BaseException:
        _sweep(home)
        raise


def down(settings: Settings, *, force: bool = False) -> DownReport:
    """Tell running tasks, stop the actors, end the Ray that ``up`` started; state is kept.

    Args:
        force: end everything at once; running tasks are requeued by the next ``up``.
    """
    home = HomePaths(settings.home)
    if not home.root.is_dir():
        return DownReport(was_up=False)
    if force:  # nor is an `up` waited for that hangs
        return _down(settings, home, force=True)
    with _alone(home):
        return _down(settings, home, force=False)


def _down(settings: Settings, home: HomePaths, *, force: bool) -> DownReport:
    record = _read_record(home)
    n_told = 0
    if record is not None and not force and _is_up(record, home) and _answers(record):
        n_told = _driver(home, record).take_down(settings, record.ray_address)
    had_processes = _sweep(home)
    return DownReport(was_up=record is not None or had_processes, n_told=n_told)


def _make_home(settings: Settings) -> HomePaths:
    home = HomePaths(settings.home)
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home.root / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise StoreUnusable(
            f"the data folder {home.root} cannot be written ({exc.strerror}); "
            "set DRAY_HOME to one that can",
            field="home",
            value=str(home.root),
        ) from exc
    tokens.read_or_create(home.token)
    tokens.read_or_create(home.ray_token)
    return home


def _read_record(home: HomePaths) -> _Record | None:
    try:
        document = cast("dict[str, Any]", json.loads(home.cluster.read_text("utf-8")))
        return _Record(**document)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as exc:
        raise StoreUnusable(f"{home.cluster} is damaged ({exc}); remove it and try again") from exc


def _is_up(record: _Record, home: HomePaths) -> bool:
    if record.ray_pid is not None:
        return rayhost.is_alive(record.ray_pid, home)
    return True  # a joined Ray is somebody else's; connecting will tell


def _answers(record: _Record) -> bool:
    """Whether something listens at a Ray address; Ray itself would try for two minutes."""
    host, _, port = record.ray_address.rpartition(":")
    if not port.isdigit():
        return True  # a word such as ``auto``, which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _start_ray(settings: Settings, home: HomePaths, options: UpOptions) -> _Record:
    url = f"http://{_reachable_host(settings.host)}:{settings.port}"
    if options.address is not None:
        return _Record(url, options.address, None, loopback=False)
    variables = rayhost.environment(home, loopback=True)
    address, pid = rayhost.start_head(
        home, variables, num_cpus=options.num_cpus, num_gpus=options.num_gpus
    )
    return _Record(url, address, pid, loopback=True)


def _reachable_host(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  (told to, by --host)
        return socket.gethostbyname(socket.gethostname())
    return f"[{host}]" if ":" in host else host


def _join(settings: Settings, home: HomePaths, record: _Record, *, was_up: bool) -> ClusterInfo:
    """See to it that every actor is there and healthy."""
    if not _answers(record):
        raise ServerUnreachable(
            f"no Ray cluster answers at {record.ray_address}; start one with `ray start --head`, "
            "or leave --address out to have Dray start its own",
            address=record.ray_address,
        )
    driver = _driver(home, record)
    n_agents = driver.bring_up(settings, record.url, record.ray_address)
    return ClusterInfo(record.url, record.url, str(home.root), record.ray_address, n_agents, was_up)


def _driver(home: HomePaths, record: _Record) -> ModuleType:
    """The part that speaks to Ray, imported only now: Ray reads its variables when imported."""
    if record.ray_pid is not None:
        os.environ.update(rayhost.environment(home, loopback=record.loopback))
    return importlib.import_module("dray.actors.driver")


def _sweep(home: HomePaths) -> bool:
    """End what runs for a data folder, whatever was written down; whether anything did."""
    had_processes = rayhost.end_head(home)
    home.cluster.unlink(missing_ok=True)
    return had_processes


@contextmanager
def _alone(home: HomePaths) -> Generator[None]:
    """One `up` or `down` of a data folder at a time; a second one waits for the first."""
    with home.cluster_lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_private(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    aside.replace(path)
