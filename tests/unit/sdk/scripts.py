"""Scripts as users write them, run by a real interpreter: under an agent, by hand, offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dray.runtime.codec import to_json
from dray.runtime.models import Parameter, Task
from tests.unit.sdk.live import Live

SOURCE = str(Path(__file__).parents[3] / "src")
TASK_ID = "ab" * 16
#: How scripts begin.
INIT = "from dray import Task, Logger\ntask = Task.init('proj', 'name')\n"
#: Nothing listens there, and the system says so at once.
NOWHERE = "http://127.0.0.1:1"


@dataclass
class Ran:
    """What a script left behind."""

    code: int
    out: str
    err: str
    spool: Path | None = None
    raw: bytes = b""

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        """Records of the spool, of one kind if said."""
        assert self.spool is not None, self.err
        return read_records(self.spool, kind)

    def stream(self, name: str) -> str:
        """What the spool kept of a stream."""
        assert self.spool is not None
        return (self.spool / f"{name}.log").read_text()


def read_records(spool: Path, kind: str = "") -> list[dict[str, Any]]:
    """Records of a spool; those of the shipper beside the run are left out."""
    lines = (spool / "records.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [record for record in found if kind in ("", record["k"])]


def agent_spool(folder: Path, **members: Any) -> Path:
    """The spool that an agent lays out before it starts a child."""
    folder.mkdir(parents=True)
    task = Task(TASK_ID, "train", "demo", **members)
    (folder / "task.json").write_text(json.dumps(to_json(task)))
    attempt = {"task_id": TASK_ID, "epoch": 1, "url": NOWHERE, "origin": "agent"}
    (folder / "attempt.json").write_text(json.dumps(attempt))
    (folder / "blobs").mkdir()
    return folder


def parameters(**values: tuple[str, str] | str) -> dict[str, Parameter]:
    """Parameters by name with ``__`` for ``/``; text alone has no type."""
    return {
        name.replace("__", "/"): Parameter(*((value,) if isinstance(value, str) else value))
        for name, value in values.items()
    }


@dataclass
class Machine:
    """A laptop: folders of its own, no server unless ``url`` is set."""

    root: Path
    url: str = ""
    token: str = ""
    extra: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        (self.root / "code").mkdir(parents=True, exist_ok=True)

    @property
    def home(self) -> Path:
        """Its data folder."""
        return self.root / "home"

    @property
    def code(self) -> Path:
        """Where scripts are written and run."""
        return self.root / "code"

    def environment(self) -> dict[str, str]:
        """Variables of its processes: nothing of this test's own machine but the path."""
        given = {"DRAY_URL": self.url, "DRAY_TOKEN": self.token}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "DRAY_HOME": str(self.home),
            "DRAY_CACHE": str(self.root / "cache"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PYTHONPATH": SOURCE,
            "PYTHONUNBUFFERED": "1",
            **{name: value for name, value in given.items() if value},
            **self.extra,
        }

    def start(self, text: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Begin ``text`` as ``train.py``."""
        (self.code / "train.py").write_text(text)
        return subprocess.Popen(
            [sys.executable, *(arguments or ("train.py",))],
            cwd=self.code,
            env={**self.environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, text: str, *arguments: str, **variables: str) -> Ran:
        """Run ``text`` as ``train.py`` to its end; ``arguments`` replace ``train.py``."""
        process = self.start(text, *arguments, **variables)
        out, err = process.communicate(timeout=60)
        return Ran(
            process.returncode, out.decode("utf-8", "replace"), err.decode(), self.spool(), out
        )

    def spool(self) -> Path | None:
        """The newest spool of runs started by hand here."""
        folder = self.home / "spools"
        found = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime) if folder.is_dir() else []
        return found[-1] if found else None

    def run_under_agent(self, text: str, *arguments: str, **members: Any) -> Ran:
        """Run ``text`` as an agent does, for a task with ``members``."""
        spool = agent_spool(self.root / f"spool{len(list(self.root.iterdir()))}", **members)
        ran = self.run(text, "train.py", *arguments, DRAY_TASK_ID=TASK_ID, DRAY_SPOOL=str(spool))
        ran.spool = spool
        return ran


def final(ran: Ran) -> dict[str, Any]:
    """Members of the one record that states the end."""
    (record,) = ran.records("final")
    return {name: value for name, value in record.items() if name not in ("k", "t")}


def task_of(ran: Ran) -> str:
    """Id of the task a run started by hand belongs to."""
    assert ran.spool is not None, ran.err
    return json.loads((ran.spool / "attempt.json").read_text())["task_id"]


def ended(live: Live, task_id: str) -> Any:
    """The task once the shipper has told its end."""
    return live.client.wait(task_id, timeout=30)
