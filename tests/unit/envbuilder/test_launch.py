"""A child is started in its code and environment, without what belongs to the agent."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.launch.child_code import child_code
from dray.envbuilder.launch.hooks import NodeHooks, node_hooks
from dray.envbuilder.launch.plan import LaunchPlan, launch_plan
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.locks import FileLock
from dray.runtime.config import Settings
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import EnvironmentReport, Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log

AGENT_ENV = {
    "HOME": "/home/agent",
    "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin",
    "CUDA_VISIBLE_DEVICES": "1",
    "HF_HOME": "/data/hf",
    "RAY_ADDRESS": "ray",
    "DRAY_TOKEN": "master",
    "PYTHONPATH": "/agent/site",
    "VIRTUAL_ENV": "/agent/venv",
    "CONDA_PREFIX": "/agent/conda",
}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """One that is only named, for plans that nobody starts."""
    return Environment(
        key="k",
        python=Path("/envs/k/bin/python"),
        folder=Path("/envs/k"),
        cache_tag="cpython-311",
        reused=True,
        seconds=0.0,
        report=EnvironmentReport("k", True, 0.0),
        reference=FileLock(tmp_path / "lock", -1),
    )


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "src" / "package").mkdir(parents=True)
    (root / "train.py").write_text("print('hello')\n")
    (root / "src" / "inner.py").write_text("")
    (root / "out.py").symlink_to("../outside.py")
    (tmp_path / "outside.py").write_text("")
    return root


def plan(environment: Environment, code: Path, **members: Any) -> LaunchPlan:
    task_env = {"DRAY_TASK_ID": "t", "DRAY_TOKEN": "scoped"}
    return launch_plan(
        Execution(**members), environment, code, Path("/childcode"), task_env, AGENT_ENV
    )


PYTHON = "/envs/k/bin/python"


@pytest.mark.parametrize(
    ("members", "argv"),
    [
        ({"entry_point": "train.py"}, [PYTHON, "train.py"]),
        (
            {"entry_point": "train.py", "arguments": ["--lr", "1e-3", "a b"]},
            [PYTHON, "train.py", "--lr", "1e-3", "a b"],
        ),
        ({"entry_point": "-m package.train"}, [PYTHON, "-m", "package.train"]),
        ({"entry_point": "-mpackage"}, [PYTHON, "-m", "package"]),
        (
            {"entry_point": "train.py", "arguments": ["x"], "bootstrap": True},
            [PYTHON, "-m", "dray.sdk.bootstrap", "train.py", "x"],
        ),
        (
            {"entry_point": "-m package", "bootstrap": True},
            [PYTHON, "-m", "dray.sdk.bootstrap", "-m", "package"],
        ),
        ({"entry_point": "src/inner.py"}, [PYTHON, "src/inner.py"]),
        ({"entry_point": "../train.py", "working_dir": "src"}, [PYTHON, "../train.py"]),
    ],
)
def test_the_arguments_of_each_kind_of_entry_point(
    environment: Environment, code: Path, members: dict[str, Any], argv: list[str]
) -> None:
    made = plan(environment, code, **members)
    assert made.argv == argv
    assert made.cwd == (code / members.get("working_dir", ".")).resolve()


@pytest.mark.parametrize(
    ("members", "field", "message"),
    [
        ({"entry_point": "trian.py"}, "entry_point", "'trian.py' is not a file in the root, which"),
        ({"entry_point": ""}, "entry_point", "names no script"),
        ({"entry_point": "src"}, "entry_point", "is not a file"),
        ({"entry_point": "x.py", "working_dir": "src/package"}, "entry_point", "which is empty"),
        ({"entry_point": "../outside.py"}, "entry_point", "leaves the task's code"),
        ({"entry_point": "out.py"}, "entry_point", "leaves the task's code"),
        ({"entry_point": "/etc/passwd"}, "entry_point", "leaves the task's code"),
        ({"entry_point": "-c print(1)"}, "entry_point", "neither a script nor"),
        ({"entry_point": "-m a b"}, "entry_point", "neither a script nor"),
        ({"entry_point": "train.py", "working_dir": "gone"}, "working_dir", "is not a folder"),
        ({"entry_point": "train.py", "working_dir": ".."}, "working_dir", "leaves the task's code"),
        ({"entry_point": "train.py", "working_dir": "/"}, "working_dir", "leaves the task's code"),
    ],
)
def test_what_is_not_in_the_code_is_named(
    environment: Environment, code: Path, members: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(PreparationFailed, match=message) as caught:
        plan(environment, code, **members)
    assert caught.value.details["kind"] == "source_failed"
    assert caught.value.details["field"] == f"execution.{field}"


def test_a_child_sees_its_own_environment_and_nothing_of_the_agents(
    environment: Environment, code: Path
) -> None:
    assert plan(environment, code, entry_point="train.py").env == {
        "HOME": "/home/agent",
        "HF_HOME": "/data/hf",
        "CUDA_VISIBLE_DEVICES": "1",
        "PATH": "/envs/k/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": "/envs/k",
        "PYTHONPATH": "/childcode",
        "PYTHONUNBUFFERED": "1",
        "DRAY_TASK_ID": "t",
        "DRAY_TOKEN": "scoped",
    }


def test_another_program_than_python_runs_the_entry_point(
    environment: Environment, code: Path
) -> None:
    execution = Execution(entry_point="train.py", arguments=["a"], binary="/bin/bash -e")
    made = launch_plan(execution, environment, code, Path("/childcode"), {}, AGENT_ENV)
    assert made.argv == ["/bin/bash", "-e", "train.py", "a"]


def test_the_tasks_variables_win(environment: Environment, code: Path) -> None:
    made = launch_plan(
        Execution(entry_point="train.py"),
        environment,
        code,
        Path("/childcode"),
        {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": ""},
        AGENT_ENV,
    )
    assert (made.env["CUDA_VISIBLE_DEVICES"], made.env["PYTHONUNBUFFERED"]) == ("", "")


async def test_a_started_plan_runs_in_its_environment_with_our_code_beside_it(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    (code / "work").mkdir(parents=True)
    (code / "work" / "train.py").write_text(
        "import json, os, subprocess, sys, dray\n"
        "called = subprocess.run(['python', '-c', 'import sys; print(sys.prefix)'],\n"
        "    capture_output=True, text=True).stdout.strip()\n"
        "print(json.dumps([sys.prefix, dray.__file__, os.getcwd(), sys.argv, called]))\n"
    )
    with await ensure_environment(EnvironmentSpec(), node, log) as environment:
        ours = await child_code(node, environment.python, environment.cache_tag)
        execution = Execution(entry_point="train.py", working_dir="work", arguments=["--x"])
        made = launch_plan(execution, environment, code, ours, {"DRAY_TASK_ID": "t"})
        ran = await asyncio.to_thread(
            subprocess.run, made.argv, cwd=made.cwd, env=made.env, capture_output=True, text=True
        )
    prefix, file, cwd, argv, called = json.loads(ran.stdout)
    assert prefix == called == str(environment.folder)
    assert file == str(ours / "dray" / "__init__.py")
    assert (cwd, argv) == (str(made.cwd), ["train.py", "--x"])


def test_a_tasks_variables_come_after_the_agents_and_before_what_the_agent_tells_it(
    environment: Environment, code: Path
) -> None:
    hooks = NodeHooks(variables={"HF_HOME": "/shared", "LEVEL": "agent"})
    made = launch_plan(
        Execution(entry_point="train.py", variables={"LEVEL": "task", "DRAY_OFFLINE": "1"}),
        environment,
        code,
        Path("/childcode"),
        {"DRAY_TASK_ID": "t"},
        AGENT_ENV,
        hooks,
    )
    assert (made.env["HF_HOME"], made.env["LEVEL"]) == ("/shared", "task")
    assert made.env["DRAY_OFFLINE"] == "1"


@pytest.mark.parametrize("name", ["DRAY_TOKEN", "DRAY_SPOOL", "1A", "A B", ""])
def test_a_variable_that_a_task_may_not_set_is_refused_by_its_name(
    environment: Environment, code: Path, name: str
) -> None:
    with pytest.raises(PreparationFailed, match=r"execution\.variables") as caught:
        plan(environment, code, entry_point="train.py", variables={name: "x"})
    assert caught.value.details["field"] == f"execution.variables.{name}"
    assert caught.value.details["kind"] == "environment_failed"


def test_folders_to_import_from_come_before_the_variables_and_the_agents(
    environment: Environment, code: Path
) -> None:
    made = launch_plan(
        Execution(
            entry_point="train.py",
            python_path=["src", "."],
            variables={"PYTHONPATH": "/opt/site:/opt/more"},
        ),
        environment,
        code,
        Path("/childcode"),
        {},
        AGENT_ENV,
        NodeHooks(python_path=("/shared",)),
    )
    top = str(code)
    assert made.env["PYTHONPATH"].split(":") == [
        *("/childcode", f"{top}/src", top),
        *("/opt/site", "/opt/more", "/shared"),
    ]


@pytest.mark.parametrize("folder", ["..", "/etc", "gone", "train.py"])
def test_a_folder_to_import_from_is_of_the_code(
    environment: Environment, code: Path, folder: str
) -> None:
    with pytest.raises(PreparationFailed, match=r"execution\.python_path"):
        plan(environment, code, entry_point="train.py", python_path=[folder])


def test_the_hooks_of_an_agent_are_read_from_its_settings(tmp_path: Path) -> None:
    script = tmp_path / "setup.sh"
    script.write_text("ulimit -n 4096\n")
    hooks = node_hooks(
        Settings(
            agent_setup_script=str(script),
            agent_variables="HF_HOME=/data/hf A='b c'",
            agent_python_path="/a:/b",
        )
    )
    assert hooks == NodeHooks("ulimit -n 4096\n", {"HF_HOME": "/data/hf", "A": "b c"}, ("/a", "/b"))
    assert node_hooks(Settings(agent_setup_script="echo a\necho b")).setup_script == (
        "echo a\necho b"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent_setup_script", "/no/such/script.sh"),
        ("agent_variables", "A"),
        ("agent_variables", "1A=b"),
        ("agent_variables", "A='b"),
    ],
)
def test_a_hook_that_cannot_be_used_names_its_setting(name: str, value: str) -> None:
    settings: Any = {name: value}
    with pytest.raises(PreparationFailed, match=name):
        node_hooks(Settings(**settings))
