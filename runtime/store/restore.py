"""Make a backup of a folder that nobody serves, try one, or put one in place of a data folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dray.runtime.answers import BackupReport, RestoreReport
from dray.runtime.clock import SystemClock
from dray.runtime.errors import Conflict, NotFound, StoreUnusable
from dray.runtime.folders import sync_folder, sync_tree
from dray.runtime.ids import new_id
from dray.runtime.machine import ProveDead
from dray.runtime.paths import HomePaths
from dray.runtime.store.backup import Backup, Moment
from dray.runtime.store.backup_format import Manifest, unpack
from dray.runtime.store.contract import By
from dray.runtime.store.holding import Holding
from dray.runtime.store.integrity import check_store
from dray.runtime.store.migrate import migrate, migrations
from dray.runtime.store.store import Store

#: What a backup holds, and so what a restore replaces. The token goes too: see ``restore``.
_REPLACED = ("store", "blobs", "console", "token")
_BY = By("dray backup restore")


def create(home: HomePaths, target: Path) -> None:
    """Write a backup of a store that nobody serves; blocks.

    Raises:
        NotFound: there is no store.
        StoreUnusable: a server holds it, or a file has less than the databases say.
        InsufficientStorage: no room for the copies of the databases.
    """
    if not home.state_db.is_file():
        raise NotFound(f"there is no store in {home.root}", path=str(home.root))
    holding = Holding.take(home.state_db.parent)
    try:
        moment = Moment.open(home)
        try:
            backup = Backup.prepare(home, moment, time.time())
        finally:
            moment.close()
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for block in backup.blocks():
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        finally:
            backup.close()
    finally:
        holding.release()


def verify(source: Path) -> BackupReport:
    """Restore a backup into a temporary folder and check every invariant on it; blocks.

    Raises:
        InvalidInput: no whole backup.
        StoreUnusable: made by a newer Dray.
        InsufficientStorage: no room in the temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="dray-verify-") as folder:
        home = HomePaths(Path(folder))
        manifest = unpack(source, home.root)
        _bring_up(home)
        return _report(source, manifest, home)


def restore(source: Path, home: HomePaths, *, force: bool = False) -> RestoreReport:
    """Make ``home`` what a backup holds; blocks.

    Nothing of the old is lost: it is moved into a dated folder of ``home``. No agent attempt of
    the backup is believed to run: each is closed as a lost worker, to be requeued or failed by
    its policy. The token is a new one, made at the next start, so that whatever was begun with
    the old store, before or after the backup, is refused when it writes.

    Raises:
        InvalidInput: no whole backup.
        Conflict: ``home`` holds a store and ``force`` is not given.
        StoreUnusable: a server holds ``home``, or the backup is of a newer Dray.
        InsufficientStorage: no room in ``home``.
    """
    with _held(home, force=force):
        aside = home.root / f"unpacking-{new_id()}"
        try:
            aside.mkdir(mode=0o700)
            new = HomePaths(aside)
            manifest = unpack(source, aside)
            _bring_up(new)
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.made_at))
            n_closed = asyncio.run(_close_attempts(new, f"restored from a backup of {when}"))
            report = _report(source, manifest, new)
            sync_tree(aside)
            kept = _exchange(home, aside)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return RestoreReport(str(home.root), report, n_closed, str(kept) if kept else "")


@contextmanager
def _held(home: HomePaths, *, force: bool) -> Generator[None, None, None]:
    """Hold a folder that may be restored into."""
    has_files = any(d.is_dir() and any(d.iterdir()) for d in (home.blobs, home.console))
    has_store = home.state_db.exists() or home.results_db.exists() or has_files
    holding = Holding.take(home.state_db.parent)
    try:
        if has_store and not force:
            raise Conflict(
                f"{home.root} holds a store already; choose another folder with --home, or move "
                "that one aside with --force (it is kept)",
                path=str(home.root),
            )
        yield
    finally:
        holding.release()


def _bring_up(home: HomePaths) -> None:
    """The newest schema, and the folders that a backup of an empty store lacks."""
    for schema, path in (("state", home.state_db), ("results", home.results_db)):
        migrate(path, migrations(schema), home.snapshots)
    for folder in (home.blobs, home.console):
        folder.mkdir(exist_ok=True, mode=0o700)


async def _close_attempts(home: HomePaths, evidence: str) -> int:
    """Close what agents were running; runs started by hand can still be brought by `dray sync`."""
    n_closed = 0
    async with await Store.open(home, SystemClock()) as store:
        for attempt in await store.attempts.open():
            if attempt.kind != "local":
                await store.tasks.apply(attempt.task_id, ProveDead(attempt.epoch, evidence), _BY)
                n_closed += 1
        for agent in await store.agents.list():
            await store.agents.remove(agent.name)
    return n_closed


def _report(source: Path, manifest: Manifest, home: HomePaths) -> BackupReport:
    integrity = check_store(home, deep=True)
    names = list(manifest.members)
    return BackupReport(
        file=str(source),
        made_at=manifest.made_at,
        dray=manifest.dray,
        n_bytes=source.stat().st_size,
        n_blobs=sum(name.startswith("blobs/") for name in names),
        n_streams=sum(name.startswith("console/") for name in names),
        integrity=integrity,
    )


def _exchange(home: HomePaths, new: Path) -> Path | None:
    """Put the new files in the place of the old, which are kept; where they are, if any were.

    While it lasts there is a folder whose name makes a server refuse to start: nobody shall
    begin an empty store in between.
    """
    marker = home.restoring
    if marker.exists():  # of an exchange that was broken off; what it had was unpacked anew
        marker.rename(marker.with_name(f"{marker.name}-broken-off-{new_id()}"))
    new.rename(marker)
    kept = home.root / time.strftime("before-restore-%Y%m%dT%H%M%SZ", time.gmtime())
    if kept.exists():
        kept = kept.with_name(f"{kept.name}-{new_id()[:8]}")
    kept.mkdir(mode=0o700)
    try:
        for name in _REPLACED:
            if (home.root / name).exists():
                (home.root / name).rename(kept / name)
        sync_folder(kept)
        for name in reversed(_REPLACED):  # the databases last
            if (marker / name).exists():
                (marker / name).rename(home.root / name)
        sync_folder(home.root)
        shutil.rmtree(marker)
    except OSError as exc:
        raise StoreUnusable(
            f"{home.root} could not be exchanged ({exc}); the old is in {kept}, the new in "
            f"{marker}; run the same command again with --force",
            path=str(home.root),
        ) from exc
    if {path.name for path in kept.iterdir()} == {"store"} and _is_bare(kept / "store"):
        shutil.rmtree(kept)
        return None
    return kept


def _is_bare(store: Path) -> bool:
    """Whether there was no store, but for the lock that this very restore made."""
    return {path.name for path in store.iterdir()} <= {"lock"}
