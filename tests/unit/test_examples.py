"""Every example runs as it is, on this machine, without a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dray.sdk.cli import demo, demo_code
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Recorded:
    """What one run said and left in its spool."""

    stdout: str
    task: dict[str, Any]
    records: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["k"] == kind]


def run_offline(script: Path, home: Path, *arguments: str) -> Recorded:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("DRAY_")}
    variables |= {"DRAY_OFFLINE": "1", "DRAY_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, script.name, *arguments],
        cwd=script.parent,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (spool,) = (home / "spools").iterdir()

    def records() -> list[dict[str, Any]]:
        lines = (spool / "records.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    # The code is captured beside the script, which may be done sooner.
    wait_until(lambda: any(record["k"] == "execution" for record in records()))
    task = json.loads((spool / "task.json").read_text("utf-8"))
    return Recorded(done.stdout, task, records())


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The digits example as a user has it: its own folder, no package."""
    folder = tmp_path / "digits"
    ignored = shutil.ignore_patterns("__init__.py", "__pycache__")
    shutil.copytree(ROOT / "examples" / "digits", folder, ignore=ignored)
    return folder / "train.py"


def test_the_digits_are_learnt_and_everything_is_recorded(digits: Path, tmp_path: Path) -> None:
    run = run_offline(digits, tmp_path / "home", "--epochs", "3")
    assert (run.task["project"], run.task["name"]) == (demo.PROJECT, "train digits")
    accuracies = [r for r in run.of("scalar") if r["title"] == "accuracy"]
    assert [r["i"] for r in accuracies] == [1, 2, 3]
    (single,) = run.of("single")
    assert single["name"] == "accuracy"
    assert single["v"] == accuracies[-1]["v"] > 0.8
    assert [(r["type"], r["title"]) for r in run.of("plot")] == [("plotly", "digits")]
    assert [r["name"] for r in run.of("artifact")] == ["model"]
    (captured,) = run.of("execution")
    packages = captured["values"]["packages"]
    assert {line.split("==")[0] for line in packages} == {"numpy", "scikit-learn"}


def test_the_demos_edits_fit_the_example_and_show_in_its_console(
    digits: Path, tmp_path: Path
) -> None:
    demo_code.edit(digits.parent)
    run = run_offline(digits, tmp_path / "home", "--epochs", "1")
    assert demo_code.MARK in run.stdout


def test_the_example_is_found_where_dray_is_imported_from() -> None:
    assert (demo_code.example_folder() / "train.py").is_file()
