"""How an object becomes the bytes of an artifact.

NumPy, pandas and Pillow are used where the user's object shows that they are loaded; nothing
is imported to find out.
"""

from __future__ import annotations

import glob
import gzip
import importlib
import io
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk import session
from dray.sdk.artifacts import archives
from dray.sdk.storage import places

#: Longest preview, in bytes; ``models.Artifact`` states it.
PREVIEW_LIMIT_BYTES = 64 << 10
#: Longer text is no path and no address.
_NAME_LIMIT = 4096
#: Rows of a table, and names of files, that a preview shows.
_SHOWN = 50


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


@dataclass(frozen=True)
class Wish:
    """How the user wants an object kept; the arguments of ``Task.upload_artifact``."""

    name: str
    extension_name: str | None = None
    serialization_function: Callable[[Any], bytes | bytearray] | None = None
    auto_pickle: bool = False
    sort_keys: bool = True

    @property
    def stem(self) -> str:
        """The name as that of a file."""
        return self.name.replace("/", "_").replace("\\", "_")

    def extension(self, valid: Iterable[str], otherwise: str) -> str:
        """The wanted extension; ``otherwise``, and a line, when it is none of ``valid``."""
        wanted, known = self.extension_name, list(valid)
        if not wanted or wanted in known:
            return wanted or otherwise
        shown = ", ".join(known[:_SHOWN])
        session.say(
            f"warning: artifact {self.name!r} cannot be kept as {wanted!r}, so as {otherwise}; "
            f"extension_name may be {shown}"
        )
        return otherwise


def encode(value: Any, wish: Wish) -> Payload:
    """``value`` as an artifact.

    Raises:
        InvalidInput: a path that is not there, or an object that cannot be written so.
        WrongType: an object that has no form of its own and no consent to a pickle.
    """
    if wish.serialization_function is not None:
        return _custom(value, wish, wish.serialization_function)
    if wish.extension_name == ".pkl":
        return _pickle(value, wish)
    if isinstance(value, os.PathLike):
        return _from_path(Path(cast("os.PathLike[str]", value)), wish)
    if isinstance(value, str):
        return _from_text(value, wish)
    for encoder in (_paths, _numpy, _pandas, _image, _json):
        payload = encoder(value, wish)
        if payload is not None:
            return payload
    if wish.auto_pickle:
        return _pickle(value, wish)
    raise _no_form(value, wish)


def clipped(text: str) -> str:
    """``text`` cut to what a preview may hold."""
    data = text.encode("utf-8", "replace")
    if len(data) <= PREVIEW_LIMIT_BYTES:
        return data.decode()
    return data[: PREVIEW_LIMIT_BYTES - 4].decode("utf-8", "ignore") + "…"


def csv_bytes(table: Any, **options: Any) -> bytes:
    """A DataFrame as compressed CSV; the same table gives the same bytes."""
    buffer = io.BytesIO()
    table.to_csv(buffer, compression={"method": "gzip", "mtime": 0}, **options)
    return buffer.getvalue()


def _custom(value: Any, wish: Wish, function: Callable[[Any], bytes | bytearray]) -> Payload:
    data: Any = function(value)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise WrongType(
            f"artifact {wish.name!r}: serialization_function gave a {type(data).__name__}; it must "
            "give bytes or bytearray",
            field="serialization_function",
        )
    filename = wish.stem + (wish.extension_name or "")
    return Payload("custom", bytes(cast("bytes", data)), filename, _shown(value))


def _from_text(text: str, wish: Wish) -> Payload:
    is_name = 0 < len(text) < _NAME_LIMIT and "\n" not in text and "\0" not in text
    if is_name:
        path = Path(text).expanduser()
        if path.exists() or (glob.has_magic(text) and any(_matching(path))):
            return _from_path(path, wish)
        scheme = places.scheme_of(text)
        if scheme and (scheme in places.WEB_SCHEMES or scheme in places.PACKAGES):
            return Payload("custom", b"", text.rpartition("/")[2], text, uri=text)
        if path.suffix and os.sep in text and " " not in text:
            session.say(f"warning: artifact {wish.name!r} is kept as text: there is no file {text}")
    return Payload("string", text.encode(), f"{wish.stem}.txt", text)


