"""Debug samples: images, sound, video and pages that a run reports, kept in the spool as files.

Part of the child's path: the standard library only, no network, no threads.
"""

from __future__ import annotations

import os
from pathlib import Path

from dray.runtime.errors import InvalidInput
from dray.sdk.artifacts.keeping import keep
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.plots.plain import text, whole
from dray.sdk.session import BLOBS_FOLDER

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

#: Longest part of a file's name that titles become; file systems take 255 bytes in all.
_NAME_LENGTH = 120
#: What a browser or a shell would read something into.
_UNSAFE = "\\/\"#'`<>|;?:@&=+$,%!*\r\n\t\0 "


def put_bytes(
    attempt: Session,
    title: Any,
    series: Any,
    iteration: Any,
    data: bytes,
    extension: str,
    *,
    max_history: int | None = None,
) -> dict[str, Any]:
    """Keep ``data`` as a debug sample; returns the members of its record.

    Args:
        attempt: the run that reports.
        title: of the sample; must be text.
        series: of the sample; must be text.
        iteration: step it belongs to; None is 0.
        data: of the file.
        extension: of the file's name, such as ``.png``; its type is told by it.
        max_history: newest samples kept of the title and series; below 0 all, None as many as the
            server keeps anyway.
    """
    return _put(attempt, title, series, iteration, data, extension, max_history, may_move=False)


def put_file(
    attempt: Session,
    title: Any,
    series: Any,
    iteration: Any,
    path: str | os.PathLike[str],
    *,
    max_history: int | None = None,
    may_move: bool = False,
) -> dict[str, Any]:
    """The same of a file, as it is now.

    Args:
        attempt: the run that reports.
        title: of the sample.
        series: of the sample.
        iteration: step it belongs to.
        path: of the file.
        max_history: newest samples kept of the title and series.
        may_move: the file is removed once it is kept.

    Raises:
        InvalidInput: there is no such file, or it cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        raise InvalidInput(
            f"local_path {os.fspath(path)!r} of sample {title!r}/{series!r} is no file",
            field="local_path",
            value=os.fspath(path),
        )
    ending = "".join(file.suffixes[-2:]) if len(file.suffixes) > 1 else file.suffix
    return _put(attempt, title, series, iteration, file, ending, max_history, may_move=may_move)


def put_url(
    attempt: Session,
    title: Any,
    series: Any,
    iteration: Any,
    url: Any,
    *,
    max_history: int | None = None,
) -> dict[str, Any]:
    """Register something that lies elsewhere; nobody fetches it."""
    address = text("url", url)
    filename = os.path.basename(address.partition("?")[0].rstrip("/"))
    members = _members(attempt, title, series, iteration, filename, max_history)
    members.update(sha256="", n_bytes=0, uri=address)
    attempt.record("media", **members)
    return members


def destination(attempt: Session) -> str:
    """Where debug samples are uploaded to; empty for the server's own store."""
    execution: dict[str, Any] = attempt.task.get("execution") or {}
    return attempt.media_uri or str(execution.get("output_uri") or "")


def _put(
    attempt: Session,
    title: Any,
    series: Any,
    iteration: Any,
    source: bytes | Path,
    extension: str,
    max_history: int | None,
    *,
    may_move: bool,
) -> dict[str, Any]:
    members = _members(attempt, title, series, iteration, "", max_history)
    try:
        kept = keep(source, Path(attempt.spool, BLOBS_FOLDER), may_move)
    except OSError as exc:
        if isinstance(source, Path) and not os.access(source, os.R_OK):
            raise InvalidInput(f"{source} cannot be read: {exc}", field="local_path") from exc
        from dray.sdk.plots import reports

        # As with every record: a full disk costs samples, never the run.
        reports.warn(attempt, f"sample {title!r}/{series!r} could not be kept: {exc}")
        return members
    sha256, n_bytes = kept
    ending = _safe(extension if extension.startswith(".") or not extension else f".{extension}")
    stem = _safe(f"{title}_{series}")[:_NAME_LENGTH]
    # Part of the hash: two samples of one iteration are two files wherever they are uploaded.
    filename = f"{stem}_{members['i']:08d}_{sha256[:8]}{ending[:20]}"
    members.update(filename=filename, content_type=_content_type(filename))
    members.update(sha256=sha256, n_bytes=n_bytes)
    base = destination(attempt)
    if base:
        from dray.sdk.storage import destinations

        task = {**attempt.task, "execution": {"output_uri": base}}
        members["uri"] = destinations.address(task, "metrics", members["title"], filename)
    attempt.record("media", **members)
    return members


def _members(
    attempt: Session,
    title: Any,
    series: Any,
    iteration: Any,
    filename: str,
    max_history: int | None,
) -> dict[str, Any]:
    step = whole("iteration", iteration) + attempt.initial_iteration
    members: dict[str, Any] = {
        "title": text("title", title),
        "series": text("series", series),
        "i": step,
        "filename": filename,
        "content_type": _content_type(filename),
        "uri": "",
    }
    if max_history is not None:
        members["history"] = max_history
    return members


def _content_type(filename: str) -> str:
    import mimetypes

    guessed = mimetypes.guess_type(filename)[0]
    return guessed or "application/octet-stream"


def _safe(name: str) -> str:
    return "".join("_" if letter in _UNSAFE else letter for letter in name)
