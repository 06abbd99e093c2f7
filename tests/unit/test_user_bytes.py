"""The control plane runs no user bytes: nothing that could is named in its rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "api", "actors", "envbuilder")
#: Modules that make objects, and so calls, out of bytes.
UNPICKLERS = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle"}
#: What of yaml makes lists, dicts and text alone.
PLAIN_YAML = {"safe_load", "safe_load_all", "safe_dump", "YAMLError"}
#: Calls that run text or write wherever an archive says.
RUNNERS = {"eval", "exec", "compile", "__import__", "extractall", "unpack_archive", "run_path"}

FILES = sorted(
    str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py")
)


def dangers(source: str) -> list[str]:
    """What in a source could run the bytes of a user."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = node.func
            is_name = isinstance(called, ast.Name)
            name = called.id if is_name else getattr(called, "attr", "")
            # `re.compile` and its like are methods; the built-in is a bare name.
            if name in RUNNERS and (is_name or name not in {"compile", "eval", "exec"}):
                found.append(f"{name}() in line {node.lineno}")
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "yaml":
            found += [f"yaml.{node.attr}"] if node.attr not in PLAIN_YAML else []
        found += [f"import {n}" for n in names if n.partition(".")[0] in UNPICKLERS]
        is_whole = isinstance(node, ast.Import) and names == ["yaml"]
        found += [f"import {n}" for n in names if n.partition(".")[0] == "yaml" and not is_whole]
    return found


@pytest.mark.invariant(9)
@pytest.mark.parametrize("file", FILES)
def test_no_file_of_the_control_plane_can_run_user_bytes(file: str) -> None:
    assert dangers((ROOT / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import yaml.loader",
        "from yaml import load",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "eval(text)",
        "tar.extractall('/')",
        "shutil.unpack_archive(file)",
    ],
)
def test_what_could_is_found(source: str) -> None:
    assert dangers(source)


def test_what_only_looks_like_it_is_not() -> None:
    assert dangers("import re\nre.compile('x')\nmodel.eval()\n") == []
    assert dangers("import yaml\nyaml.safe_load(text)\n") == []
