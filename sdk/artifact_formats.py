"""How an object becomes the bytes of an artifact, and how those become the object again.

NumPy, pandas and Pillow are used where the user's object shows that they are loaded; nothing
is imported to find out.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dray.runtime.errors import InvalidInput
from dray.sdk import archives

#: Longest preview, in bytes; ``models.Artifact`` states it.
PREVIEW_LIMIT_BYTES = 64 << 10
#: Addresses that are registered, not uploaded.
_SCHEMES = ("http://", "https://", "s3://", "gs://", "azure://", "hdfs://", "ftp://")


@dataclass(frozen=True)
class Payload:
    """An artifact's bytes and how to read them.

    Attributes:
        type: of ``models.Artifact``.
        source: bytes, or a file.
        filename: name to save it under.
        preview: text to show without fetching it.
        is_ours: ``source`` is a temporary file that may be moved.
        uri: for an address that is only registered.
    """

    type: str
    source: bytes | Path
    filename: str
    preview: str = ""
    is_ours: bool = False
    uri: str = ""


def encode(name: str, value: Any) -> Payload:
    """``value`` as an artifact called ``name``.

    Raises:
        InvalidInput: a path that is not there, or an object that cannot be pickled.
    """
    if isinstance(value, os.PathLike) or (isinstance(value, str) and _is_path(value)):
        return _from_path(Path(cast("Any", value)), name)
    if isinstance(value, str):
        if value.startswith(_SCHEMES) and "\n" not in value:
            return Payload("uri", b"", value.rpartition("/")[2], value, uri=value)
        return Payload("text", value.encode(), f"{name}.txt", value)
    for encoder in (_numpy, _pandas, _image, _json):
        payload = encoder(name, value)
        if payload is not None:
            return payload
    return _pickle(name, value)


def decode(kind: str, path: Path) -> Any:
    """The object that the file ``path`` of an artifact of type ``kind`` holds.

    A file is given back as its path, an archive as the path of the unpacked folder. Any: what
    it is depends on what was uploaded.
    """
    reader = _READERS.get(kind)
    return path if reader is None else reader(path)


def clipped(text: str) -> str:
    """``text`` cut to what a preview may hold."""
    data = text.encode("utf-8", "replace")
    if len(data) <= PREVIEW_LIMIT_BYTES:
        return data.decode()
    return data[: PREVIEW_LIMIT_BYTES - 4].decode("utf-8", "ignore") + "…"


def _is_path(text: str) -> bool:
    return len(text) < 4096 and "\n" not in text and "\0" not in text and os.path.exists(text)


def _from_path(path: Path, name: str) -> Payload:
    if path.is_file():
        return Payload("file", path, path.name)
    if not path.is_dir():
        raise InvalidInput(
            f"artifact {name!r}: {path} is neither a file nor a folder", field="artifact_object"
        )
    handle, made = tempfile.mkstemp(prefix="dray-", suffix=".zip")
    os.close(handle)
    packed = archives.pack(path, Path(made))
    listing = "\n".join(f"{n_bytes:>12}  {inner}" for inner, n_bytes in packed)
    return Payload("archive", Path(made), f"{path.resolve().name}.zip", listing, is_ours=True)


def _loaded(module: str, name: str) -> type[Any] | tuple[()]:
    """A class of a module that is imported already; else what nothing is an instance of."""
    found = getattr(sys.modules.get(module), name, None)
    return cast("type[Any]", found) if isinstance(found, type) else ()


def _numpy(name: str, value: Any) -> Payload | None:
    if not isinstance(value, _loaded("numpy", "ndarray")) or value.dtype.hasobject:
        return None
    numpy: Any = sys.modules["numpy"]
    buffer = io.BytesIO()
    numpy.savez_compressed(buffer, value)
    preview = f"shape {value.shape}, dtype {value.dtype}\n{value}"
    return Payload("numpy", buffer.getvalue(), f"{name}.npz", preview)


def _pandas(name: str, value: Any) -> Payload | None:
    if not isinstance(value, _loaded("pandas", "DataFrame")):
        return None
    if value.index.nlevels > 1 or value.columns.nlevels > 1:
        return None  # CSV does not keep such an index; pickle does
    buffer = io.BytesIO()
    # ``mtime``: the same table gives the same bytes.
    value.to_csv(buffer, compression={"method": "gzip", "mtime": 0})
    preview = f"{len(value)} rows x {len(value.columns)} columns\n{value.head(50).to_string()}"
    return Payload("pandas", buffer.getvalue(), f"{name}.csv.gz", preview)


def _image(name: str, value: Any) -> Payload | None:
    if not isinstance(value, _loaded("PIL.Image", "Image")):
        return None
    buffer = io.BytesIO()
    value.save(buffer, format="PNG")
    return Payload("file", buffer.getvalue(), f"{name}.png", f"{value.size} {value.mode}")


def _json(name: str, value: Any) -> Payload | None:
    if not isinstance(value, (dict, list, int, float, bool, type(None))):
        return None
    plain: Any = cast("Any", value)
    try:
        text = json.dumps(plain, indent=1)
        if repr(json.loads(text)) != repr(plain):
            return None  # tuples, keys that are not text: JSON would give back something else
    except (TypeError, ValueError, RecursionError):
        return None
    return Payload("json", text.encode(), f"{name}.json", text)


def _pickle(name: str, value: object) -> Payload:
    try:
        data = cast("bytes", _pickler().dumps(value))
    except Exception as exc:  # what objects raise while they are pickled is anybody's guess
        raise InvalidInput(
            f"artifact {name!r}: a {type(value).__name__} cannot be pickled ({exc}); save it to a "
            "file and upload that",
            field="artifact_object",
        ) from exc
    return Payload("pickle", data, f"{name}.pkl", f"a {type(value).__qualname__}")


def _pickler() -> Any:
    """The better of the two; Any: one has no types."""
    try:
        import cloudpickle
    except ImportError:
        return pickle
    return cast("Any", cloudpickle)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _read_numpy(path: Path) -> Any:
    numpy: Any = importlib.import_module("numpy")
    with numpy.load(path, allow_pickle=False) as stored:
        return stored["arr_0"]


def _read_pandas(path: Path) -> Any:
    pandas: Any = importlib.import_module("pandas")
    return pandas.read_csv(path, index_col=0)


def _read_pickle(path: Path) -> Any:
    # Only ever in the process of whoever asked for it, never in a part of Dray that serves others.
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301


def _read_archive(path: Path) -> Path:
    folder = path.with_name(f"{path.name}.unpacked")
    return folder if folder.is_dir() else archives.unpack(path, folder)


_READERS: Mapping[str, Callable[[Path], Any]] = {
    "json": _read_json,
    "text": lambda path: path.read_text("utf-8"),
    "numpy": _read_numpy,
    "pandas": _read_pandas,
    "pickle": _read_pickle,
    "archive": _read_archive,
}
