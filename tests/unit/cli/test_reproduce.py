"""``dray task reproduce``: a task's code and environment here, run by hand as by an agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.execution import EnvironmentReport
from dray.runtime.snapshots import FileEntry, encode_manifest
from dray.sdk.cli.run_sh import Run, run_sh
from tests.unit.cli.conftest import Cli, Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="run.sh is for a shell")

SCRIPT = """\
import argparse, os
import helper
from dray import Task
task = Task.init(project_name="p", task_name="by hand")
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("words", nargs="*")
args = parser.parse_args()
task.set_comment("never seen by the server")
print(helper.WORD, args.lr, args.words, os.environ["A"], os.environ["FROM_SETUP"], task.id[:4])
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))


def snapshot(server: Server, files: dict[str, str]) -> str:
    entries = [
        FileEntry(path, server.client.put_blob(text.encode()), len(text))
        for path, text in files.items()
    ]
    return server.client.put_blob(encode_manifest(entries))


def execution(server: Server, **members: Any) -> dict[str, Any]:
    files = {"job/train.py": SCRIPT, "src/helper.py": "WORD = 'hello'\n"}
    return {
        "snapshot": snapshot(server, files),
        "working_dir": "job",
        "entry_point": "train.py",
        "python_path": ["src"],
        "variables": {"A": "it's"},
        "setup_script": "export FROM_SETUP=$A",
        **members,
    }


def run(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DRAY_TOKEN": "mine"}
    command = [f"{folder}/run.sh", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_reproduced_task_runs_as_under_an_agent_without_its_server(
    cli: Cli, server: Server
) -> None:
    task = server.draft(
        execution=execution(server), parameters={"Args/lr": {"value": "0.5", "type": "float"}}
    )
    made = cli("task", "reproduce", task.id, "again", "--json")
    assert made.code == 0, made.err
    told = made.json
    assert (told["packages"], told["argv"]) == ("requested", ["environment/bin/python", "train.py"])
    done = run(told["folder"], "x", "y z")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"hello 0.5 ['x', 'y z'] it's it's {task.id[:4]}\n"
    assert server.client.get_task(task.id).comment == ""
    moved = Path(told["folder"]).rename(Path(told["folder"]).with_name("elsewhere"))
    assert run(str(moved)).stdout == f"hello 0.5 [] it's it's {task.id[:4]}\n"
    script = (moved / "run.sh").read_text()
    assert "DRAY_TOKEN=" not in script
    assert str(moved.parent) not in script


def test_its_environment_is_the_one_that_an_agent_built(cli: Cli, server: Server) -> None:
    running = server.running(execution=execution(server, packages=["no-such-package-anywhere"]))
    version = ".".join(map(str, sys.version_info[:3]))
    report = EnvironmentReport("k", False, 1.0, version, [], manager="uv")
    server.do(server.store.attempts.set_environment(running.task_id, running.epoch, report))
    made = cli("task", "reproduce", running.task_id, "again", "--json")
    assert (made.code, made.json["packages"]) == (0, "resolved"), made.err
    python = [f"{made.json['folder']}/environment/bin/python", "-V"]
    said = subprocess.run(python, capture_output=True, text=True, check=True)
    assert said.stdout == f"Python {version}\n"


def test_code_alone_is_run_by_whatever_python_there_is(cli: Cli, server: Server) -> None:
    task = server.draft(execution=execution(server))
    made = cli("task", "reproduce", task.id, "--no-environment")
    folder = Path.cwd() / f"train-{task.id[:8]}"
    assert made.out.strip() == str(folder / "run.sh"), made.err
    assert not (folder / "environment").exists()
    assert (folder / "code" / "job" / "train.py").read_text() == SCRIPT
    assert run(str(folder)).stdout.startswith("hello 0.1 []")


def test_a_folder_that_is_there_stays_as_it_is(cli: Cli, server: Server) -> None:
    Path("mine").mkdir()
    Path("mine/file").write_text("mine")
    refused = cli("task", "reproduce", server.draft(execution=execution(server)).id, "mine")
    assert (refused.code, "is there already" in refused.err) == (2, True)
    assert Path("mine/file").read_text() == "mine"


def test_what_cannot_be_built_leaves_nothing_and_says_what_to_do(cli: Cli, server: Server) -> None:
    task = server.draft(execution=execution(server, python_version="3.4.0"))
    refused = cli("task", "reproduce", task.id, "again")
    assert refused.code != 0
    assert "3.4.0" in refused.err
    assert "--no-environment" in refused.err
    assert not Path("again").exists()


def test_a_token_is_written_only_when_asked_for(cli: Cli, server: Server) -> None:
    task = server.draft(execution=execution(server))
    assert cli("task", "reproduce", task.id, "again", "--no-environment", "--token").code == 0
    assert f"export DRAY_TOKEN={server.client.token}\n" in Path("again/run.sh").read_text()
    assert Path("again/run.sh").stat().st_mode & 0o777 == 0o700


def test_secrets_of_a_node_are_asked_for_where_they_are_not(tmp_path: Path) -> None:
    (tmp_path / ".dray").mkdir()
    for name in ("task.json", "attempt.json"):
        (tmp_path / ".dray" / name).write_text("{}")
    env = {"PATH": "", "KEY": "pre ${TOKEN}'s", "OTHER": "${TOKEN}"}
    text = run_sh(
        Run(tmp_path, ["printenv", "KEY", "OTHER"], tmp_path, env, (), (), frozenset({"KEY"}))
    )
    script = tmp_path / "run.sh"
    script.write_text(text)
    without = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert "DRAY_SECRET_TOKEN: set it" in without.stderr
    given = {**os.environ, "DRAY_SECRET_TOKEN": "s3 cret"}
    done = subprocess.run(["sh", script], env=given, capture_output=True, text=True, check=True)
    assert done.stdout == "pre s3 cret's\n${TOKEN}\n"
