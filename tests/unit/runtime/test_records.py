"""Frames: what is put in comes out, and nothing else is taken for one."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime.errors import InvalidInput
from dray.runtime.records import (
    HEADER_LIMIT_BYTES,
    STREAMS,
    Chunk,
    Frame,
    decode_frame,
    encode_frame,
    encode_record,
)

frames = st.builds(
    Frame,
    chunks=st.lists(
        st.builds(Chunk, st.sampled_from(STREAMS), st.integers(0, 2**50), st.binary(max_size=50)),
        max_size=5,
    ),
    executing=st.booleans(),
    environment=st.none() | st.just({"key": "k"}),
    finish=st.none() | st.just({"cause": {"kind": "signal"}}),
)


@given(frames)
def test_a_frame_survives_the_wire(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@given(frames, st.integers(1, 40))
def test_a_frame_that_was_cut_off_is_refused(frame: Frame, n_lost: int) -> None:
    body = encode_frame(frame)
    n_payload = sum(len(chunk.data) for chunk in frame.chunks)
    if n_payload:
        with pytest.raises(InvalidInput):
            decode_frame(body[: -min(n_lost, n_payload)])


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_never_worse(body: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        assert isinstance(decode_frame(body), Frame)


@pytest.mark.parametrize(
    "header",
    [
        {},
        [],
        None,
        {"chunks": 3},
        {"chunks": [{"stream": "stdout"}]},
        {"chunks": [{"stream": "secrets", "offset": 0, "n_bytes": 0}]},
        {"chunks": [{"stream": "stdout", "offset": -1, "n_bytes": 0}]},
        {"chunks": [{"stream": "stdout", "offset": 0, "n_bytes": -1}]},
        {"chunks": [{"stream": "stdout", "offset": 0, "n_bytes": 9}]},
        {"chunks": [{"stream": "stdout", "offset": 0, "n_bytes": 1}]},
    ],
)
def test_a_header_that_does_not_fit_its_bytes_is_refused(header: object) -> None:
    with pytest.raises(InvalidInput):
        decode_frame(json.dumps(header).encode() + b"\nabc")


def test_a_header_without_end_is_not_searched_for_ever() -> None:
    with pytest.raises(InvalidInput, match="header"):
        decode_frame(b" " * (HEADER_LIMIT_BYTES + 10) + b"\n")


def test_a_record_is_one_line_whatever_it_says() -> None:
    line = encode_record("comment", 1.5, text="two\nlines")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {"k": "comment", "t": 1.5, "text": "two\nlines"}


def test_a_value_that_is_no_number_survives() -> None:
    assert math.isnan(json.loads(encode_record("scalar", 1.0, v=math.nan))["v"])
