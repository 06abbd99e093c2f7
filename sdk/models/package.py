"""Weights of several files as one zip, and a zip as the folder it was made of."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from dray.runtime.errors import InvalidInput

#: ``ZipInfo`` knows no time before this; the same files then make the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def files_below(folder: Path) -> list[Path]:
    """Every file below ``folder`` in a fixed order.

    Raises:
        InvalidInput: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    if not found:
        raise InvalidInput(
            f"weights_path {os.fspath(folder)!r} has no files to pack",
            field="weights_path",
            value=os.fspath(folder),
        )
    return found


def pack(files: Iterable[Path], root: Path | None = None) -> Path:
    """A zip of ``files`` in a temporary place, without compression; whoever asked deletes it.

    Args:
        files: paths of files.
        root: names in the zip are relative to it; None: to the folder all of them lie in.

    Raises:
        InvalidInput: a file that is not there.
    """
    paths = [Path(path) for path in dict.fromkeys(os.path.abspath(file) for file in files)]
    base = Path(os.path.abspath(root)) if root is not None else _common_folder(paths)
    handle, name = tempfile.mkstemp(prefix="dray-model-", suffix=".zip")
    try:
        with (
            os.fdopen(handle, "wb") as file,
            zipfile.ZipFile(file, "w", allowZip64=True) as archive,
        ):
            for path in paths:
                _add(archive, path, path.relative_to(base).as_posix())
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    try:
        with path.open("rb") as source:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as target:
                while block := source.read(1 << 20):
                    target.write(block)
    except OSError as exc:
        raise InvalidInput(
            f"weights {os.fspath(path)!r} cannot be packed: {exc}",
            field="weights_filenames",
            value=os.fspath(path),
        ) from exc


def _common_folder(paths: list[Path]) -> Path:
    folders = [str(path.parent) for path in paths]
    return Path(os.path.commonpath(folders))
