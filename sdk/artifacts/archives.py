"""Folders as zip files: equal trees give equal bytes, and unpacking never leaves its folder."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from dray.runtime.errors import InvalidInput

#: Times and owners are left out, so that packing a tree twice gives one blob.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TAR = (".tar", ".tar.gz", ".tgz")
_BLOCK = 1 << 20


def pack(folder: Path, to: Path) -> list[tuple[str, int]]:
    """Pack all files below ``folder``; returns their names and sizes.

    A link to a file is packed as the file it leads to; links to folders are not followed.
    """
    return pack_files(files_below(folder), folder, to)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below ``folder`` by name; broken links and sockets are none."""
    for at, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(at, name)).is_file())


def pack_files(files: Iterable[Path], base: Path, to: Path) -> list[tuple[str, int]]:
    """Pack ``files`` under their names below ``base``; returns those and their sizes."""
    packed: list[tuple[str, int]] = []
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            inner, found = path.relative_to(base).as_posix(), path.stat()
            info = zipfile.ZipInfo(inner, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | stat.S_IMODE(found.st_mode)) << 16
            info.file_size = found.st_size  # so that over 2 GiB is written as such
            with path.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _BLOCK)
            packed.append((inner, found.st_size))
    return packed


def is_archive(path: Path) -> bool:
    """Whether :func:`unpack` knows a file of this name."""
    return path.name.lower().endswith((".zip", *_TAR))


def unpack(archive: Path, to: Path) -> Path:
    """Unpack into the folder ``to``, which must not be there and appears only whole.

    Raises:
        InvalidInput: not such a file, a link, or a name that leads out of the folder; nothing
            is left behind then.
    """
    aside = to.with_name(f".{to.name}.{os.getpid()}.part")
    is_tar = archive.name.lower().endswith(_TAR)
    try:
        aside.mkdir(parents=True)
        _unpack_tar(archive, aside) if is_tar else _unpack_zip(archive, aside)
        aside.replace(to)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as exc:
        kind = "tar" if is_tar else "zip"
        raise InvalidInput(f"{archive} is not a {kind} file: {exc}", field="archive") from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return to


def _unpack_zip(archive: Path, to: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        entries = [(info, _checked_zip(info)) for info in opened.infolist()]
        for info, inner in entries:
            if info.is_dir():
                (to / inner).mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(info) as source:
                _write(source, to / inner, info.external_attr >> 16)


def _unpack_tar(archive: Path, to: Path) -> None:
    # Entry by entry: ``tarfile``'s own filters are not in every Python this runs on.
    with tarfile.open(archive) as opened:
        for info in opened:
            inner = _checked_name(info.name)
            if info.isdir():
                (to / inner).mkdir(parents=True, exist_ok=True)
                continue
            source = opened.extractfile(info) if info.isreg() else None
            if source is None:
                raise _neither(info.name)
            with source:
                _write(source, to / inner, info.mode)


def _checked_zip(info: zipfile.ZipInfo) -> PurePosixPath:
    inner = _checked_name(info.filename)
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _neither(info.filename)
    return inner


def _checked_name(name: str) -> PurePosixPath:
    inner = PurePosixPath(name)
    leaves = inner.is_absolute() or ".." in inner.parts or "\\" in name or "\0" in name
    if (not inner.parts and name != ".") or leaves or ":" in (inner.parts or ("",))[0]:
        raise InvalidInput(f"archive entry {name!r} leads out of its folder", field="archive")
    return inner


def _neither(name: str) -> InvalidInput:
    return InvalidInput(f"archive entry {name!r} is neither a file nor a folder", field="archive")


def _write(source: IO[bytes], path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # ``x``: two entries of one name are not a tree that was packed here.
    with path.open("xb") as target:
        shutil.copyfileobj(source, target, _BLOCK)
    path.chmod(0o600 | (mode & 0o777))
