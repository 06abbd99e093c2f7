"""The part of dray that a child may import: a folder with bytecode for its interpreter.

It goes on the child's ``PYTHONPATH``, so the user's environment needs no dray, and no pin of the
user's can clash with ours: what is in it imports the standard library only. Why a folder and not
a zip: docs/decisions/0001-child-code-is-a-folder.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.process import Finished, finish_in_thread, run_tool
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.runtime.ids import new_id
from dray.runtime.paths import NodePaths

#: Packages that go along, each with the sub-packages that stay behind.
_PACKAGES = {
    "runtime": ("store",),
    "sdk": ("cli",),
    "automation": (),
    "backend_api": (),
    "binding": (),
    "storage": (),
    "utilities": (),
}
#: Of the package itself: all but the command line.
_LEFT_OUT = "__main__.py"

#: Unchecked: the folder's name is the hash of the sources, so bytecode cannot be out of date, and
#: an interpreter that may not write bytecode (PYTHONDONTWRITEBYTECODE) finds it all there.
_COMPILE = """
import compileall, py_compile, sys
done = compileall.compile_dir(
    sys.argv[1], quiet=1, stripdir=sys.argv[1], prependdir=sys.argv[2],
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
sys.exit(0 if done else 1)
"""


async def child_code(
    node: NodePaths,
    python: Path,
    cache_tag: str,
    run: Callable[..., Awaitable[Finished]] = run_tool,
) -> Path:
    """The folder for ``PYTHONPATH`` of a child that runs on ``python``.

    Made once per version of our sources and ``cache_tag`` (``Environment.cache_tag``); found again
    without starting a process. Safe to cancel, and to call at once from several agents: each makes
    its own aside and the first one renamed stays.

    Args:
        run: as ``run_tool``, where the interpreter is.

    Raises:
        PreparationFailed: the interpreter cannot compile our sources.
    """
    folder = node.childcode / f"{_sources()[0]}-{cache_tag}"
    if folder.is_dir():
        return folder
    aside = node.childcode / f".building-{os.getpid()}-{new_id()[:8]}"
    try:
        await finish_in_thread(asyncio.to_thread(write_sources, aside))
        finished = await run(
            [python, "-I", "-S", "-c", _COMPILE, aside, folder],
            env=installer_variables(agent_variables()),
        )
        if finished.code != 0:
            raise environment_failed(f"{python} cannot compile Dray's own code", finished.tail)
        _put_in_place(aside, folder)
    finally:
        await finish_in_thread(asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True))
    return folder


@cache
def _sources() -> tuple[str, dict[str, bytes]]:
    """Hash and contents (``{"dray/runtime/ids.py": …}``) of our sources, read once a process."""
    contents = dict(_read_sources())
    hashed = hashlib.sha256()
    for name, content in sorted(contents.items()):
        hashed.update(f"{name}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()[:16], contents


def _read_sources() -> Iterator[tuple[str, bytes]]:
    root = Path(__file__).absolute().parents[2]  # the package dray, also where rooms are links
    for path in root.glob("*.py"):
        if path.name != _LEFT_OUT:
            yield f"dray/{path.name}", path.read_bytes()
    for package, left_out in _PACKAGES.items():
        folder = (root / package).resolve()
        for path in folder.rglob("*.py"):
            inside = path.relative_to(folder)
            if inside.parts[0] not in left_out:
                yield f"dray/{package}/{inside.as_posix()}", path.read_bytes()


def write_sources(target: Path) -> None:
    """Our sources below ``target``, for any interpreter; for a thread."""
    for name, content in _sources()[1].items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _put_in_place(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another agent was first, with the same content
            raise
