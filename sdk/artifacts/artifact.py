"""Artifacts of a task: put into the spool by the run, fetched and rebuilt by whoever asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dray.runtime.errors import DrayError, InvalidInput, NotFound
from dray.sdk.artifacts import formats as artifact_formats
from dray.sdk.artifacts import readers as artifact_readers
from dray.sdk.artifacts.formats import Payload, Wish
from dray.sdk.artifacts.keeping import keep
from dray.sdk.parameters import values as parameters
from dray.sdk.session import BLOBS_FOLDER, Session, now, say
from dray.sdk.storage import destinations, places

if TYPE_CHECKING:
    from dray.sdk.client import Client


def encoded(value: Any, wish: Wish, metadata: Any, preview: Any) -> tuple[Payload, dict[str, Any]]:
    """``value`` as bytes, and the members of ``models.Artifact`` that are known of it.

    Raises:
        InvalidInput: no name, or a value that cannot be kept.
    """
    name: Any = wish.name
    is_name = isinstance(name, str) and name.strip("/ ") == name and "\0" not in name
    if not name or not is_name or name.endswith("/content"):
        raise InvalidInput(
            f"{name!r} cannot be an artifact's name: text that neither begins nor ends with a "
            "space or /",
            field="name",
            value=name,
        )
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInput(
            f"metadata of artifact {name!r} is {metadata!r}; it must be a dict", field="metadata"
        )
    facts = cast("Mapping[Any, Any]", metadata or {})
    payload = artifact_formats.encode(value, wish)
    shown = payload.preview if preview is None or preview is False else str(preview)
    return payload, {
        "name": name,
        "type": payload.type,
        "filename": payload.filename,
        "uri": payload.uri,
        "preview": artifact_formats.clipped(shown),
        "metadata": {str(k): parameters.to_text(v)[0] for k, v in facts.items()},
        "created_at": now(),
    }


def store(
    attempt: Session,
    value: Any,
    wish: Wish,
    *,
    metadata: Mapping[str, Any] | None = None,
    preview: Any = None,
    may_move: bool = False,
) -> dict[str, Any]:
    """Keep ``value`` in the spool and record it; returns the members of ``models.Artifact``.

    Args:
        attempt: the run it belongs to.
        value: object, path or address; see ``artifact_formats``.
        wish: its name, which replaces an artifact of the same one, and how to keep it.
        metadata: facts to keep with it, as text.
        preview: text to show instead of the one made of the value.
        may_move: a file given as ``value`` is not needed any more.

    Raises:
        InvalidInput: no name, or a value that cannot be stored.
    """
    payload, members = encoded(value, wish, metadata, preview)
    if not payload.uri:
        members.update(_kept(attempt, payload, may_move))
        members["uri"] = destinations.address(
            attempt.task, "artifacts", wish.name, payload.filename
        )
    put_record(attempt, members)
    return members


def put_record(attempt: Session, members: dict[str, Any]) -> None:
    """Record an artifact whose bytes are in the spool."""
    attempt.record("artifact", **members)
    standing: list[dict[str, Any]] = attempt.task.get("artifacts") or []
    standing = [other for other in standing if other["name"] != members["name"]]
    attempt.task["artifacts"] = [*standing, members]


def _kept(attempt: Session, payload: Payload, may_move: bool) -> dict[str, Any]:
    try:
        sha256, n_bytes = keep(
            payload.source, Path(attempt.spool, BLOBS_FOLDER), payload.is_ours or may_move
        )
    except OSError as exc:
        raise InvalidInput(
            f"artifact file {payload.source if isinstance(payload.source, Path) else ''} cannot be "
            f"kept: {exc}",
            field="artifact_object",
        ) from exc
    return {"sha256": sha256, "n_bytes": n_bytes}


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
        """How it was stored.

        ``numpy``, ``pandas``, ``image``, ``dict``, ``JSON`` (other plain values), ``string``,
        ``archive`` (a folder or several files), ``pickle``, ``data-audit-table`` (a registered
        table), ``custom`` (a file, an address, or what a serialization function made).
        """
        return str(self._members["type"])

    @property
    def mode(self) -> str:
        """``output``: what a task makes."""
        return "output"

    @property
    def size(self) -> int:
        """Bytes; 0 for an address that was only registered."""
        return int(self._members.get("n_bytes") or 0)

    @property
    def hash(self) -> str:
        """Its sha256; empty for an address that was only registered."""
        return str(self._members.get("sha256") or "")

    @property
    def timestamp(self) -> datetime:
        """When it was stored, in local time, without a zone: so scripts compare it."""
        return datetime.fromtimestamp(float(self._members.get("created_at") or 0.0))  # noqa: DTZ006

    @property
    def metadata(self) -> dict[str, str]:
        """Facts that were kept with it."""
        return dict(self._members.get("metadata") or {})

    @property
    def preview(self) -> str:
        """Text shown without fetching it, at most 64 KiB."""
        return str(self._members.get("preview") or "")

    @property
    def url(self) -> str:
        """Where its bytes are."""
        if self._members.get("uri"):
            return str(self._members["uri"])
        from urllib.parse import quote

        server, name = self._client().url, quote(self.name, safe="")
        return f"{server}/api/v1/tasks/{self._task_id}/artifacts/{name}/content"

    def get(
        self,
        force_download: bool = False,
        deserialization_function: Callable[[bytes], Any] | None = None,
        block_unsafe_artifacts: bool = False,
        allow_pickle: bool | None = None,
    ) -> Any:
        """The object that was uploaded; the path of a file, of the folder of an archive.

        Args:
            force_download: fetch it again though it is in the cache.
            deserialization_function: makes the object of the bytes, as the counterpart of the
                ``serialization_function`` it was uploaded with.
            block_unsafe_artifacts: refuse a pickle whatever else says it may be loaded.
            allow_pickle: load a pickle, which runs code of whoever made it: only do that with
                tasks you trust. None: as ``DRAY_ALLOW_PICKLE`` says, which is no by default.

        Raises:
            InvalidInput: a pickle without consent, or bytes that cannot be had.
        """
        if deserialization_function is not None:
            path = self.get_local_copy(False, raise_on_error=True, force_download=force_download)
            return deserialization_function(Path(str(path)).read_bytes())
        self._check_consent(block_unsafe_artifacts, allow_pickle)
        path = Path(
            str(self.get_local_copy(False, raise_on_error=True, force_download=force_download))
        )
        try:
            return artifact_readers.decode(self.type, path)
        except DrayError:
            raise
        except Exception as exc:  # a file that its library cannot read is still a file
            say(
                f"warning: artifact {self.name!r} ({self.type}) cannot be read, so its path is "
                f"returned: {type(exc).__name__}: {exc}"
            )
            return path

    def get_local_copy(
        self,
        extract_archive: bool = True,
        raise_on_error: bool = False,
        force_download: bool = False,
    ) -> str | None:
        """Path of its bytes on this machine; of the unpacked folder for an archive.

        Args:
            extract_archive: unpack an archive; links and names that lead out are refused.
            raise_on_error: raise what goes wrong; otherwise it is one line, and None is returned.
            force_download: fetch it again though it is in the cache.

        Raises:
            InvalidInput: with ``raise_on_error``, the bytes cannot be had.
        """
        try:
            path = self._fetch(force_download)
            if extract_archive and self.type == "archive":
                path = artifact_readers.unpacked(path)
        except (DrayError, OSError) as exc:
            message = f"artifact {self.name!r} cannot be fetched: {exc}"
            if raise_on_error:
                raise InvalidInput(message, field="artifact", value=self.name) from exc
            say(f"warning: {message}")
            return None
        return str(path)

    def __repr__(self) -> str:
        return f"Artifact(name={self.name!r}, type={self.type!r}, size={self.size})"

    def _check_consent(self, is_blocked: bool, allow_pickle: bool | None) -> None:
        filename = str(self._members.get("filename") or "")
        if not artifact_readers.is_pickle(self.type, filename):
            return
        from dray.runtime import aliases

        if is_blocked or aliases.is_on("BLOCK_PICKLED_ARTIFACTS"):
            raise InvalidInput(
                f"artifact {self.name!r} is a pickle, and block_unsafe_artifacts (or "
                "DRAY_BLOCK_PICKLED_ARTIFACTS) is set",
                field="block_unsafe_artifacts",
            )
        if allow_pickle is None:
            from dray.runtime import config

            allow_pickle = config.load().settings.allow_pickle
        if not allow_pickle:
            raise InvalidInput(
                f"artifact {self.name!r} is a pickle, and loading it runs code of whoever made it: "
                "say get(allow_pickle=True) (or set DRAY_ALLOW_PICKLE=1) if you trust task "
                f"{self._task_id[:8]}, or take the file with get_local_copy()",
                field="allow_pickle",
            )

    def _fetch(self, force_download: bool) -> Path:
        """The bytes under their own name in the cache, fetched once per content."""
        if not self.hash:
            return self._fetch_registered(force_download)
        from dray.runtime import config

        filename = os.path.basename(str(self._members.get("filename") or "")) or "artifact"
        path = config.load().settings.cache / "artifacts" / self.hash / filename
        if path.exists() and not force_download:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._bring(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return path

    def _bring(self, to: Path) -> None:
        """Write the bytes to ``to`` from the nearest place that has them, checked."""
        own = Path(self._spool, BLOBS_FOLDER, self.hash) if self._spool else None
        if own is not None and own.is_file():
            places.Folders().download(str(own), to)
            return
        uri = str(self._members.get("uri") or "")
        if uri:
            try:
                places.place_of(uri).download(uri, to)
                if places.sha256_of(to) == self.hash:
                    return
                failure: DrayError = InvalidInput(f"{uri} has other bytes than were uploaded")
            except DrayError as exc:
                failure = exc
            try:  # the server keeps what its destination did not take
                self._client().get_blob(self.hash, to)
            except DrayError:
                raise failure from None
            return
        self._client().get_blob(self.hash, to)

    def _fetch_registered(self, force_download: bool) -> Path:
        from dray.sdk.storage.manager import StorageManager

        found = StorageManager.fetch(self.url, force_download=force_download)
        return Path(found)


class Artifacts(Mapping[str, Artifact]):
    """The artifacts of a task by name."""

    def __init__(self, by_name: dict[str, Artifact]) -> None:
        self._by_name = by_name

    def __getitem__(self, name: str) -> Artifact:
        try:
            return self._by_name[name]
        except KeyError:
            there = ", ".join(self._by_name) or "none"
            raise MissingArtifact(
                f"no artifact is called {name!r}; there are: {there}", artifact=name
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def get(self, name: str, default: Any = None) -> Any:
        """The artifact called ``name``, or ``default``."""
        return self._by_name.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return repr(self._by_name)


class MissingArtifact(NotFound, KeyError):
    """No artifact of the task has the name; a KeyError, as of any mapping."""

    __str__ = DrayError.__str__
