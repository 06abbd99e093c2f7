"""What a backup file looks like, and reading one without trusting it.

A tar file of regular files only: a greeting, both databases, console streams, blobs, and last a
manifest with the size and sha256 of each. A file that was cut off has no manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from dray.runtime.errors import InsufficientStorage, InvalidInput, StoreUnusable
from dray.runtime.store.ballast import is_full
from dray.runtime.store.migrate import migrations

#: Version of the format. An older program refuses a newer one.
FORMAT = 1
GREETING = "dray-backup"
MANIFEST = "manifest.json"
DATABASES = ("store/state.db", "store/results.db")

_NAME = re.compile(
    r"store/(state|results)\.db"
    r"|console/[0-9a-f]{2}/[0-9a-f]{32}/[0-9]{1,10}\.(stdout|stderr|prepare)"
    r"|blobs/[0-9a-f]{2}/[0-9a-f]{64}"
)
_BLOCK_BYTES = 1 << 20
_AGAIN = "make or copy it again"


@dataclass(frozen=True)
class Member:
    """One file of a backup."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        made_at: wall time of the moment it shows.
        dray: version of the program that made it.
        schemas: database → version of its schema.
        members: name → file, all but the greeting and the manifest itself.
    """

    made_at: float
    dray: str
    schemas: dict[str, int]
    members: dict[str, Member]

    def encode(self) -> bytes:
        """As it is written."""
        members = {name: [m.n_bytes, m.sha256] for name, m in self.members.items()}
        document = {
            "format": FORMAT,
            "made_at": self.made_at,
            "dray": self.dray,
            "schemas": self.schemas,
            "members": members,
        }
        return json.dumps(document, indent=0).encode()

    @classmethod
    def decode(cls, data: bytes, source: Path) -> Manifest:
        """As it was written.

        Raises:
            InvalidInput: no manifest.
            StoreUnusable: of a newer Dray.
        """
        try:
            document = cast("dict[str, Any]", json.loads(data))
            if int(document["format"]) > FORMAT:
                raise StoreUnusable(
                    f"{source} was made by a newer Dray (format {document['format']}, this one "
                    f"knows {FORMAT}); update Dray",
                    path=str(source),
                )
            members = {
                str(name): Member(int(n_bytes), str(sha256))
                for name, (n_bytes, sha256) in document["members"].items()
            }
            schemas = {str(k): int(v) for k, v in document["schemas"].items()}
            return cls(float(document["made_at"]), str(document["dray"]), schemas, members)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise InvalidInput(
                f"{source}: its manifest cannot be read ({exc}); {_AGAIN}", field="file"
            ) from exc


def console_name(task_id: str, epoch: int, stream: str) -> str:
    """The member that holds one stream of one attempt."""
    return f"console/{task_id[:2]}/{task_id}/{epoch}.{stream}"


def unpack(source: Path, folder: Path) -> Manifest:
    """Write the files of a backup into ``folder``, which must be empty; blocks.

    Raises:
        InvalidInput: no whole backup of ours: cut off, changed, or with anything in it that is
            no regular file under one of the known names. What was written is of no use then.
        StoreUnusable: made by a newer Dray.
        InsufficientStorage: no room in ``folder``.
    """
    found: dict[str, Member] = {}
    try:
        with source.open("rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for info, content in _entries(archive, source):
                if info.name == GREETING:
                    continue
                if info.name == MANIFEST:
                    return _checked(Manifest.decode(content.read(), source), found, source)
                if info.name in found:
                    raise _refusal(source, f"holds {info.name!r} twice")
                found[info.name] = _write(folder / info.name, content)
    except (tarfile.TarError, EOFError) as exc:
        raise _refusal(source, f"is no whole backup: {exc}") from exc
    except FileNotFoundError as exc:
        raise InvalidInput(f"there is no backup {source}", field="file") from exc
    except OSError as exc:
        if is_full(exc):
            raise InsufficientStorage(
                f"there is no room for {source} in {folder.parent}: {exc.strerror}"
            ) from exc
        raise InvalidInput(f"{source} cannot be unpacked: {exc}", field="file") from exc
    raise _refusal(source, "is cut off: its manifest, which comes last, is missing")


def _entries(archive: tarfile.TarFile, source: Path) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Every entry, each found to be a regular file under a name of ours."""
    is_first = True
    for info in archive:
        if is_first and info.name != GREETING:
            raise _refusal(source, "is no backup of Dray")
        is_first = False
        known = info.name in (GREETING, MANIFEST) or _NAME.fullmatch(info.name)
        content = archive.extractfile(info) if info.type == tarfile.REGTYPE else None
        if content is None or info.issparse() or not known:
            raise _refusal(source, f"holds {info.name!r}, which no backup has")
        yield info, cast("BinaryIO", content)


def _write(path: Path, content: BinaryIO) -> Member:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, n_bytes = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
            n_bytes += len(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return Member(n_bytes, digest.hexdigest())


def _checked(manifest: Manifest, found: dict[str, Member], source: Path) -> Manifest:
    for schema, version in manifest.schemas.items():
        newest = migrations(schema)[-1].version
        if version > newest:
            raise StoreUnusable(
                f"{source} was made by a newer Dray, {manifest.dray}: its {schema} has schema "
                f"{version}, this one knows {newest}; update Dray",
                path=str(source),
            )
    for name in DATABASES:
        if name not in found:
            raise _refusal(source, f"has no {name}")
    if manifest.members.keys() != found.keys():
        (odd, *_) = sorted(manifest.members.keys() ^ found.keys())
        raise _refusal(source, f"is damaged: {odd!r} is either missing or one too many")
    for name, member in found.items():
        if manifest.members[name] != member:
            raise _refusal(source, f"is damaged: {name!r} is not what was backed up")
    return manifest


def _refusal(source: Path, what: str) -> InvalidInput:
    return InvalidInput(f"{source} {what}; {_AGAIN}", field="file", value=str(source))
