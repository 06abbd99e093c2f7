"""Scripts over real frameworks, run without a server; `make test-frameworks` runs these tests.

They are no part of the ordinary suite: what they import is large and lies in an environment of
its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "frameworks"
#: How scripts begin.
INIT = "from dray import Task\ntask = Task.init('frameworks', 'test')\n"

if not os.environ.get("DRAY_TEST_FRAMEWORKS"):
    collect_ignore_glob = ["test_*.py"]


@dataclass(frozen=True)
class Recorded:
    """What one run said and left in its spool."""

    out: str
    err: str
    spool: Path

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Its records of one kind, without those about the machine."""
        lines = (self.spool / "records.jsonl").read_text("utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [
            record
            for record in found
            if record["k"] == kind and not str(record.get("title", "")).startswith(":monitor:")
        ]

    @property
    def series(self) -> set[tuple[str, str]]:
        """Titles and series of its scalars."""
        return {(r["title"], r["series"]) for r in self.of("scalar")}

    def models(self, kind: str) -> list[str]:
        """What it calls its models of a kind, as often as it came to them."""
        return [record["called"] for record in self.of("model") if record.get("as") == kind]

    @property
    def frameworks(self) -> set[str]:
        """Frameworks of its models."""
        return {record["framework"] for record in self.of("model") if record.get("framework")}

    @property
    def parameters(self) -> dict[str, str]:
        """Its parameters by flat name."""
        values = [record["values"] for record in self.of("parameters")]
        return {name: p["value"] for found in values for name, p in found.items()}


Run = Callable[..., Recorded]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where scripts are written and run."""
    made = tmp_path / "code"
    made.mkdir()
    return made


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine that knows no server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRAY_", "CLEARML_"))}
    home = {"DRAY_OFFLINE": "1", "DRAY_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    return {**kept, **home, "KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def run(tmp_path: Path, folder: Path, environment: dict[str, str]) -> Run:
    """Run a script's text, or one of the examples by its name; give what it recorded."""

    def start(text: str = "", *, example: str = "") -> Recorded:
        script = folder / (example or "script.py")
        if example:
            shutil.copy(EXAMPLES / example, script)
        else:
            script.write_text(text)
        done = subprocess.run(
            [sys.executable, script.name],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,  # the machine may be busy with others
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (spool,) = (tmp_path / "home" / "spools").iterdir()
        return Recorded(done.stdout, done.stderr, spool)

    return start
