"""Large files travel in pieces: a cut wire and a new server cost no byte twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from dray.runtime.errors import InvalidInput, ServerUnreachable
from dray.sdk.calls import blobs
from dray.sdk.client import Client
from tests.unit.sdk.cutting import wire
from tests.unit.sdk.live import TOKEN, Live, serving

PIECE = 1 << 20
SIZE = 5 * PIECE + 123


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(SIZE))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def send(url: str, large: tuple[Path, str], seen: list[int]) -> None:
    sending = blobs.send_in_pieces(*large, on_progress=seen.append, piece_bytes=PIECE)
    Client(url, TOKEN).converse(sending)


def test_a_cut_wire_costs_no_byte_twice(live: Live, large: tuple[Path, str]) -> None:
    with wire(live.url, [PIECE // 2, 2 * PIECE, PIECE]) as cut:
        seen: list[int] = []
        send(cut.url, large, seen)
        assert cut.cut_after == []
        assert cut.n_up < SIZE + 3 * (PIECE + (1 << 18)), "only what was on its way is sent again"
    assert live.client.read_blob(large[1]) == large[0].read_bytes()
    assert seen == sorted(seen)
    assert seen[-1] == SIZE


def test_a_call_goes_on_where_an_earlier_one_gave_up(
    tmp_path: Path, large: tuple[Path, str]
) -> None:
    with (
        serving(tmp_path / "server") as first,
        wire(first.url, [2 * PIECE] + [1] * 99) as cut,
        pytest.raises(ServerUnreachable),
    ):
        send(cut.url, large, [])
    with serving(tmp_path / "server") as again, wire(again.url, []) as whole:
        seen: list[int] = []
        send(whole.url, large, seen)
        assert seen[0] >= PIECE, "the new server has what the old one had"
        assert whole.n_up < SIZE
        assert again.client.read_blob(large[1]) == large[0].read_bytes()


def test_what_the_server_has_is_not_sent(live: Live, large: tuple[Path, str]) -> None:
    send(live.url, large, [])
    with wire(live.url, []) as watched:
        send(watched.url, large, [])
        assert watched.n_up < 1000


def test_a_file_that_is_not_what_was_announced_is_refused(
    live: Live, large: tuple[Path, str]
) -> None:
    with pytest.raises(InvalidInput, match="announced"):
        send(live.url, (large[0], "0" * 64), [])


def test_a_client_sends_large_files_in_pieces(
    live: Live, large: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "PIECE_BYTES", PIECE)
    path, sha256 = large
    with path.open("ab") as file:
        file.write(b"more")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    seen: list[int] = []
    with Client(live.url, TOKEN) as client:
        assert client.put_blob(path, on_progress=seen.append) == sha256
    assert seen[-1] == path.stat().st_size
