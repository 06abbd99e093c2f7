"""Who may import whom: the rooms of Dray, as data, against every import of every file."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import dray

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "runtime",
    "envbuilder",
    "sdk",
    "api",
    "actors",
    "selftest",
    "automation",
    "examples",
    "src/dray",
)

#: Everything of ``runtime`` but the store, which the gateway alone opens.
RUNTIME = ("dray.runtime", "-dray.runtime.store")
#: What users see.
FACADE = tuple(f"dray.{name}" for name in dray.__all__)
#: Modules of the names that scripts written for ClearML import.
NAMES = tuple(
    f"dray.{path.stem}"
    for path in (ROOT / "src" / "dray").iterdir()
    if not path.name.startswith("_") and not path.is_symlink()
)
#: Anybody's: the package itself, where it lies and its version.
PACKAGE = ("dray", "dray.__version__")


@dataclass(frozen=True)
class Rule:
    """What the files under one path may import.

    Attributes:
        path: a file or folder; the longest rule that fits a file decides.
        dray: modules of ours, with what is below them; a leading ``-`` takes one out again.
        outside: packages of others, ``*`` for any; the standard library is everybody's.
        lazily: packages of others, and modules of ours, inside functions only.
    """

    path: str
    dray: tuple[str, ...]
    outside: tuple[str, ...] = ()
    lazily: tuple[str, ...] = ()


RULES = (
    Rule("runtime", RUNTIME),
    Rule("runtime/hardware.py", RUNTIME, lazily=("psutil", "pynvml")),
    Rule("runtime/store", ("dray.runtime",), ("aiosqlite",)),
    Rule("runtime/store/record_lines.py", ("dray.runtime",), ("msgspec",)),
    Rule("envbuilder", (*RUNTIME, "dray.envbuilder")),
    Rule("envbuilder/tools/uv_program.py", (*RUNTIME, "dray.envbuilder"), lazily=("uv",)),
    Rule("envbuilder/builders/condafile.py", (*RUNTIME, "dray.envbuilder"), lazily=("yaml",)),
    Rule("envbuilder/builders/rattler_install.py", (), ("rattler",)),  # a script of its own
    Rule("envbuilder/git/program.py", (*RUNTIME, "dray.envbuilder"), lazily=("git",)),
    Rule(
        "sdk",
        (*RUNTIME, "dray.sdk", "-dray.sdk.cli"),
        lazily=(
            *("cloudpickle", "psutil", "numpy", "pandas", "matplotlib", "PIL", "omegaconf"),
            *("hydra", "torch", "typing_extensions"),
        ),
    ),
    # For event loops, so never in a training process.
    Rule("sdk/http/async_transport.py", (*RUNTIME, "dray.sdk", "-dray.sdk.cli"), ("httpx2",)),
    Rule("sdk/cli", (*RUNTIME, "dray.sdk"), ("typer",), lazily=("rich",)),
    Rule("sdk/cli/cluster.py", (*RUNTIME, "dray.sdk"), ("typer",), ("rich", "dray.actors.cluster")),
    Rule(
        "sdk/cli/selftest.py",
        (*RUNTIME, "dray.sdk"),
        ("typer",),
        ("rich", "dray.selftest.chaos", "dray.selftest.report"),
    ),
    # The cache of this machine is looked after without a server.
    Rule("sdk/cli/envs.py", (*RUNTIME, "dray.sdk"), ("typer",), ("dray.envbuilder",)),
    Rule("sdk/cli/envs_here.py", (*RUNTIME, "dray.sdk"), ("typer",), ("dray.envbuilder",)),
    Rule("sdk/cli/reproduce.py", (*RUNTIME, "dray.sdk"), ("typer",), ("dray.envbuilder",)),
    # A store that nobody serves is looked after from its files.
    Rule("sdk/cli/backup.py", (*RUNTIME, "dray.sdk"), ("typer",), ("dray.runtime.store.restore",)),
    Rule(
        "sdk/cli/doctor.py",
        (*RUNTIME, "dray.sdk"),
        ("typer",),
        ("dray.runtime.store.holding", "dray.runtime.store.integrity"),
    ),
    Rule("api", ("dray.runtime", "dray.api"), ("fastapi", "pydantic", "starlette", "anyio")),
    Rule(
        "actors",
        ("dray.runtime", "dray.envbuilder", "dray.api", "dray.actors"),
        ("anyio",),
    ),
    Rule("actors/handles.py", ("dray.runtime", "dray.actors"), ("ray",)),
    Rule("actors/gateway.py", ("dray.runtime", "dray.api", "dray.actors"), ("anyio", "uvicorn")),
    Rule("actors/rayhost.py", ("dray.runtime",), ("psutil",)),
    # An agent ships what its child wrote with the very code of a run started by hand.
    Rule(
        "actors/attempt.py",
        ("dray.runtime", "dray.actors", "dray.sdk.client", "dray.sdk.ship.shipping"),
        ("anyio",),
    ),
    Rule(
        "actors/child.py",
        (
            "dray.runtime",
            "dray.envbuilder.containers.box",
            "dray.envbuilder.launch.plan",
            "dray.envbuilder.launch.setup_script",
            "dray.actors",
            "dray.sdk.ship.shipping",
            "dray.sdk.runs.threads",
        ),
        ("anyio",),
    ),
    Rule(
        "actors/ending.py",
        ("dray.runtime", "dray.envbuilder.containers.box", "dray.sdk.runs.endings"),
    ),
    Rule(
        "actors/ahead_process.py",
        ("dray.runtime", "dray.envbuilder", "dray.actors", "dray.sdk.client"),
    ),
    Rule(
        "actors/preparation.py",
        ("dray.runtime", "dray.envbuilder", "dray.actors", "dray.sdk.client"),
    ),
    Rule("actors/workshop.py", ("dray.runtime", "dray.sdk.client"), ("anyio",)),
    Rule("selftest", (*RUNTIME, "dray.sdk", "-dray.sdk.cli", "dray.selftest"), ("psutil",)),
    # It runs in a task, where there is what a user's script has, and nothing of ours around it.
    Rule("selftest/script.py", (), lazily=FACADE),
    # As their users have them: anything of others, and of ours what scripts import.
    Rule("examples", (*FACADE, *NAMES), ("*",)),
    Rule("automation", (*RUNTIME, "dray.sdk", "-dray.sdk.cli", "dray.automation")),
    # Names that scripts know, and nothing behind them.
    Rule("src/dray", (*RUNTIME, "dray.sdk", "-dray.sdk.cli")),
    Rule("src/dray/__init__.py", (), lazily=(*RUNTIME, "dray.sdk", "-dray.sdk.cli")),
    Rule("src/dray/__main__.py", ("dray.sdk.cli.main", "dray.sdk.bootstrap")),
)


@dataclass(frozen=True)
class Import:
    """One imported module, and whether importing the file imports it."""

    line: int
    module: str
    is_lazy: bool


def source_files() -> list[str]:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if folder != "src/dray" or not _is_of_a_room(path.relative_to(ROOT / folder))
    }
    return sorted(found)


def _is_of_a_room(path: Path) -> bool:
    """Whether a file below ``src/dray`` is reached through the link to a room."""
    return (ROOT / "src" / "dray" / path.parts[0]).is_symlink()


def rule_for(file: str) -> Rule:
    fitting = [r for r in RULES if file == r.path or file.startswith(r.path + "/")]
    return max(fitting, key=lambda rule: len(rule.path))


def imports_of(tree: ast.AST, *, is_lazy: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(node.lineno, name.name, is_lazy)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for name in node.names:
                yield Import(node.lineno, f"{base}.{name.name}" if base else name.name, is_lazy)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports_of(node, is_lazy=is_lazy or inside or is_for_types_only(node))


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def covers(names: tuple[str, ...], module: str) -> bool:
    fitting = [n for n in names if f"{module}.".startswith(n.removeprefix("-") + ".")]
    return bool(fitting) and not max(fitting, key=lambda n: len(n.removeprefix("-"))).startswith(
        "-"
    )


def is_allowed(rule: Rule, found: Import) -> bool:
    top = found.module.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if "*" in rule.outside and top != "dray":
        return True
    if found.module in PACKAGE or covers((*rule.dray, *rule.outside), found.module):
        return True
    return found.is_lazy and covers(rule.lazily, found.module)


@pytest.mark.parametrize("file", source_files())
def test_a_file_imports_only_what_its_room_may(file: str) -> None:
    rule = rule_for(file)
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    refused = [found for found in imports_of(tree) if not is_allowed(rule, found)]
    assert not refused, "\n".join(
        f"{file}:{found.line} imports {found.module}{' inside a function' if found.is_lazy else ''}"
        f", which the rule for {rule.path} does not allow"
        for found in refused
    )


def test_every_rule_is_about_something() -> None:
    files = source_files()
    idle = [
        r.path for r in RULES if not any(f == r.path or f.startswith(r.path + "/") for f in files)
    ]
    assert not idle


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import ray", "runtime/states.py"),
        ("from dray.sdk import client", "runtime/states.py"),
        ("from dray.runtime import store", "sdk/client.py"),
        ("from dray.runtime.store.database import Database", "envbuilder/cache/build.py"),
        ("import git", "sdk/capture/captured.py"),
        ("from dray.actors import cluster", "sdk/cli/cluster.py"),
        ("def f():\n from dray.actors.cluster import up", "sdk/cli/tasks.py"),
        ("import runtime.states", "api/app.py"),
        ("from . import ids", "runtime/states.py"),
        ("import aiosqlite", "api/app.py"),
    ],
)
def test_the_walk_finds_what_is_forbidden(source: str, file: str) -> None:
    found = list(imports_of(ast.parse(source)))
    assert not all(is_allowed(rule_for(file), each) for each in found)