def _from_path(path: Path, wish: Wish) -> Payload:
    path = path.expanduser()
    if path.is_file():
        size = path.stat().st_size
        return Payload("custom", path, path.name, f"{path.name} - {_readable(size)}")
    if path.is_dir():
        folder = path.resolve()
        return _archive(archives.files_below(path), path, folder.name or wish.stem, f"{path}")
    files = list(_matching(path))
    if not files:
        raise InvalidInput(
            f"artifact {wish.name!r}: there is no file or folder {path}", field="artifact_object"
        )
    return _archive(files, path.parent, path.parent.resolve().name or wish.stem, f"{path}")


def _matching(path: Path) -> Iterable[Path]:
    """The files that a path with a wildcard in its last part names, in folders below too."""
    if not glob.has_magic(path.name) or not path.parent.is_dir():
        return []
    return sorted(found for found in path.parent.rglob(path.name) if found.is_file())


def _paths(value: Any, wish: Wish) -> Payload | None:
    """A list of paths, as an archive of the files."""
    if not isinstance(value, list | tuple) or not value:
        return None
    given = cast("list[Any]", value)
    if not all(isinstance(path, os.PathLike) for path in given):
        return None
    named = [Path(path).expanduser().absolute() for path in given]
    files: list[Path] = []
    for path in named:
        if path.is_dir():
            files += archives.files_below(path)
        elif path.is_file():
            files.append(path)
        else:
            raise InvalidInput(
                f"artifact {wish.name!r}: there is no file {path}", field="artifact_object"
            )
    base = Path(os.path.commonpath([str(path.parent) for path in named]))
    return _archive(sorted(set(files)), base, wish.stem, f"{len(files)} files")


def _archive(files: Iterable[Path], base: Path, stem: str, what: str) -> Payload:
    made = _temporary(".zip")
    try:
        packed = archives.pack_files(files, base, made)
    except BaseException:
        made.unlink()
        raise
    names = "\n".join(f"{inner} - {_readable(n_bytes)}" for inner, n_bytes in packed)
    preview = f"Archive content {what}:\n{names}"
    return Payload("archive", made, f"{stem}.zip", preview, is_ours=True)


def loaded(module: str, name: str) -> type[Any] | tuple[()]:
    """A class of a module that is imported already; else what nothing is an instance of."""
    found = getattr(sys.modules.get(module), name, None)
    return cast("type[Any]", found) if isinstance(found, type) else ()


def _numpy(value: Any, wish: Wish) -> Payload | None:
    if not isinstance(value, loaded("numpy", "ndarray")):
        return None
    if value.dtype.hasobject:  # NumPy itself would pickle it
        return None
    numpy: Any = sys.modules["numpy"]
    extension = wish.extension((".npz", ".csv.gz"), ".npz")
    made = _temporary(extension)
    if extension == ".npz":
        # Under the artifact's name, as scripts read it; ``file`` is an argument of savez.
        key = wish.name if wish.name != "file" else "arr_0"
        numpy.savez_compressed(made, **{key: value})
    else:
        with gzip.GzipFile(made, "wb", mtime=0) as file:
            numpy.savetxt(file, value, delimiter=",")
    preview = f"shape {value.shape}, dtype {value.dtype}\n{value!r}"
    return Payload("numpy", made, wish.stem + extension, preview, is_ours=True)


def _pandas(value: Any, wish: Wish) -> Payload | None:
    if not isinstance(value, loaded("pandas", "DataFrame")):
        return None
    extension = wish.extension((".csv.gz", ".parquet", ".feather", ".pickle"), ".csv.gz")
    preview = f"{len(value)} rows x {len(value.columns)} columns\n{value.head(_SHOWN).to_string()}"
    if extension != ".csv.gz":
        made = _temporary(extension)
        try:
            getattr(value, f"to_{extension[1:]}")(made)
        except Exception as exc:  # each format refuses tables for reasons of its own
            made.unlink()
            session.say(
                f"warning: artifact {wish.name!r} is kept as .csv.gz, as {extension} failed: {exc}"
            )
        else:
            return Payload("pandas", made, wish.stem + extension, preview, is_ours=True)
    levels = (value.index.nlevels, value.columns.nlevels)
    # CSV does not say how many of its columns and lines are an index: the file's name does.
    told = "" if levels == (1, 1) else f".index{levels[0]}x{levels[1]}"
    return Payload("pandas", csv_bytes(value), f"{wish.stem}{told}.csv.gz", preview)


