"""Runs a life of a store again and again, killed after the n-th commit, fsync or rename.

``python -m tests.stateful.crashing FOLDER CUT_EVERY`` prints one JSON object per kill. The points
are patched in here; the store knows nothing of them. Each run is a fork of this process, which
has no threads, so that hundreds cost little. A kill comes in two kinds: of the process, and of
the machine, after which files and folders have only what was synced (SQLite's own are left to it).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dray.runtime import causes, codec
from dray.runtime.errors import Conflict, DrayError, IllegalTransition, NotFound, StaleEpoch
from dray.runtime.machine import Enqueue, Finish, LoseContact, ProveDead, Reset
from dray.runtime.models import AgentRecord, Parameter, Policy, Task
from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk, Frame, encode_record
from dray.runtime.resources import Resources
from dray.runtime.store import By, ClaimRequest, Store, database
from dray.runtime.store.contract import CloneRequest, StoredReply, TaskEdit

BY = By("user", "request")
A, B, C = "a" * 32, "b" * 32, "c" * 32
MODEL = b"weights" * 1000
SHA256 = hashlib.sha256(MODEL).hexdigest()
TTL_S = 30.0
KILLED = 42


class StepClock:
    """The time is the number of the step, so that a repeated step has the time of its first."""

    def __init__(self) -> None:
        self.step = 0

    def now(self) -> float:
        return 1_000_000.0 + 100 * self.step

    def monotonic(self) -> float:
        return self.now()


# The life: each step may be repeated; the errors beside it say that it was done before.


def _claim(id: str, claim_id: str) -> Callable[[Store], Awaitable[Any]]:
    async def claim(store: Store) -> None:
        request = ClaimRequest(id, f"agent-{claim_id}", "node", claim_id, TTL_S)
        assert await store.attempts.claim([request], BY) != [None]

    return claim


def _frame(id: str, epoch: int, *chunks: Chunk, **more: Any) -> Callable[[Store], Awaitable[Any]]:
    return lambda store: store.ingest.accept(id, epoch, Frame(list(chunks), **more), BY)


def _finish(cause: causes.Cause, **streams: bytes) -> dict[str, Any]:
    receipt = {
        name: {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in streams.items()
    }
    return {"cause": codec.to_json(cause), "receipt": receipt}


SCALAR = encode_record("scalar", 1.0, title="loss", series="train", i=1, v=0.5)
ARTIFACT = encode_record("artifact", 1.0, name="model", type="file", sha256=SHA256, n_bytes=7000)
TASK = Task(A, "train", "demo", policy=Policy(retries=1, max_requeues=1))

STEPS: list[tuple[Callable[[Store], Awaitable[Any]], type[DrayError] | None]] = [
    (lambda s: s.tasks.create(TASK, BY), Conflict),
    (lambda s: s.blobs.put(MODEL), None),
    (lambda s: s.tasks.edit(A, TaskEdit(parameters={"Args/lr": Parameter("1")}), BY), None),
    (lambda s: s.queues.ensure("gpu"), None),
    (lambda s: s.tasks.apply(A, Enqueue("gpu"), BY, priority=3), None),
    (_claim(A, "c1"), None),
    (
        _frame(A, 1, Chunk("stdout", 0, b"hello\n"), Chunk("records", 0, SCALAR), executing=True),
        None,
    ),
    (_frame(A, 1, Chunk("stdout", 6, b"world\n"), Chunk("records", len(SCALAR), ARTIFACT)), None),
    (_frame(A, 1, finish=_finish(causes.exited(1), stdout=b"hello\nworld\n")), None),
    (_claim(A, "c2"), None),
    (_frame(A, 2, Chunk("stdout", 0, b"again\n"), Chunk("stderr", 0, b"oh\n")), None),
    (lambda s: s.tasks.apply(A, LoseContact(2), BY), None),
    (lambda s: s.tasks.apply(A, ProveDead(2, "gone", agent_died=True), BY), StaleEpoch),
    (_claim(A, "c3"), None),
    (_frame(A, 3, Chunk("stdout", 0, b"third\n")), None),
    (lambda s: s.tasks.create(Task(B, "step", "demo/sub", parent_id=A), BY), Conflict),
    (lambda s: s.tasks.apply(B, Enqueue("gpu"), BY), None),
    (lambda s: s.tasks.stop(A, causes.aborted("user"), BY), None),
    (_frame(A, 3, finish=_finish(causes.killed(15), stdout=b"third\n")), None),
    (lambda s: s.tasks.clone(A, CloneRequest(id=C, parent_id=""), BY), Conflict),
    (lambda s: s.attempts.start_local(C, "local:x", "x", "l1", TTL_S, BY), None),
    (_frame(C, 1, Chunk("stdout", 0, b"local\n")), None),
    (lambda s: s.attempts.hand_over(C, 1, "gpu", BY), None),
    (_claim(C, "c4"), None),
    (lambda s: s.tasks.apply(C, Finish(2, causes.exited(0)), BY), None),
    (lambda s: s.tasks.apply(A, Reset(), BY), IllegalTransition),
    (lambda s: s.tasks.delete(B, BY), NotFound),
    (lambda s: s.queues.delete("gpu", BY, force=True), NotFound),
    (lambda s: s.agents.put(AgentRecord("agent-1", "static", Resources())), None),
    (lambda s: s.idempotency.put("key", StoredReply("f", 201, "{}")), None),
]
#: Steps that take something away: what was there before them may be gone in their middle.
REMOVING = range(25, 28)


async def seen(store: Store) -> dict[str, Any]:
    """Everything a user can see of the store, but for ids that are made at random."""
    known = await store.tasks.heads([A, B, C])
    story: dict[str, Any] = {
        "queues": [queue.name for queue in await store.queues.list()],
        "agents": [agent.name for agent in await store.agents.list()],
        "blob": await store.blobs.read(SHA256) == MODEL if await store.blobs.has(SHA256) else None,
        "reply": bool(await store.idempotency.get("key")),
        "waiting": [entry.task_id for entry in await store.queues.pending("gpu", 100)],
    }
    for id in (A, B, C):
        audit = (await store.audit.list(id, limit=500)).items
        story[f"audit {id[0]}"] = [
            [e.event, e.from_state, e.to_state, e.epoch, e.at, codec.to_json(e.details)]
            for e in audit
        ]
        if id in known:
            task = codec.to_json(await store.tasks.get(id))
            story[f"task {id[0]}"] = {k: v for k, v in task.items() if k != "project_id"}
            story[f"attempts {id[0]}"] = codec.to_json(await store.attempts.list(id))
            story[f"scalars {id[0]}"] = codec.to_json(await store.results.scalars(id))
        for epoch in range(1, 4):
            for stream in ("stdout", "stderr"):
                name = f"console {id[0]}{epoch} {stream}"
                story[name] = await _console(store, id, epoch, stream)
    return json.loads(json.dumps(story))


async def _console(store: Store, id: str, epoch: int, stream: str) -> str:
    try:
        raw = await store.console.raw(id, epoch, stream)
    except NotFound:
        return ""
    return _head(Path(raw.path), raw.n_bytes)


def _head(path: Path, n_bytes: int) -> str:
    return path.read_bytes()[:n_bytes].decode() if n_bytes else ""


def n_bytes(path: Path) -> int:
    """How many there are in a file, which need not be there."""
    return path.stat().st_size if path.exists() else 0


def lacks(now: dict[str, Any], accepted: dict[str, Any]) -> list[str]:
    """What was accepted and is no longer there: audit rows, console bytes, blobs."""
    gone = [
        name
        for name, value in accepted.items()
        if name.startswith(("audit", "console")) and now[name][: len(value)] != value
    ]
    return gone + [name for name in ("blob", "reply") if accepted[name] and not now[name]]


async def live(home: Path, acked: Path, kept: Path | None) -> dict[str, Any]:
    """Take every step that was not acknowledged; what is seen after each goes to ``kept``."""
    clock = StepClock()
    first = clock.step = n_bytes(acked)
    told = os.open(acked, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with await Store.open(HomePaths(home), clock) as store:
        begun = await seen(store) if first or kept else {}
        for number in range(first, len(STEPS)):
            clock.step = number
            step, done_before = STEPS[number]
            try:
                await step(store)
            except DrayError as exc:
                if number != first or done_before is None or not isinstance(exc, done_before):
                    raise
            os.write(told, b".")
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps(await seen(store)) + "\n")
        return {"begun": begun, "ended": await seen(store)}


# Kills.


class Points:
    """Counts what makes things durable, and kills at the n-th."""

    def __init__(self, home: Path, kill_at: int, *, power_cut: bool) -> None:
        self._home = home
        self._kill_at = kill_at
        self._power_cut = power_cut
        self.n = 0
        #: {inode: bytes that are on the disk}, {inode: names that are on the disk}
        self._sizes: dict[int, int] = {}
        self._names: dict[int, set[str]] = {}
        for folder in self._folders():
            self._note(folder)

    def passed(self) -> None:
        self.n += 1
        if self.n == self._kill_at:
            if self._power_cut:
                self._forget_unsynced()
            os._exit(KILLED)

    def synced(self, descriptor: int) -> None:
        self._note(Path(os.readlink(f"/proc/self/fd/{descriptor}")), deep=False)
        self.passed()

    def patch(self) -> None:
        run_group, fsync, fdatasync = database._run_group, os.fsync, os.fdatasync

        def committed(*args: Any) -> Any:
            outcomes = run_group(*args)
            self.passed()
            return outcomes

        database._run_group = committed
        for name, real in (("fsync", fsync), ("fdatasync", fdatasync)):
            setattr(os, name, lambda fd, real=real: (real(fd), self.synced(fd))[0])
        for name in ("replace", "rename", "link"):
            real = getattr(os, name)
            setattr(os, name, lambda *a, real=real, **k: (real(*a, **k), self.passed())[0])

    def _folders(self) -> list[Path]:
        return [self._home / "console", self._home / "blobs"]

    def _note(self, path: Path, *, deep: bool = True) -> None:
        if not path.exists():
            return
        inode = path.stat().st_ino
        if path.is_dir():
            self._names[inode] = set(os.listdir(path))
            for name in self._names[inode] if deep else ():
                self._note(path / name)
        else:
            self._sizes[inode] = path.stat().st_size

    def _forget_unsynced(self) -> None:
        for folder in self._folders():
            if folder.exists():
                self._forget(folder)

    def _forget(self, path: Path) -> None:
        inode = path.stat().st_ino
        if not path.is_dir():
            os.truncate(path, min(path.stat().st_size, self._sizes.get(inode, 0)))
            return
        for name in os.listdir(path):
            below = path / name
            if name in self._names.get(inode, ()):
                self._forget(below)
            elif below.is_dir():
                shutil.rmtree(below)
            else:
                below.unlink()


def run(root: Path, kill_at: int, *, power_cut: bool, kept: Path | None = None) -> int:
    """The exit status of a fork that lives on until it is killed or done."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            points = Points(root / "home", kill_at, power_cut=power_cut)
            points.patch()
            story = asyncio.run(live(root / "home", root / "acked", kept))
            (root / "story").write_text(json.dumps({**story, "n_points": points.n}))
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(root: Path, cut_every: int) -> None:
    """A kill at each point, until a run comes to its end, and a power cut at every so many-th."""
    calm = _fresh(root / "calm")
    assert run(calm, 0, power_cut=False, kept=calm / "kept") == 0
    whole = json.loads((calm / "story").read_text())
    after = [whole["begun"], *map(json.loads, (calm / "kept").read_text().splitlines())]
    for kill_at in range(1, whole["n_points"] + 2):
        for power_cut in (False, True)[: 1 + (kill_at % cut_every == 0)]:
            one = _fresh(root / "one")
            status = run(one, kill_at, power_cut=power_cut)
            n_acked = n_bytes(one / "acked")
            again = run(one, 0, power_cut=False) if status == KILLED else status
            found: dict[str, Any] = {"kill_at": kill_at, "power_cut": power_cut}
            found |= {"status": status, "again": again, "n_acked": n_acked}
            if again == 0:
                story = json.loads((one / "story").read_text())
                ended, want = story["ended"], whole["ended"]
                found["parted"] = [name for name in want if ended.get(name) != want[name]]
                begun = story["begun"] if n_acked not in REMOVING else {}
                found["lost"] = lacks(begun, after[n_acked]) if begun else []
            print(json.dumps(found), flush=True)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
