"""A host whose variables, user site and configuration point elsewhere: none of it counts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.launch.child_code import child_code
from dray.envbuilder.launch.plan import launch_plan
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.indexes import Index, make_wheel, serve_index

#: What our own installation stands on; a task that needs one of them names it.
OURS = ("ray", "uv", "fastapi", "pydantic", "typer", "aiosqlite", "anyio", "msgspec", "pytest")
POISON = "raise SystemExit('poisoned')\n"
SCRIPT = f"""
import importlib.util, json, os, sys
import draysample, dray
print(json.dumps({{
    "path": sys.path,
    "prefix": sys.prefix,
    "draysample": draysample.VERSION,
    "dray": dray.__file__,
    "found": [n for n in (*{OURS!r}, "intruder") if importlib.util.find_spec(n)],
    "variables": dict(os.environ),
}}))
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path / "wheels", "draysample", version)
    with serve_index(tmp_path / "wheels") as served:
        yield served


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and variables that would each break the build, or reach the child."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    user_site = home / ".local" / "lib" / version / "site-packages"
    for folder in (user_site, elsewhere):
        folder.mkdir(parents=True)
        for name in ("sitecustomize", "usercustomize", "intruder", "json", "draysample"):
            (folder / f"{name}.py").write_text(POISON)
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text(
        f"[global]\ntarget = {elsewhere}\nno-deps = true\n[install]\nuser = true\n"
    )
    (home / ".config" / "uv").mkdir()
    (home / ".config" / "uv" / "uv.toml").write_text(
        f'no-binary-package = ["draysample"]\n[pip]\ntarget = "{elsewhere}"\nno-deps = true\n'
    )
    (home / ".pydistutils.cfg").write_text(f"[install]\nprefix={elsewhere}\n")
    limits = tmp_path / "limits.txt"
    limits.write_text("draysample==1.0\n")
    variables = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "PYTHONPATH": elsewhere,
        "PYTHONHOME": "/nowhere",
        "PYTHONUSERBASE": home / ".local",
        "PYTHONSAFEPATH": "1",
        "PYTHONSTARTUP": elsewhere / "intruder.py",
        "VIRTUAL_ENV": elsewhere,
        "CONDA_PREFIX": elsewhere,
        "CONDA_DEFAULT_ENV": "base",
        "PIP_TARGET": elsewhere,
        "PIP_USER": "1",
        "PIP_CONSTRAINT": limits,
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_INDEX_URL": "https://me:verysecret@nowhere.invalid/simple",
        "UV_PYTHON": "3.99",
        "UV_PROJECT_ENVIRONMENT": elsewhere,
        "UV_SYSTEM_PYTHON": "1",
        "UV_CONSTRAINT": limits,
        "UV_OVERRIDE": limits,
        "UV_EXCLUDE": limits,
        "UV_EXCLUDE_NEWER": "1999-01-01",
        "UV_REQUIRE_HASHES": "1",
        "UV_VENV_SEED": "1",
        "UV_CACHE_DIR": tmp_path / "uv",
        "POETRY_VIRTUALENVS_PATH": elsewhere,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return elsewhere


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> NodePaths:
    """Where our code for children is compiled once for all of these tests."""
    return NodePaths(tmp_path_factory.mktemp("shared"))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def child_of(
    spec: EnvironmentSpec, node: NodePaths, shared: NodePaths, log: Log, code: Path
) -> dict[str, Any]:
    """What a child says that was started as an agent starts it."""
    with await ensure_environment(spec, node, log) as environment:
        ours = await child_code(shared, environment.python, environment.cache_tag)
        execution = Execution(entry_point="train.py")
        plan = launch_plan(execution, environment, code, ours, {"DRAY_TASK_ID": "t"})
        ran = await asyncio.to_thread(
            subprocess.run, plan.argv, cwd=plan.cwd, env=plan.env, capture_output=True, text=True
        )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    assert said["prefix"] == str(environment.folder)
    assert said["dray"] == str(ours / "dray" / "__init__.py")
    allowed = (str(code), str(ours), str(environment.folder), sys.base_prefix)
    strange = [path for path in said["path"] if not path.startswith(allowed)]
    assert not strange, "folders that are none of the code, ours for children, the environment"
    return said


@pytest.mark.parametrize("manager", ["uv", "pip"])
async def test_nothing_of_a_poisoned_host_reaches_the_build_or_the_child(
    poisoned: Path,
    index: Index,
    node: NodePaths,
    shared: NodePaths,
    log: Log,
    code: Path,
    manager: str,
) -> None:
    before = names_in(poisoned)
    spec = EnvironmentSpec(manager=manager, requirements=("draysample",), index_urls=(index.url,))
    said = await child_of(spec, node, shared, log, code)
    assert said["draysample"] == "2.0", "the newest: no constraint of the host's counts"
    assert said["found"] == []
    leaked = [
        name
        for name, value in said["variables"].items()
        if name.startswith(("PIP_", "UV_", "CONDA_", "POETRY_"))
        or "verysecret" in value
        or str(poisoned) in value
    ]
    assert leaked == []
    misleading = {"PYTHONHOME", "PYTHONUSERBASE", "PYTHONSAFEPATH", "PYTHONSTARTUP"}
    assert not misleading & said["variables"].keys()
    assert names_in(poisoned) == before, "nothing was installed elsewhere"
    assert "verysecret" not in log.text


async def test_the_indexes_of_a_nodes_configuration_of_uv_count(
    index: Index, node: NodePaths, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "uv.toml"
    config.write_text(
        f'[[index]]\nname = "ours"\nurl = "{index.url}"\ndefault = true\n'
        f'[pip]\nlink-mode = "copy"\ntarget = "{tmp_path / "elsewhere"}"\n'
    )
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with await ensure_environment(EnvironmentSpec(requirements=("draysample",)), node, log) as made:
        assert made.report.installed == ["draysample==2.0"]
        (module,) = made.folder.glob("lib/python*/site-packages/draysample.py")
        assert module.stat().st_nlink == 1, "copied, as it says"
    assert not (tmp_path / "elsewhere").exists()
