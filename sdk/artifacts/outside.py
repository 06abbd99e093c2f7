"""Artifacts for a task that does not run in this process: uploaded by the call itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dray.runtime.errors import ServerUnreachable
from dray.sdk.artifacts import artifact as artifacts
from dray.sdk.artifacts.formats import Wish
from dray.sdk.http.transport import pause_s
from dray.sdk.storage import destinations, places

if TYPE_CHECKING:
    from dray.sdk.client import Client


def upload(
    client: Client,
    task: Mapping[str, Any],
    value: Any,
    wish: Wish,
    metadata: Mapping[str, Any] | None,
    preview: Any,
    may_move: bool,
    retries: int,
) -> None:
    """Upload ``value`` and add it to ``task``, which is JSON of ``models.Task``.

    Raises:
        InvalidInput: no name, or a value that cannot be kept.
        NotEditable: the task is published.
        ServerUnreachable: the server, or the task's output_uri, does not answer.
    """
    payload, members = artifacts.encoded(value, wish, metadata, preview)
    source = payload.source
    try:
        if not payload.uri:
            uri = destinations.address(task, "artifacts", wish.name, payload.filename)
            members |= _sent(client, source, uri, retries)
        client.put_artifact(str(task["id"]), members)
    finally:
        if isinstance(source, Path) and payload.is_ours:
            source.unlink(missing_ok=True)
    if isinstance(source, Path) and may_move and not payload.uri:
        source.unlink(missing_ok=True)


def _sent(client: Client, source: Path | bytes, uri: str, retries: int) -> dict[str, Any]:
    for n_failures in range(max(0, retries) + 1):
        try:
            return _send(client, source, uri)
        except ServerUnreachable:
            if n_failures >= retries:
                raise
            time.sleep(pause_s(n_failures))
    raise AssertionError  # the last turn returns or raises


def _send(client: Client, source: Path | bytes, uri: str) -> dict[str, Any]:
    if not uri:
        sha256 = places.sha256_of(source)
        if client.missing_blobs([sha256]):
            client.put_blob(source, sha256=sha256)
    elif isinstance(source, Path):
        sha256 = places.sha256_of(source)
        places.place_of(uri).upload(source, uri)
    else:
        sha256 = places.sha256_of(source)
        places.upload_bytes(source, uri)
    n_bytes = source.stat().st_size if isinstance(source, Path) else len(source)
    return {"sha256": sha256, "n_bytes": n_bytes, "uri": uri}
