"""Which arguments of ``docker run`` a task may give: those that cannot reach out of its container.

Pure: from a line of text to a checked value, or an error that names the argument and the setting
that would allow it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.launch.hooks import NAME
from dray.runtime.errors import PreparationFailed

FIELD = "execution.container.arguments"
SETTING = "container_allowed_arguments"
PATHS_SETTING = "container_allowed_paths"

#: Short names and other spellings, as ``docker run`` knows them.
_LONG = {
    "-e": "--env",
    "-v": "--volume",
    "-m": "--memory",
    "-u": "--user",
    "-w": "--workdir",
    "-h": "--hostname",
    "-l": "--label",
    "-c": "--cpu-shares",
    "-p": "--publish",
    "-P": "--publish-all",
    "-t": "--tty",
    "-d": "--detach",
    "-i": "--interactive",
    "-a": "--attach",
    "--net": "--network",
    "--net-alias": "--network-alias",
}
#: Arguments that take no value.
_FLAGS = frozenset(
    {
        *("--rm", "--init", "--interactive", "--tty", "--detach", "--privileged", "--read-only"),
        *("--publish-all", "--oom-kill-disable", "--no-healthcheck", "--sig-proxy", "--quiet"),
    }
)
#: Given, and true whatever a task says.
_ALWAYS = frozenset({"--rm", "--init", "--interactive"})
#: Passed on as they are: they shape the container and reach nothing outside of it.
_FREE = frozenset(
    {
        *("--shm-size", "--ulimit", "--memory", "--memory-swap", "--memory-reservation", "--cpus"),
        *("--cpuset-cpus", "--cpu-shares", "--pids-limit", "--add-host", "--dns", "--dns-search"),
        *("--hostname", "--tmpfs", "--cap-drop", "--label", "--platform", "--read-only"),
    }
)
_DEVICES = re.compile(r"/dev/(nvidia[\w-]*|dri(/\w+)?|kfd|infiniband(/\w+)?|fuse|shm)")
#: Dray's own work depends on these, so no setting allows them.
_OURS = {
    "--name": "Dray names the container, to find it again",
    "--entrypoint": "the task is what runs in the container",
    "--detach": "the container is watched from its start to its end",
    "--tty": "stdout and stderr are kept apart",
    "--attach": "stdout and stderr are kept apart",
    "--sig-proxy": "it is how a stop reaches the task",
    "--restart": "a task that has ended is over; its policy says whether it is run again",
    "--log-driver": "the console is kept by Dray",
    "--cidfile": "Dray names the container, to find it again",
    "--pid": "the container's own process tree is what is ended with it",
    "--gpus": "the GPUs of a task are those it asks for as resources: set_resources(gpus=1)",
    "--workdir": "the working directory of the task's code says where it runs",
    "--env-file": "give the variables themselves, as -e NAME=VALUE or task.set_variables(...)",
}


@dataclass(frozen=True)
class Mount:
    """A file or folder of the node inside a container."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Allowed:
    """What an operator allows beyond the list.

    Attributes:
        arguments: further arguments: ``--cap-add`` with any value, ``--cap-add=SYS_PTRACE`` with
            this one.
        paths: folders of the node that tasks may mount, with what is below them.
    """

    arguments: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    @staticmethod
    def read(arguments: str, paths: str) -> Allowed:
        """From the settings: words with spaces or commas between, folders with ``:`` between."""
        words = (word for word in re.split(r"[\s,]+", arguments) if word)
        longs = (_long(*word.partition("=")) for word in words)
        return Allowed(frozenset(longs), tuple(p for p in paths.split(os.pathsep) if p.strip()))


def _long(name: str, equals: str, value: str) -> str:
    return f"{_LONG.get(name, name)}{equals}{value}"


@dataclass(frozen=True)
class Checked:
    """Arguments that a task may give, apart by what becomes of them.

    Attributes:
        options: for the engine, in order; the value is None for those that take none.
        variables: of the process; not passed as arguments, which others could read.
        network: empty for the default.
        pull: ``always``, ``missing`` or ``never``.
        user: ``uid:gid`` where an operator allows to choose; empty: the agent's.
    """

    options: tuple[tuple[str, str | None], ...] = ()
    variables: dict[str, str] = field(default_factory=dict[str, str])
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    pull: str = "missing"
    user: str = ""

    def value(self, name: str) -> str | None:
        """The last value given for an option."""
        return next((v for n, v in reversed(self.options) if n == name), None)


