"""How the bytes of an artifact become the object again, in the process of whoever asks."""

from __future__ import annotations

import importlib
import json
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.sdk.artifacts import archives

#: What the name of a CSV file says of the levels of its index and of its header.
_LEVELS = re.compile(r"\.index(\d+)x(\d+)\.csv\.gz$")


def is_pickle(kind: str, filename: str) -> bool:
    """Whether reading such an artifact runs code of whoever made it."""
    return kind == "pickle" or (kind == "pandas" and filename.endswith(".pickle"))


def decode(kind: str, path: Path) -> Any:
    """The object that the file ``path`` of an artifact of type ``kind`` holds.

    A file is given back as its path, an archive as the path of the unpacked folder. Any: what
    it is depends on what was uploaded.
    """
    reader = _READERS.get(kind)
    return path if reader is None else reader(path)


def unpacked(path: Path) -> Path:
    """The folder with what is in an archive; unpacked once."""
    folder = path.with_name(f"{path.name}.unpacked")
    return folder if folder.is_dir() else archives.unpack(path, folder)


def _read_json(path: Path) -> Any:
    if path.suffix == ".yaml":
        return _library("yaml", "pyyaml").safe_load(path.read_text("utf-8"))
    return json.loads(path.read_bytes())


def _read_numpy(path: Path) -> Any:
    numpy = _library("numpy")
    if path.name.endswith(".csv.gz"):
        return numpy.genfromtxt(path, delimiter=",")
    with numpy.load(path, allow_pickle=False) as stored:
        return stored[stored.files[0]]


def _read_pandas(path: Path) -> Any:
    pandas = _library("pandas")
    if path.suffix in (".parquet", ".feather", ".pickle"):
        return getattr(pandas, f"read_{path.suffix[1:]}")(path)
    levels = _LEVELS.search(path.name)
    if levels is None:
        return pandas.read_csv(path, index_col=[0])
    n_index, n_header = int(levels[1]), int(levels[2])
    header = list(range(n_header)) if n_header > 1 else 0
    return pandas.read_csv(path, index_col=list(range(n_index)), header=header)


def _read_table(path: Path) -> Any:
    return _library("pandas").read_csv(path)


def _read_image(path: Path) -> Any:
    image = _library("PIL.Image", "pillow").open(path)
    image.load()  # and the file of an image with one frame is closed
    return image


def _read_pickle(path: Path) -> Any:
    # Only ever in the process of whoever asked for it, never in a part of Dray that serves others.
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301


def _library(module: str, package: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        name = package or module
        raise InvalidInput(
            f"reading this artifact needs the package {name}: pip install {name}, or take the file "
            "with get_local_copy()",
            field="artifact",
        ) from exc


_READERS: Mapping[str, Callable[[Path], Any]] = {
    "JSON": _read_json,
    "dict": _read_json,
    "string": lambda path: path.read_text("utf-8"),
    "numpy": _read_numpy,
    "pandas": _read_pandas,
    "data-audit-table": _read_table,
    "image": _read_image,
    "pickle": _read_pickle,
    "archive": unpacked,
    "json": _read_json,  # as Dray called it once
    "text": lambda path: path.read_text("utf-8"),
}
