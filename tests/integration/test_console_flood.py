"""A task that floods its console: bounded at the agent, told to the byte, its last words kept."""

from __future__ import annotations

import hashlib

import pytest

from dray.runtime.models import Gap
from dray.runtime.states import State
from tests.integration.conftest import Cluster

#: MiB, each told from the others: more than the burst that this cluster keeps (4 MiB).
N_BLOCKS = 24
FLOOD = f"""
import sys
for n in range({N_BLOCKS}):
    line = b"%07d flood\\n" % n
    sys.stdout.buffer.write(line * ((1 << 20) // len(line)))
sys.stdout.buffer.write(b"\\xff\\xfe the last words \\x00\\n")
sys.stdout.flush()
raise SystemExit("something went wrong")
"""


def written() -> bytes:
    lines = (b"%07d flood\n" % n for n in range(N_BLOCKS))
    return b"".join(line * ((1 << 20) // len(line)) for line in lines) + (
        b"\xff\xfe the last words \x00\n"
    )


@pytest.mark.invariant(5)
def test_a_flood_is_bounded_its_receipt_exact_and_its_end_kept(cluster: Cluster) -> None:
    """Stored console = what the process wrote, outside gaps that are stated to the byte."""
    flood = cluster.submit(FLOOD)
    other = cluster.submit("print('beside a flood')")
    assert cluster.finished(other).state is State.COMPLETED
    task = cluster.finished(flood)
    assert task.state is State.FAILED
    assert task.attempt is not None
    receipt, data = task.attempt.receipt["stdout"], written()
    assert (receipt.n_bytes, receipt.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert receipt.exact
    assert 4 << 20 <= receipt.stored_bytes < 12 << 20
    assert receipt.missing_bytes == len(data) - receipt.stored_bytes > 0
    raw = b"".join(cluster.client.console_raw(task.id))
    assert raw == without(data, receipt.gaps), "byte for byte, but for the gaps"
    assert raw.endswith(b"\xff\xfe the last words \x00\n")
    shown = cluster.dray("task", "logs", task.id, "--tail-bytes", "4000").stdout
    assert "the last words" in shown
    assert task.cause is not None
    assert "something went wrong" in (task.cause.evidence or ""), "stderr was not held up"
    assert "not stored" in cluster.dray("task", "show", task.id).stdout


def without(data: bytes, gaps: list[Gap]) -> bytes:
    kept, at = b"", 0
    for gap in gaps:
        kept, at = kept + data[at : gap.offset], gap.offset + gap.n_bytes
    return kept + data[at:]
