"""Bringing the bytes of outputs where they belong, before the records that name them may go."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from dray.runtime.errors import DrayError, InvalidInput, ServerUnreachable, TooLarge
from dray.sdk.storage import places

log = logging.getLogger(__name__)

#: A destination that fails for so long is given up; its files go to the server's store.
GIVE_UP_S = 30.0

Progress = Callable[[int], None]


class Blob(NamedTuple):
    """Bytes of an output, in ``blobs/SHA256`` of the spool.

    Attributes:
        uri: where they go; empty: the server's store.
    """

    sha256: str
    uri: str = ""


class BlobSender(Protocol):
    """What uploading needs of a server."""

    def missing_blobs(self, sha256: list[str]) -> list[str]:
        """Which blobs the server lacks."""
        ...

    def put_blob(
        self, source: Path | bytes, *, sha256: str = "", on_progress: Progress | None = None
    ) -> str:
        """Upload a blob."""
        ...


class Uploads:
    """Uploads the blobs of one spool; when it raises, the caller tries again later.

    Args:
        blobs: folder of the spool's blobs.
        tell: says a sentence to whoever reads the run's console.
    """

    def __init__(
        self,
        blobs: Path,
        task_id: str,
        sender: BlobSender,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs, self._task_id, self._sender = blobs, task_id, sender
        self._tell, self._clock = tell, clock
        #: {destination: when its failures began}
        self._failing_since: dict[str, float] = {}

    def send(self, wanted: list[Blob], on_progress: Progress | None = None) -> None:
        """Upload what is not where it belongs.

        A blob that is not there or is refused is told about and given up, so that the records
        behind it can go: they are worth more than an output's bytes.

        Raises:
            DrayError: the server or a destination does not answer.
        """
        to_store = list(dict.fromkeys(blob.sha256 for blob in wanted if not blob.uri))
        if to_store:
            self._to_store(to_store, on_progress)
        failure: DrayError | None = None
        for blob in wanted:
            if blob.uri and (self._blobs / blob.sha256).is_file():  # else it is not of this run
                failure = self._to_destination(blob, on_progress) or failure
        if failure is not None:
            raise failure

    def _to_store(self, hashes: list[str], on_progress: Progress | None) -> None:
        for sha256 in self._sender.missing_blobs(hashes):
            path = self._blobs / sha256
            try:
                path.open("rb").close()  # what cannot be read is told apart from a lost server
                self._sender.put_blob(path, sha256=sha256, on_progress=on_progress)
            except (OSError, TooLarge, InvalidInput) as exc:
                log.warning("blob %s of task %s is not sent: %s", sha256[:12], self._task_id, exc)
                self._tell(f"a file of {_size(path)} bytes is not sent to the server: {exc}")

    def _to_destination(self, blob: Blob, on_progress: Progress | None) -> DrayError | None:
        """Upload to a destination; the error that shall be tried again."""
        destination = _destination(blob.uri)
        try:
            places.place_of(blob.uri).upload(self._blobs / blob.sha256, blob.uri, on_progress)
        except DrayError as exc:
            log.warning("%s", exc)
            since = self._failing_since.setdefault(destination, self._clock())
            is_hopeless = isinstance(exc, InvalidInput)
            if not is_hopeless and self._clock() - since < GIVE_UP_S:
                # Not as it came: a folder that is not there is not a task that is not there.
                return ServerUnreachable(exc.message)
            self._to_store([blob.sha256], on_progress)
            self._tell(f"{exc.message}; the file is kept in the server's store instead")
        else:
            self._failing_since.pop(destination, None)
        return None


def _destination(uri: str) -> str:
    scheme, _, rest = uri.rpartition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
