"""Artifacts of a task: put into the spool by the run, fetched and rebuilt by whoever asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk import artifact_formats, parameters
from dray.sdk.keeping import keep
from dray.sdk.session import BLOBS_FOLDER, Session, now

if TYPE_CHECKING:
    from dray.sdk.client import Client


def store(
    attempt: Session,
    name: str,
    value: Any,
    *,
    metadata: Mapping[str, Any] | None = None,
    preview: str | None = None,
    may_move: bool = False,
) -> dict[str, Any]:
    """Keep ``value`` in the spool and record it; returns the members of ``models.Artifact``.

    Args:
        attempt: the run it belongs to.
        name: of the artifact; the same name again replaces it.
        value: object, path or address; see ``artifact_formats``.
        metadata: facts to keep with it, as text.
        preview: text to show instead of the one made of the value.
        may_move: a file given as ``value`` is not needed any more.

    Raises:
        InvalidInput: no name, or a value that cannot be stored.
    """
    if not name or name.strip() != name or "/" in name or "\0" in name:
        raise InvalidInput(f"{name!r} cannot be an artifact's name", field="name", value=name)
    payload = artifact_formats.encode(name, value)
    members: dict[str, Any] = {
        "name": name,
        "type": payload.type,
        "filename": payload.filename,
        "uri": payload.uri,
        "preview": artifact_formats.clipped(payload.preview if preview is None else preview),
        "metadata": {str(k): parameters.to_text(v)[0] for k, v in (metadata or {}).items()},
        "created_at": now(),
    }
    if not payload.uri:
        blobs = Path(attempt.spool, BLOBS_FOLDER)
        sha256, n_bytes = keep(payload.source, blobs, payload.is_ours or may_move)
        members.update(sha256=sha256, n_bytes=n_bytes)
    attempt.record("artifact", **members)
    standing: list[dict[str, Any]] = attempt.task.get("artifacts") or []
    standing = [other for other in standing if other["name"] != name]
    attempt.task["artifacts"] = [*standing, members]
    return members


class Artifact:
    """A named output of a task."""

    def __init__(
        self, task_id: str, members: Mapping[str, Any], client: Callable[[], Client], spool: str
    ) -> None:
        self._task_id = task_id
        self._members = members
        self._client = client
        self._spool = spool

    @property
    def name(self) -> str:
        """Its name in the task."""
        return str(self._members["name"])

    @property
    def type(self) -> str:
        """How it was stored, such as ``json``, ``numpy``, ``pickle`` or ``file``."""
        return str(self._members["type"])

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self._members.get("n_bytes") or 0)

    @property
    def hash(self) -> str:
        """Its sha256; empty for an address that was only registered."""
        return str(self._members.get("sha256") or "")

    @property
    def timestamp(self) -> float:
        """When it was stored, in seconds since the epoch."""
        return float(self._members.get("created_at") or 0.0)

    @property
    def metadata(self) -> dict[str, str]:
        """Facts that were kept with it."""
        return dict(self._members.get("metadata") or {})

    @property
    def preview(self) -> str:
        """Text shown without fetching it."""
        return str(self._members.get("preview") or "")

    @property
    def url(self) -> str:
        """Where its bytes are."""
        if self._members.get("uri"):
            return str(self._members["uri"])
        from urllib.parse import quote

        server, name = self._client().url, quote(self.name, safe="")
        return f"{server}/api/v1/tasks/{self._task_id}/artifacts/{name}/content"

    def get(self) -> Any:
        """The object that was uploaded; for files their path, for addresses their text.

        A pickle is loaded in this process: only do that with tasks you trust.
        """
        if self.type == "uri":
            return self.url
        return artifact_formats.decode(self.type, self._fetch())

    def get_local_copy(self, extract_archive: bool = True) -> str:
        """Path of its bytes on this machine; of the unpacked folder for an archive.

        Raises:
            InvalidInput: it is an address that was only registered.
        """
        if self.type == "uri":
            raise InvalidInput(
                f"artifact {self.name!r} is the address {self.url}; fetch it from there",
                field="name",
            )
        path = self._fetch()
        is_folder = extract_archive and self.type == "archive"
        return str(artifact_formats.decode("archive", path) if is_folder else path)

    def __repr__(self) -> str:
        return f"Artifact(name={self.name!r}, type={self.type!r}, size={self.size})"

    def _fetch(self) -> Path:
        """The bytes under their own name in the cache, fetched once per content."""
        from dray.runtime import config

        filename = os.path.basename(str(self._members.get("filename") or "")) or "artifact"
        folder = config.load().settings.cache / "artifacts" / self.hash
        path = folder / filename
        if path.exists():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        own = Path(self._spool, BLOBS_FOLDER, self.hash) if self._spool else None
        if own is not None and own.is_file():
            _keep_as(own, path)
            return path
        return self._client().get_blob(self.hash, path)


class Artifacts(Mapping[str, Artifact]):
    """The artifacts of a task by name."""

    def __init__(self, by_name: dict[str, Artifact]) -> None:
        self._by_name = by_name

    def __getitem__(self, name: str) -> Artifact:
        try:
            return self._by_name[name]
        except KeyError:
            there = ", ".join(self._by_name) or "none"
            raise NotFound(f"no artifact is called {name!r}; there are: {there}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def get(self, name: str, default: Any = None) -> Any:
        """The artifact called ``name``, or ``default``."""
        return self._by_name.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


def _keep_as(blob: Path, path: Path) -> None:
    import shutil

    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.copyfile(blob, aside)
    aside.replace(path)
