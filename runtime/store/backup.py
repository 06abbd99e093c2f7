"""Make a backup of a store, served or not: one file that shows one moment of it.

Both databases are seen at one moment: read transactions on both are opened while the writer of the
state stands still, which takes a millisecond. What the state of that moment refers to was durable
before it, and nothing of it is deleted until the backup is written.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dray import __version__
from dray.runtime.errors import InsufficientStorage, StoreUnusable
from dray.runtime.paths import HomePaths
from dray.runtime.records import CONSOLE_STREAMS
from dray.runtime.store.backup_format import GREETING, MANIFEST, Manifest, Member, console_name
from dray.runtime.store.migrate import migrations
from dray.runtime.store.reading import open_moment
from dray.runtime.store.reserve import free_bytes, in_mib

#: Folders of this name in the store's are of a backup that was broken off.
ASIDE = "backup-"
_BLOCK_BYTES = 1 << 20
_STREAMS = """
SELECT task_id, epoch, stream, n_bytes - n_missing AS n_bytes FROM offsets
WHERE n_bytes > n_missing ORDER BY task_id, epoch, stream
"""


class Moment:
    """Both databases as they were when it was opened, whatever is committed since."""

    def __init__(self, state: sqlite3.Connection, results: sqlite3.Connection) -> None:
        self._state = state
        self._results = results

    @classmethod
    def open(cls, home: HomePaths) -> Moment:
        """See the databases of ``home`` as they are now.

        Nothing must be committed to the state meanwhile: whoever serves the store calls this
        from its writer.

        Raises:
            NotFound: there is no store.
            StoreUnusable: a file cannot be read, or is of another schema.
        """
        state = open_moment(home.state_db, "state")
        try:
            return cls(state, open_moment(home.results_db, "results"))
        except BaseException:
            state.close()
            raise

    def copy_to(self, folder: Path) -> None:
        """Write both into files of their own; blocks."""
        for name, source in (("state", self._state), ("results", self._results)):
            with closing(sqlite3.connect(folder / f"{name}.db")) as target:
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside

    def close(self) -> None:
        """Let the databases recycle their logs."""
        self._state.close()
        self._results.close()


class Backup:
    """A backup that is ready to be written: both databases copied, every file found.

    Nothing of the store may be deleted until it is closed.
    """

    def __init__(self, aside: Path, files: list[_File], made_at: float) -> None:
        self._aside = aside
        self._files = files
        self._made_at = made_at

    @classmethod
    def prepare(cls, home: HomePaths, moment: Moment, made_at: float) -> Backup:
        """Copy the databases of ``moment``, which is closed, and look at every file; blocks.

        Raises:
            InsufficientStorage: no room for the copies of the databases.
            StoreUnusable: a file has less than the databases say.
        """
        _require_room(home)
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=home.state_db.parent))
        try:
            moment.copy_to(aside)
            moment.close()
            files = [
                _File(f"store/{name}", aside / name, (aside / name).stat().st_size)
                for name in ("state.db", "results.db")
            ]
            files += _streams(home, aside / "results.db")
            files += _blobs(home)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return cls(aside, files, made_at)

    def blocks(self) -> Generator[bytes, None, None]:
        """The bytes of the one file; blocks, in whatever thread asks for the next.

        Raises:
            StoreUnusable: a file has become shorter.
        """
        members: dict[str, Member] = {}
        yield from self._data(GREETING, b"A backup of a Dray store: dray backup restore FILE\n")
        for file in self._files:
            members[file.name] = yield from self._content(file)
        schemas = {name: migrations(name)[-1].version for name in ("state", "results")}
        manifest = Manifest(self._made_at, __version__, schemas, members)
        yield from self._data(MANIFEST, manifest.encode())
        yield bytes(2 * tarfile.BLOCKSIZE)

    def close(self) -> None:
        """Delete the copies."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def _data(self, name: str, data: bytes) -> Iterator[bytes]:
        yield self._header(name, len(data)) + data + _padding(len(data))

    def _content(self, file: _File) -> Generator[bytes, None, Member]:
        digest, n_left = hashlib.sha256(), file.n_bytes
        yield self._header(file.name, file.n_bytes)
        with file.path.open("rb") as source:
            while n_left:
                block = source.read(min(n_left, _BLOCK_BYTES))
                if not block:
                    raise _too_short(file, file.n_bytes - n_left)
                digest.update(block)
                n_left -= len(block)
                yield block
        yield _padding(file.n_bytes)
        return Member(file.n_bytes, digest.hexdigest())

    def _header(self, name: str, n_bytes: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = n_bytes, int(self._made_at), 0o600
        return info.tobuf(tarfile.PAX_FORMAT)


@dataclass(frozen=True)
class _File:
    """What goes into a member: the first bytes of a file."""

    name: str
    path: Path
    n_bytes: int


def clear_aside(home: HomePaths) -> None:
    """Delete what a backup that was broken off left; blocks. Only for whoever holds the store."""
    for folder in home.state_db.parent.glob(f"{ASIDE}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _require_room(home: HomePaths) -> None:
    needed = sum(path.stat().st_size for path in (home.state_db, home.results_db))
    free = free_bytes(home.state_db.parent)
    if free < 2 * needed:
        raise InsufficientStorage(
            f"{home.state_db.parent} has {in_mib(free)} free; a backup copies the databases there "
            f"first, {in_mib(needed)}, and leaves as much free; make room",
            free_bytes=free,
        )


def _streams(home: HomePaths, results: Path) -> Iterator[_File]:
    with closing(sqlite3.connect(results)) as connection:
        for task_id, epoch, stream, n_bytes in connection.execute(_STREAMS):
            if stream not in CONSOLE_STREAMS:
                continue
            path = home.console_stream(task_id, epoch, stream)
            file = _File(console_name(task_id, epoch, stream), path, n_bytes)
            size = path.stat().st_size if path.is_file() else 0
            if size < n_bytes:
                raise _too_short(file, size)
            yield file


def _blobs(home: HomePaths) -> Iterator[_File]:
    for folder in sorted(home.blobs.glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            yield _File(f"blobs/{folder.name}/{path.name}", path, path.stat().st_size)


def _too_short(file: _File, n_bytes: int) -> StoreUnusable:
    return StoreUnusable(
        f"{file.path} has {n_bytes} bytes, {file.n_bytes} were acknowledged; "
        "`dray doctor --store` says what else is missing",
        path=str(file.path),
    )


def _padding(n_bytes: int) -> bytes:
    return bytes(-n_bytes % tarfile.BLOCKSIZE)
