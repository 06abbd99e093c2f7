"""Client calls an attempt makes: start, ship frames, renew, hand over, move blobs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dray.runtime.answers import Enqueued, FrameReply, Started
from dray.runtime.codec import from_json, to_json
from dray.runtime.errors import InvalidInput
from dray.runtime.records import FRAME_TYPE, Frame, encode_frame
from dray.sdk import blob_pieces
from dray.sdk.transport import Transport, quoted

#: Hashes asked about in one request: 4096 of them are about 280 KB of JSON.
MISSING_BATCH = 4096
#: A renewal that is not answered by then is tried again: the fence leaves room for few tries.
RENEW_TIMEOUT_S = 5.0
_BLOCK = 1 << 20


class AttemptCalls:
    """Attempts and blobs; mixed into :class:`dray.sdk.client.Client`."""

    _http: Transport

    def start(
        self,
        task_id: str,
        *,
        agent: str,
        node: str,
        claim_id: str,
        initial_iteration: int | None = None,
    ) -> Started:
        """Begin a run started by hand; the same ``claim_id`` is answered again.

        A failed or aborted task goes on, counting its iterations from ``initial_iteration``,
        or from the last one reported plus one.
        """
        body: dict[str, Any] = {"agent": agent, "node": node, "claim_id": claim_id}
        if initial_iteration is not None:
            body["initial_iteration"] = initial_iteration
        path = f"/tasks/{quoted(task_id)}/start"
        return from_json(Started, self._http.call("POST", path, body, idempotent=True))

    def hand_over(
        self,
        task_id: str,
        *,
        epoch: int,
        queue: str,
        execution: Any = None,
        parameters: Any = None,
        policy: Any = None,
        receipt: Any = None,
    ) -> Enqueued:
        """Move a run started by hand to a queue: its attempt ends, an agent goes on.

        A partial ``execution`` and ``parameters`` by flat name are merged into the task,
        ``policy`` replaces the task's; ``receipt`` maps each stream to ``{"n_bytes", "sha256"}``
        of what the local run wrote.
        """
        body: dict[str, Any] = {"epoch": epoch, "queue": queue}
        given = {
            "execution": execution,
            "parameters": parameters,
            "policy": policy,
            "receipt": receipt,
        }
        body.update({name: to_json(value) for name, value in given.items() if value is not None})
        path = f"/tasks/{quoted(task_id)}/hand-over"
        return from_json(Enqueued, self._http.call("POST", path, body, idempotent=True))

    def send_frame(self, task_id: str, epoch: int, frame: Frame) -> FrameReply:
        """Ship bytes of an attempt; not repeated here, the shipper keeps its own pace."""
        answer = self._http.call(
            "POST",
            f"/tasks/{quoted(task_id)}/attempts/{epoch}/frames",
            encode_frame(frame),
            headers={"Content-Type": FRAME_TYPE},
            idempotent=True,
            retries=0,
        )
        return from_json(FrameReply, answer)

    def renew(self, task_id: str, epoch: int, *, wait_s: float = 0.0) -> FrameReply:
        """Renew the lease; waits up to ``wait_s`` for a request to stop."""
        answer = self._http.call(
            "POST",
            f"/tasks/{quoted(task_id)}/attempts/{epoch}/renew",
            {"wait_s": wait_s},
            idempotent=True,
            retries=0,
            timeout_s=RENEW_TIMEOUT_S,
            extra_timeout_s=wait_s,
        )
        return from_json(FrameReply, answer)

    def missing_blobs(self, sha256: Iterable[str]) -> list[str]:
        """Which of these blobs the server does not hold, in the order given."""
        hashes = list(dict.fromkeys(sha256))
        missing: list[str] = []
        for at in range(0, len(hashes), MISSING_BATCH):
            body = {"sha256": hashes[at : at + MISSING_BATCH]}
            answer = self._http.call("POST", "/blobs/missing", body, idempotent=True)
            missing += answer["missing"]
        return missing

    def put_blob(
        self,
        source: Path | bytes,
        *,
        sha256: str = "",
        on_progress: Callable[[int], None] | None = None,
    ) -> str:
        """Send a file or bytes to the blob store; returns the sha256 it is kept under.

        Give ``sha256`` when it is known already, and the file is read once instead of twice. A
        file over 16 MiB goes in pieces: what the server has of it is not sent again, by this
        call or a later one. ``on_progress`` is told how many bytes of such a file are there.
        """
        address = sha256 or _digest(source)
        if isinstance(source, Path) and source.stat().st_size > blob_pieces.PIECE_BYTES:
            blob_pieces.send(self._http, source, address, on_progress=on_progress)
            return address
        self._http.upload(f"/blobs/{quoted(address)}", source)
        return address

    def get_blob(self, sha256: str, to: Path) -> Path:
        """Fetch a blob into the file ``to``, which appears only whole and checked.

        Raises:
            InvalidInput: the bytes that came are not the ones asked for.
        """
        hasher = hashlib.sha256()
        aside = to.with_name(f".{to.name}.{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                for block in self._http.download(f"/blobs/{quoted(sha256)}"):
                    hasher.update(block)
                    file.write(block)
            if hasher.hexdigest() != sha256:
                raise InvalidInput(
                    f"blob {sha256[:12]} came as {hasher.hexdigest()[:12]}; fetch it again",
                    field="sha256",
                    value=sha256,
                )
            aside.replace(to)
        finally:
            aside.unlink(missing_ok=True)
        return to

    def download_path(self, path: str) -> Iterator[bytes]:
        """The body of a GET of any path below the API, in blocks."""
        return self._http.download(path)

    def read_blob(self, sha256: str) -> bytes:
        """The bytes of a blob that fits in memory."""
        return b"".join(self._http.download(f"/blobs/{quoted(sha256)}"))


def _digest(source: Path | bytes) -> str:
    hasher = hashlib.sha256()
    if isinstance(source, bytes):
        hasher.update(source)
    else:
        with source.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    return hasher.hexdigest()
