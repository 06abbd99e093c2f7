"""Waiting until the server has what this process reported, before it is asked for it."""

from __future__ import annotations

import os
import time

from dray.runtime.records import RECORDS
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from dray.sdk.client import Client
    from dray.sdk.session import Session

#: Longest wait; a server that is this far behind is asked all the same.
TIMEOUT_S = 10.0
_PAUSE_S = 0.02


def await_records(attempt: Session, client: Client, timeout_s: float = TIMEOUT_S) -> bool:
    """Wait for the records that are in the spool now; False when they did not arrive in time.

    Args:
        attempt: the run of this process.
        client: of its server.
        timeout_s: longest wait.

    Raises:
        ServerUnreachable: nobody answers.
    """
    if attempt.is_offline:
        return False
    wanted = os.stat(attempt.writer.path).st_size
    deadline, pause_s = time.monotonic() + timeout_s, _PAUSE_S
    while client.offsets(attempt.task_id, attempt.epoch).get(RECORDS, 0) < wanted:
        if time.monotonic() + pause_s > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(0.5, pause_s * 1.5)
    return True
