"""Every file of a data folder, of a node and of an attempt, each from one root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dray.runtime import records


@dataclass(frozen=True)
class HomePaths:
    """The data folder of a server (``DRAY_HOME``); also where a laptop keeps its spools.

    Attributes:
        root: the folder itself, mode 0700.
    """

    root: Path

    @property
    def token(self) -> Path:
        """The server's bearer token, mode 0600."""
        return self.root / "token"

    @property
    def ray_token(self) -> Path:
        """The token Ray's own processes authenticate with, mode 0600."""
        return self.root / "ray-token"

    @property
    def cluster(self) -> Path:
        """What ``dray up`` started: JSON with url, Ray address, pids."""
        return self.root / "cluster.json"

    @property
    def cluster_lock(self) -> Path:
        """Held by the one ``dray up`` or ``dray down`` that is at work."""
        return self.root / "cluster.lock"

    @property
    def state_db(self) -> Path:
        """Tasks, attempts, queues, agents, projects, audit."""
        return self.root / "store" / "state.db"

    @property
    def results_db(self) -> Path:
        """Scalars, plots, console index."""
        return self.root / "store" / "results.db"

    @property
    def snapshots(self) -> Path:
        """Copies of the databases taken before a migration."""
        return self.root / "store" / "snapshots"

    @property
    def restoring(self) -> Path:
        """There while a restored store is being put in place of the old one."""
        return self.root / "restoring"

    @property
    def ballast(self) -> Path:
        """Room that is given up for the state when the disk is full."""
        return self.root / "store" / "ballast"

    @property
    def blobs(self) -> Path:
        """Content-addressed files."""
        return self.root / "blobs"

    @property
    def hashes(self) -> Path:
        """Hashes of the code that was sent from this machine, one file per tree."""
        return self.root / "hashes"

    @property
    def console(self) -> Path:
        """Console bytes, one file per attempt and stream."""
        return self.root / "console"

    @property
    def spools(self) -> Path:
        """Spools of runs started here by hand, one folder per task and epoch."""
        return self.root / "spools"

    @property
    def logs(self) -> Path:
        """What Dray's own processes say."""
        return self.root / "logs"

    def console_stream(self, task_id: str, epoch: int, stream: str) -> Path:
        """The bytes of one stream of one attempt."""
        return self.console / task_id[:2] / task_id / f"{epoch}.{stream}"

    def spool(self, task_id: str) -> Path:
        """The spool of a run started here by hand."""
        return self.spools / task_id


@dataclass(frozen=True)
class NodePaths:
    """What all agents of a node share (``DRAY_CACHE``), and where attempts run."""

    root: Path

    @property
    def environments(self) -> Path:
        """Finished environments by key."""
        return self.root / "environments"

    @property
    def mirrors(self) -> Path:
        """Bare mirrors of git repositories by hash of their URL."""
        return self.root / "mirrors"

    @property
    def blobs(self) -> Path:
        """Blobs fetched from the gateway, content-addressed."""
        return self.root / "blobs"

    @property
    def childcode(self) -> Path:
        """The part of dray a child may import, by version and interpreter."""
        return self.root / "childcode"

    @property
    def locks(self) -> Path:
        """Lock files of whatever is built or fetched here."""
        return self.root / "locks"

    @property
    def containers(self) -> Path:
        """What running in containers needs on this node: locks, scripts, what images are like."""
        return self.root / "containers"

    @property
    def attempts(self) -> Path:
        """Folders of running attempts."""
        return self.root / "attempts"

    def attempt(self, task_id: str, epoch: int) -> AttemptPaths:
        """The folder of one attempt."""
        return AttemptPaths(self.attempts / f"{task_id}.{epoch}")


@dataclass(frozen=True)
class AttemptPaths:
    """One attempt on its node: its code and its spool."""

    root: Path

    @property
    def code(self) -> Path:
        """The checkout or the laid-out snapshot."""
        return self.root / "code"

    @property
    def spool(self) -> SpoolPaths:
        """Where the attempt's output is appended."""
        return SpoolPaths(self.root / "spool")


@dataclass(frozen=True)
class SpoolPaths:
    """The spool of one attempt (``DRAY_SPOOL``): append-only files and blobs to upload."""

    root: Path

    @property
    def task(self) -> Path:
        """The task as it was when the attempt began: JSON of ``models.Task``."""
        return self.root / "task.json"

    @property
    def attempt(self) -> Path:
        """Identity of the attempt: JSON with task_id, epoch, claim_id, url, pid."""
        return self.root / "attempt.json"

    @property
    def shipped(self) -> Path:
        """How far the server is known to have it: JSON stream -> offset, and whether closed."""
        return self.root / "shipped.json"

    @property
    def blobs(self) -> Path:
        """Bytes of artifacts, by sha256."""
        return self.root / "blobs"

    @property
    def exit_status(self) -> Path:
        """The exit status of a run started by hand, one byte for each process that told it."""
        return self.root / "exit-status"

    def gaps(self, name: str) -> Path:
        """What of a console stream is missing in its file: see ``runtime.spool_console``."""
        return self.root / f"{name}.gaps"

    def stream(self, name: str) -> Path:
        """The file of one stream, such as ``records.jsonl`` or ``stdout.log``."""
        return self.root / ("records.jsonl" if name == records.RECORDS else f"{name}.log")