def _image(value: Any, wish: Wish) -> Payload | None:
    if not isinstance(value, loaded("PIL.Image", "Image")):
        return None
    pillow: Any = sys.modules["PIL.Image"]
    formats: dict[str, str] = pillow.registered_extensions()
    extension = wish.extension(formats, ".png")
    buffer = io.BytesIO()
    try:
        value.save(buffer, format=formats.get(extension, "PNG"))
    except (OSError, ValueError, KeyError) as exc:
        raise InvalidInput(
            f"artifact {wish.name!r}: an image of mode {value.mode} cannot be kept as {extension}: "
            f"{exc}",
            field="extension_name",
        ) from exc
    preview = f"{type(value).__name__} {value.size[0]}x{value.size[1]} {value.mode}"
    return Payload("image", buffer.getvalue(), wish.stem + extension, preview)


def _json(value: Any, wish: Wish) -> Payload | None:
    if isinstance(value, loaded("numpy", "generic")):
        value = value.item()
    if not isinstance(value, dict | list | tuple | int | float | bool | type(None)):
        return None
    kind = "dict" if isinstance(value, dict) else "JSON"
    plain: Any = cast("Any", value)
    extension = wish.extension((".json", ".yaml"), ".json")
    try:
        text = _to_json(plain, wish) if extension == ".json" else _to_yaml(plain, wish)
    except InvalidInput:
        raise
    except (TypeError, ValueError, RecursionError) as exc:
        if wish.auto_pickle:
            session.say(f"warning: artifact {wish.name!r} is kept as a pickle: {exc}")
            return None
        raise InvalidInput(
            f"artifact {wish.name!r}: this {type(plain).__name__} cannot be kept as {extension} "
            f"({exc}); {_ways_out()}",
            field="artifact_object",
        ) from exc
    if extension == ".json" and not _is_same(json.loads(text), plain):
        session.say(
            f"warning: artifact {wish.name!r} comes back as JSON has it: tuples as lists, keys as "
            'text; keep it whole with extension_name=".pkl"'
        )
    return Payload(kind, text.encode(), wish.stem + extension, text)


def _to_json(plain: Any, wish: Wish) -> str:
    try:
        return json.dumps(plain, indent=4, sort_keys=wish.sort_keys)
    except TypeError:
        return json.dumps(plain, indent=4)  # keys of several types have no order


def _to_yaml(plain: Any, wish: Wish) -> str:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as exc:
        raise InvalidInput(
            f"artifact {wish.name!r}: extension_name='.yaml' needs the package pyyaml: pip install "
            'pyyaml (in a script for a queue: Task.add_requirements("pyyaml") before Task.init)',
            field="extension_name",
        ) from exc
    try:
        return str(yaml.safe_dump(plain, sort_keys=wish.sort_keys, indent=4, allow_unicode=True))
    except yaml.YAMLError as exc:
        raise ValueError(str(exc)) from exc


def _is_same(read: Any, plain: Any) -> bool:
    if isinstance(plain, dict) and isinstance(read, dict):
        known = cast("dict[Any, Any]", read)
        pairs = cast("dict[Any, Any]", plain).items()
        return all(isinstance(key, str) and _is_same(known[key], item) for key, item in pairs)
    if isinstance(plain, list) and isinstance(read, list):
        items = zip(cast("list[Any]", read), cast("list[Any]", plain), strict=True)
        return all(_is_same(one, other) for one, other in items)
    return not isinstance(plain, tuple | dict)


def _pickle(value: object, wish: Wish) -> Payload:
    try:
        data = cast("bytes", _pickler().dumps(value))
    except Exception as exc:  # what objects raise while they are pickled is anybody's guess
        raise InvalidInput(
            f"artifact {wish.name!r}: a {type(value).__name__} cannot be pickled ({exc}); save it "
            "to a file and upload that",
            field="artifact_object",
        ) from exc
    return Payload("pickle", data, f"{wish.stem}.pkl", _shown(value))


def _pickler() -> Any:
    """The better of the two; Any: one has no types."""
    try:
        import cloudpickle
    except ImportError:
        return pickle
    return cast("Any", cloudpickle)


def _no_form(value: object, wish: Wish) -> WrongType:
    return WrongType(
        f"artifact {wish.name!r}: a {type(value).__module__}.{type(value).__qualname__} has no "
        f"form of its own; {_ways_out()}",
        field="artifact_object",
    )


def _ways_out() -> str:
    return (
        "give a serialization_function, save it to a file and upload its path, or ask for a pickle "
        "with auto_pickle=True (DRAY_AUTO_PICKLE=1 asks for all)"
    )


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # a user's own method
        return f"a {type(value).__qualname__}"


def _readable(n_bytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.2f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.2f} TiB"


def _temporary(suffix: str) -> Path:
    handle, made = tempfile.mkstemp(prefix="dray-", suffix=suffix)
    os.close(handle)
    return Path(made)