def check_arguments(
    text: str, allowed: Allowed, resolve: Callable[[str], str] = os.path.realpath
) -> Checked:
    """``text``, written as for ``docker run``, taken apart and checked.

    Args:
        resolve: the path behind links, so that no link leads out of an allowed folder.

    Raises:
        PreparationFailed: an argument outside the allow-list, or one that cannot be read.
    """
    variables: dict[str, str] = {}
    options: list[tuple[str, str | None]] = []
    mounts: list[Mount] = []
    network, pull, user = "", "missing", ""
    for name, value in _parse(text):
        if name in _ALWAYS:
            continue
        if name in _OURS:
            raise _refused(name, value, f"is Dray's to set: {_OURS[name]}")
        given = value or ""
        extended = name in allowed.arguments or f"{name}={given}" in allowed.arguments
        if name == "--env":
            variable, equals, content = given.partition("=")
            if not equals or not NAME.fullmatch(variable):
                raise _refused(name, value, "has to be NAME=VALUE: agents lend no variables")
            variables[variable] = content
        elif name == "--volume":
            mounts.append(_mount(given, allowed, resolve, free=extended))
        elif name == "--network":
            if given.startswith(("container:", "ns:")) and not extended:
                raise _refused(name, value, _outside("joins another container's network"))
            network = given
        elif name == "--pull":
            if given not in ("always", "missing", "never"):
                raise _refused(name, value, "has to be always, missing or never")
            pull = given
        elif name == "--user" and extended:
            user = given
        elif extended or name in _FREE or _is_safe(name, given):
            if name == "--label" and given.startswith("dray."):
                raise _refused(name, value, "is a label of Dray's own; choose another name")
            options.append((name, value))
        else:
            raise _refused(name, value, _why(name))
    return Checked(tuple(options), variables, tuple(mounts), network, pull, user)


def _parse(text: str) -> Iterator[tuple[str, str | None]]:
    try:
        words = iter(shlex.split(text))
    except ValueError as exc:
        raise environment_failed(
            f"{FIELD} {text!r} cannot be read: {exc}; write them as in a shell", field=FIELD
        ) from exc
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            raise _refused(word, None, "is no argument; the image and its command are the task's")
        name, equals, value = word.partition("=")
        if not name.startswith("--") and len(name) > 2:
            if {f"-{letter}" for letter in name[1:]} <= {n for n in _LONG if _LONG[n] in _FLAGS}:
                yield from ((_LONG[f"-{letter}"], None) for letter in name[1:])  # such as -it
                continue
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")  # such as -eA=1
        name = _LONG.get(name, name)
        if name in _FLAGS:
            if equals and value.lower() not in ("true", "1"):
                raise _refused(name, value, "takes no value")
            yield name, None
        elif equals:
            yield name, value
        else:
            following = next(words, None)
            if following is None:
                raise _refused(name, None, "has no value")
            yield name, following


def _is_safe(name: str, value: str) -> bool:
    """Whether an argument is safe with this value."""
    if name == "--ipc":
        return value in ("host", "private", "shareable", "none")
    if name == "--device":
        return _DEVICES.fullmatch(value.partition(":")[0]) is not None
    return False


def _mount(given: str, allowed: Allowed, resolve: Callable[[str], str], *, free: bool) -> Mount:
    source, _, rest = given.partition(":")
    target, _, mode = rest.partition(":")
    target = target or source
    if not source.startswith("/") or not target.startswith("/"):
        raise _refused("--volume", given, "has to be /path/of/node:/path/inside[:ro]")
    real = resolve(source)
    if _holds_engine(real):
        raise _refused("--volume", given, "leads to the container engine, which is the whole node")
    if not free and not any(_is_below(real, resolve(folder)) for folder in allowed.paths):
        listed = ", ".join(allowed.paths) or "none so far"
        raise environment_failed(
            f"{FIELD}: --volume {given}: tasks may not mount {real}; an operator allows folders "
            f"with the setting {PATHS_SETTING} where agents are started ({listed})",
            field=FIELD,
            value=given,
        )
    return Mount(real, target, "ro" in mode.split(","))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _holds_engine(path: str) -> bool:
    """Whether a socket of an engine is this path, or may lie below it."""
    sockets = ("/run/docker.sock", "/run/containerd", "/run/podman", "/run/user", "/run/crio")
    return path.endswith((".sock", "/docker.sock")) or any(
        _is_below(socket, path) or _is_below(path, socket) for socket in sockets
    )


def _why(name: str) -> str:
    if name == "--user":
        return _outside("would change whose files the task writes: it runs as the agent's user")
    return _outside("is not on the list of arguments that tasks may give")


def _outside(why: str) -> str:
    return f"{why}; an operator allows it with the setting {SETTING} where agents are started"


def _refused(name: str, value: str | None, why: str) -> PreparationFailed:
    shown = name if value is None or name == "--env" else f"{name} {value}"
    return environment_failed(f"{FIELD}: {shown} {why}", field=FIELD, value=shown)
