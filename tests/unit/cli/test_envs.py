"""``dray env`` for the cache of this machine: what is there, why, and what can go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dray.runtime.records import Frame
from tests.unit.cli.conftest import Answer, Cli, Server
from tests.unit.envbuilder.indexes import make_wheel


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))


def done(answer: Answer) -> Any:
    assert answer.code == 0, answer.err
    return answer.json


def wheel(tmp_path: Path, version: str) -> str:
    return f"draysample @ file://{make_wheel(tmp_path / 'wheels', 'draysample', version)}"


def build(cli: Cli, requirement: str) -> str:
    made = done(cli("env", "build", "--here", "--package", requirement, "--json"))
    assert made["reused"] is False
    return made["environment"]["key"]


def test_environments_are_built_listed_compared_and_pruned(cli: Cli, tmp_path: Path) -> None:
    first, second = (build(cli, wheel(tmp_path, version)) for version in ("1.0", "2.0"))

    (node,) = done(cli("env", "list", "--here", "--json"))
    assert [e["key"] for e in node["environments"]] == [second, first]
    assert [row[0] for row in cli("env", "list", "--here").rows] == [second, first]

    shown = cli("env", "show", first[:8], "--here")
    assert ["state", "ready"] in shown.rows
    assert any(row[0] == "draysample" for row in shown.rows)

    why = cli("env", "why", second[:8], "--here")
    assert why.out.startswith(f"{second[:12]} was built: {first[:12]}, the nearest that was there")
    between = done(cli("env", "why", first, second, "--here", "--json"))
    (difference,) = between["differences"]
    assert difference["part"] == "requirements"
    assert "draysample-1.0" in difference["removed"][0]

    assert done(cli("env", "prune", "--unused-for", "1d", "--here", "--json"))[0]["removed"] == []
    assert done(cli("env", "prune", first[:8], "--here", "--json"))[0]["removed"] == [first]
    assert "removed 1 environment" in cli("env", "prune", "--here").out
    assert done(cli("env", "list", "--here", "--json"))[0]["environments"] == []


def test_without_a_server_it_is_this_machine_and_that_is_said(cli: Cli) -> None:
    answer = cli("env", "list", "--json")
    assert done(answer)[0]["environments"] == []
    assert "no server is configured: this is the cache of this machine" in answer.err


def test_a_tasks_id_stands_for_the_environment_it_ran_in(
    cli: Cli, server: Server, tmp_path: Path
) -> None:
    key = build(cli, wheel(tmp_path, "1.0"))
    run = server.running()
    report = {"key": key, "reused": False, "seconds": 1.0}
    server.client.send_frame(run.task_id, run.epoch, Frame(environment=report))
    assert done(cli("env", "show", run.task_id, "--here", "--json"))["environment"]["key"] == key
    draft = server.draft()
    answer = cli("env", "show", draft.id, "--here")
    assert answer.code == 2
    assert f"to build it: dray env build {draft.id[:8]}" in answer.err


def test_a_tasks_environment_is_built_from_its_own_code(
    cli: Cli, server: Server, tmp_path: Path
) -> None:
    patch = "--- /dev/null\n+++ b/train.py\n@@ -0,0 +1 @@\n+print('hello')\n"
    execution = {
        "diff": patch,
        "entry_point": "train.py",
        "packages": [wheel(tmp_path, "1.0")],
    }
    task = server.draft(execution=execution)
    answer = cli("env", "build", task.id[:8], "--here", "--json")
    made = done(answer)
    assert made["environment"]["n_packages"] == 1
    assert "building environment" in answer.err
    assert done(cli("env", "build", task.id, "--here", "--json"))["reused"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "--here"], "give either a TASK, or --package"),
        (["build", "abcd", "--package", "x", "--here"], "not both"),
        (["build", "abcd", "--python", "3.11", "--here"], "--python goes with --package"),
        (["build", "--package", "x", "--node", "mars", "--here"], "is not this machine"),
        (["prune", "--unused-for", "soon", "--here"], "--unused-for"),
        (["show", "feedbeef", "--here"], "no environment begins with 'feedbeef'"),
        (["list", "--node", "mars", "--here"], "no node 'mars'"),
    ],
)
def test_what_cannot_be_done_says_what_can(cli: Cli, arguments: list[str], said: str) -> None:
    answer = cli("env", *arguments)
    assert answer.code == 2
    assert said in answer.err
