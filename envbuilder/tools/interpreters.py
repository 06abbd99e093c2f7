"""Find exactly the Python that was asked for; never the closest one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools import portrait
from dray.envbuilder.tools.process import Finished, run_tool
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.envbuilder.tools.uv_program import uv_program

#: The oldest Python that the part of Dray inside a child runs on.
OLDEST = (3, 10)

_REQUEST = re.compile(r"\d+\.\d+(\.\d+((a|b|rc)\d+)?)?")
_VERSION_FOLDER = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Interpreter:
    """One Python on this node.

    Attributes:
        path: its executable; of the base installation, never of an environment.
        version: exact, such as ``3.11.7``.
        implementation: ``cpython``, ``pypy``.
        cache_tag: marks its bytecode files, such as ``cpython-311``.
        abi: marks its extension modules; tells debug and free-threaded builds apart.
        platform: such as ``linux-x86_64``.
    """

    path: Path
    version: str
    implementation: str
    cache_tag: str
    abi: str
    platform: str


#: ``{request: interpreter}`` of look-ups that succeeded; failures are tried again.
_found: dict[str, Interpreter] = {}


async def find_interpreter(request: str) -> Interpreter:
    """The interpreter that ``request`` names.

    Args:
        request: ``3.11`` (any patch release, the agent's own first), ``3.11.7`` (exactly that)
            or empty (the agent's own version).

    Raises:
        PreparationFailed: not a version, too old, or none of that version on this node.
    """
    known = _found.get(request)
    if known is None or not known.path.exists():
        check_request(request)
        own = own_interpreter()
        known = own if matches(own.version, request) else await _search(request)
        _found[request] = known
    return known


def own_interpreter() -> Interpreter:
    """The base interpreter of this process; asks nobody."""
    return _interpreter(portrait.facts())


def matches(version: str, request: str) -> bool:
    """Whether an exact ``version`` is what ``request`` asks for."""
    return request in ("", version) or (
        request.count(".") == 1 and version.startswith(f"{request}.")
    )


async def describe(python: Path, run: Callable[..., Awaitable[Finished]] = run_tool) -> Interpreter:
    """What the interpreter at ``python`` says of itself.

    Args:
        run: as :func:`dray.envbuilder.tools.process.run_tool`, where the interpreter is.

    Raises:
        PreparationFailed: it does not start.
    """
    env = installer_variables(agent_variables())
    # No site, so that nothing that a user installed runs.
    command = [python, "-I", "-S", portrait.__file__]
    finished = await run(command, env=env, keep_stdout=True)
    try:
        return _interpreter(json.loads(finished.stdout))
    except (ValueError, TypeError, KeyError) as exc:
        raise environment_failed(
            f"the interpreter {python} does not start (exit code {finished.code}); "
            "remove it from this node or repair it",
            finished.tail,
        ) from exc


def _interpreter(facts: dict[str, str]) -> Interpreter:
    rest = {name: value for name, value in facts.items() if name != "path"}
    return Interpreter(path=Path(facts["path"]), **rest)


def check_request(request: str) -> None:
    """Refuse what is no version, or one that is too old to run Dray's part of a child.

    Raises:
        PreparationFailed: naming the field and the value.
    """
    if request and not _REQUEST.fullmatch(request):
        raise environment_failed(
            f"python_version is {request!r}; give a version such as 3.11 or 3.11.7",
            field="execution.python_version",
            value=request,
        )
    if request and tuple(map(int, request.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise environment_failed(
            f"python_version is {request}; tasks run on Python {oldest} and newer",
            field="execution.python_version",
            value=request,
        )


async def _search(request: str) -> Interpreter:
    """Ask uv, which looks among its own installations, then on the path it is given."""
    env = _search_variables(agent_variables())
    finished = await run_tool(
        [uv_program(), "python", "find", *_UV_OPTIONS, request], env=env, keep_stdout=True
    )
    if finished.code == 0:
        found = await describe(Path(finished.stdout.strip()))
        if matches(found.version, request):
            return found
    here = await _versions_here(env)
    raise environment_failed(
        f"Python {request} was asked for and is not on this node, which has {', '.join(here)}; "
        f"install it there (`uv python install {request}`) or set execution.python_version "
        "to one of these",
        finished.tail,
        field="execution.python_version",
        value=request,
        found=here,
    )


#: No project of the working directory, no environment of the agent's, nothing fetched.
_UV_OPTIONS = ("--system", "--no-project", "--no-python-downloads")


async def _versions_here(env: Mapping[str, str]) -> list[str]:
    """Exact versions on this node, the agent's own first, then the newest."""
    own = own_interpreter().version
    finished = await run_tool(
        [uv_program(), "python", "list", "--only-installed", "--output-format", "json"],
        env=env,
        keep_stdout=True,
    )
    try:
        listed = {str(entry["version"]) for entry in json.loads(finished.stdout)}
    except (ValueError, TypeError, KeyError):
        listed = set[str]()  # the list only helps people; the failure is told without it
    usable = [v for v in listed if v != own and version_order(v) >= OLDEST]
    return [own, *sorted(usable, key=version_order, reverse=True)]


def version_order(version: str) -> tuple[int, ...]:
    """What versions are sorted by, the oldest first."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _search_variables(agent: Mapping[str, str]) -> dict[str, str]:
    """The agent's variables with the installations of pyenv on the path, newest first.

    pyenv puts only *shims* on the path: scripts that refuse every version that is not switched
    on. They make way for the interpreters themselves.
    """
    env = installer_variables(agent)
    root = Path(env.get("PYENV_ROOT") or Path(env.get("HOME", "/")) / ".pyenv")
    folders = env.get("PATH", os.defpath).split(os.pathsep)
    kept = [folder for folder in folders if Path(folder) != root / "shims"]
    env["PATH"] = os.pathsep.join([*kept, *map(str, _pyenv_folders(root))])
    return env


def _pyenv_folders(root: Path) -> Iterator[Path]:
    try:
        names = [e.name for e in os.scandir(root / "versions") if e.is_dir()]
    except OSError:
        return  # no pyenv here
    versions = [n for n in names if _VERSION_FOLDER.fullmatch(n) and version_order(n) >= OLDEST]
    for name in sorted(versions, key=version_order, reverse=True):
        yield root / "versions" / name / "bin"
