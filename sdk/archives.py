"""Folders as zip files: equal trees give equal bytes, and unpacking never leaves its folder."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from dray.runtime.errors import InvalidInput

#: Times and owners are left out, so that packing a tree twice gives one blob.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, to: Path) -> list[tuple[str, int]]:
    """Pack all files below ``folder``; returns their names and sizes.

    A link to a file is packed as the file it leads to; links to folders are not followed.
    """
    packed: list[tuple[str, int]] = []
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for at, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(at, name)
                if not path.is_file():
                    continue  # a broken link, a socket
                inner = path.relative_to(folder).as_posix()
                info = zipfile.ZipInfo(inner, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = stat.S_IMODE(path.stat().st_mode) << 16
                with path.open("rb") as source, archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target)
                packed.append((inner, path.stat().st_size))
    return packed


def unpack(archive: Path, to: Path) -> Path:
    """Unpack into the folder ``to``, which must not be there and appears only whole.

    Raises:
        InvalidInput: not a zip file, a link, or a name that leads out of the folder; nothing
            is left behind then.
    """
    aside = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [(info, _checked(info)) for info in opened.infolist()]
            aside.mkdir(parents=True)
            for info, inner in entries:
                _unpack_one(opened, info, aside / inner)
        aside.replace(to)
    except zipfile.BadZipFile as exc:
        raise InvalidInput(f"{archive} is not a zip file: {exc}", field="archive") from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return to


def _checked(info: zipfile.ZipInfo) -> PurePosixPath:
    inner = PurePosixPath(info.filename)
    mode = info.external_attr >> 16
    leaves = inner.is_absolute() or ".." in inner.parts or "\\" in info.filename
    if not inner.parts or leaves or ":" in inner.parts[0]:
        raise InvalidInput(
            f"archive entry {info.filename!r} leads out of its folder", field="archive"
        )
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InvalidInput(
            f"archive entry {info.filename!r} is neither a file nor a folder", field="archive"
        )
    return inner


def _unpack_one(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    if info.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # ``x``: two entries of one name are not a tree that was packed here.
    with archive.open(info) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target)
    path.chmod(0o600 | ((info.external_attr >> 16) & 0o111))
