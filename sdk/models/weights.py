"""Where the weights of a model are, and how they come to this machine."""

from __future__ import annotations

import os
from pathlib import Path

from dray.runtime.errors import DrayError, InvalidInput, NotFound
from dray.runtime.registry import PACKAGE
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.session import BLOBS_FOLDER

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

    Json = dict[str, Any]


def url_of(model: Json, attempt: Session | None) -> str:
    """The address of a model's weights; empty when it has none.

    Those in the server's store are downloaded from an address of its API; of a run without a
    server, they are a file of its spool.
    """
    uri = str(model.get("uri") or "")
    sha256 = str(model.get("sha256") or "")
    if uri or not sha256:
        return uri
    from dray.runtime.errors import ServerUnreachable
    from dray.sdk.models.base import client_of

    try:
        return f"{client_of(attempt).url}/api/v1/models/{model['id']}/content"
    except ServerUnreachable:
        if attempt is None:
            raise
        return f"file://{os.path.abspath(os.path.join(attempt.spool, BLOBS_FOLDER, sha256))}"


def fetch(
    model: Json, attempt: Session | None, *, force: bool = False, extract: bool = False
) -> str:
    """Path of a model's weights here; of the unpacked folder with ``extract``.

    Raises:
        NotFound: there are none, or they are gone.
        InvalidInput: with ``extract``: a package that is no zip.
    """
    path = _file(model, attempt, force=force)
    is_zip = PACKAGE in (model.get("system_tags") or []) or path.suffix == ".zip"
    if not extract or not is_zip or path.is_dir():
        return str(path)
    from dray.sdk.artifacts import archives

    # Without a hash, the file may be another one by now.
    folder = _cache(model) / (
        "unpacked" if model.get("sha256") else f"at-{path.stat().st_mtime_ns}"
    )
    if force and folder.exists():
        import shutil

        shutil.rmtree(folder)
    return str(folder if folder.exists() else archives.unpack(path, folder))


def _file(model: Json, attempt: Session | None, *, force: bool) -> Path:
    uri, sha256 = str(model.get("uri") or ""), str(model.get("sha256") or "")
    if not uri and not sha256:
        raise NotFound(f"model {model['id'][:8]} has no weights", id=model["id"])
    kept = _in_spool(model, attempt, sha256)
    if kept is not None:
        return kept
    failure: DrayError | None = None
    if uri:
        try:
            return _from_elsewhere(uri, force=force)
        except DrayError as exc:
            if not sha256:
                raise
            failure = exc
    from dray.sdk.models.base import client_of

    path = _cache(model) / _filename(model)
    if force or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:  # the server keeps what its destination did not take
            client_of(attempt).get_blob(sha256, path)
        except DrayError:
            if failure is None:
                raise
            raise failure from None
    return path


def _in_spool(model: Json, attempt: Session | None, sha256: str) -> Path | None:
    """Weights this run has kept itself, under their own name."""
    own = Path(attempt.spool, BLOBS_FOLDER, sha256) if attempt is not None and sha256 else None
    if own is None or not own.is_file():
        return None
    path = _cache(model) / _filename(model)
    if not path.exists():
        import shutil

        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        shutil.copyfile(own, aside)
        aside.replace(path)
    return path


def _from_elsewhere(uri: str, *, force: bool) -> Path:
    from dray.sdk.storage import places

    if places.scheme_of(uri) in places.LOCAL_SCHEMES:
        path = places.local_path(uri)
        if not path.exists():
            raise NotFound(f"{uri} is not on this machine", uri=uri)
        return path
    from dray.sdk.storage.manager import StorageManager

    found = StorageManager.get_local_copy(uri, extract_archive=False, force_download=force)
    if not found:
        raise InvalidInput(f"{uri} cannot be fetched", field="uri", value=uri)
    return Path(found)


def _cache(model: Json) -> Path:
    from dray.runtime import config

    return config.load().settings.cache / "models" / str(model.get("sha256") or model["id"])


def _filename(model: Json) -> str:
    return os.path.basename(str(model.get("filename") or "")) or "weights"
