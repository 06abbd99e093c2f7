"""What a terminal shows: one line a bar, whatever is cut where, never more than is bounded."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dray.runtime.answers import ConsolePiece
from dray.runtime.console_text import PENDING_LIMIT, ConsoleText, lines_of_pieces, not_stored
from dray.runtime.terminal import COLUMNS, ROWS, Row, Terminal, lines_of


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("one\ntwo", ["one", "two"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("\n\nx\n", ["", "", "x"]),
        ("12345\rab", ["ab345"]),
        ("12345\r\x1b[Kab", ["ab"]),
        ("12345\x1b[1Kx", ["     x"]),
        ("12345\x1b[2K\rx", ["x"]),
        ("abc\b\bX", ["aXc"]),
        ("a\tb", ["a       b"]),
        ("12345\x1b[3D__", ["12__5"]),
        ("1\x1b[3Cx", ["1   x"]),
        ("12345\x1b[2Gx", ["1x345"]),
        ("one\ntwo\x1b[A!", ["one!", "two"]),
        ("one\ntwo\x1b[1A\rONE\x1b[1BX\n", ["ONE", "twoX"]),
        ("one\ntwo\nthree\x1b[2F\x1b[J1", ["1"]),
        ("one\ntwo\x1b[99A\r1", ["1ne", "two"]),
        ("\x1b[?25lbar\x1b[?25h", ["bar"]),
        ("\x1b]0;a title\x07text", ["text"]),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", ["link"]),
        ("\x1bP1;2qimage\x1b\\text", ["text"]),
        ("\x1b]0;never ended\ntext", ["", "text"]),
        ("\x1b(Btext\x1b=\x1b7\x1b8", ["text"]),
        ("a\x00b\x07c\x7fd\x9be", ["abcde"]),
        ("\x1b[1;31mred\x1b[0m", ["red"]),
        ("\x1b[12\nx", ["", "x"]),
        ("", []),
    ],
)
def test_what_is_written_is_shown_as_on_a_terminal(written: str, shown: list[str]) -> None:
    assert lines_of(written) == shown


def test_colours_are_kept_on_request_and_end_with_their_line() -> None:
    written = "\x1b[1;31mred\x1b[22m thin\x1b[0m plain\n\x1b[38;2;1;2;3;48;5;9mx\n"
    assert lines_of(written, colours=True) == [
        "\x1b[1;31mred\x1b[0m\x1b[31m thin\x1b[0m plain",
        "\x1b[48;5;9;38;2;1;2;3mx\x1b[0m",
    ]


@pytest.mark.parametrize("what", ["38", "38;5", "38;9;1", "4:3", "999", "31;;", "1;" * 100])
def test_colours_that_make_no_sense_harm_nothing(what: str) -> None:
    (line,) = lines_of(f"\x1b[{what}mx\x1b[0m", colours=True)
    assert "x" in line


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert lines_of(b"\xff\xfe ok \xe2\x82") == ["�� ok �"]


def test_a_bar_is_one_line() -> None:
    """What tqdm writes for one bar and the line after it."""
    bar = "".join(f"\r{n:3d}%|{'#' * (n // 10):10}| {n}/100" for n in range(101))
    assert lines_of(f"{bar}\ndone\n") == ["100%|##########| 100/100", "done"]


def test_nested_bars_are_a_line_each() -> None:
    """What tqdm writes with ``position=1`` for the inner bar: down, draw, up; blanks at its end."""
    written = ["\repochs:   0%"]
    for epoch in range(1, 4):
        written += [f"\n\rsteps: {step:3d}%\x1b[A" for step in range(0, 101, 25)]
        written += ["\n\r            \r\x1b[A", f"\repochs: {epoch * 33:3d}%"]
    assert lines_of("".join([*written, "\n"])) == ["epochs:  99%"]
    assert lines_of("".join(written[:4])) == ["epochs:   0%", "steps:  50%"]


def test_a_live_table_is_drawn_over_itself() -> None:
    """What rich writes: each frame climbs over the last and clears its lines."""
    frame = "loss {}\nacc {}"
    written = frame.format(3, 1) + "\r\x1b[2K\x1b[1A\x1b[2K" + frame.format(2, 2) + "\n"
    assert lines_of(written) == ["loss 2", "acc 2"]


PIECES = st.lists(
    st.sampled_from(
        [
            *("abc", "é€😀", "x" * 50, "\n", "\r", "\b", "\t", "\0", "\x9b"),
            *("\x1b", "\x1b[", "1", ";", "A", "K", "J", "\x1b[2A", "\x1b[K"),
            *("\x1b[1;32m", "\x1b[0m", "\x1b]0;t\x07", "\x1b\\"),
        ]
    ),
    max_size=60,
)


def shown(*parts: bytes, **options: Any) -> list[str]:
    rows: list[Row] = []
    terminal = Terminal(rows.append, columns=40, rows=5, **options)
    for part in parts:
        terminal.feed(part)
    terminal.close()
    return [row.text for row in rows if not row.is_erased]


@settings(max_examples=150, deadline=None)
@given(pieces=PIECES, junk=st.binary(max_size=20), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_in_whatever_parts_it_comes_the_same_is_shown(
    pieces: list[str], junk: bytes, cuts: list[int]
) -> None:
    data = "".join(pieces).encode() + junk + "".join(reversed(pieces)).encode()
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    parts = [data[a:b] for a, b in itertools.pairwise(ends)]
    for colours in (False, True):
        assert shown(*parts, colours=colours) == shown(data, colours=colours)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_anything_at_all_can_be_shown(data: bytes) -> None:
    for line in shown(data):
        assert not set(line) & set(map(chr, range(32)))


def test_a_line_without_end_stays_bounded() -> None:
    rows: list[Row] = []
    terminal = Terminal(rows.append)
    for _ in range(64):
        terminal.feed(b"x" * (1 << 20))
    terminal.close()
    (row,) = rows
    assert row.text == "x" * COLUMNS + f"… [{(64 << 20) - COLUMNS:,} more characters]"


def test_an_escape_without_end_stays_bounded() -> None:
    assert lines_of("\x1b[" + "1;" * 100_000 + "mtext") == ["text"]
    assert lines_of("\x1b]0;" + "x" * 100_000 + "\x07text") == ["text"]


def test_lines_out_of_reach_are_final() -> None:
    rows: list[Row] = []
    terminal = Terminal(rows.append)
    terminal.feed("line\n" * (ROWS + 10))
    assert [row.is_final for row in rows] == [True] * 11 + [False] * (ROWS - 1)


# Many streams.


def piece(stream: str, text: str, *, missing: int = 0, epoch: int = 1) -> ConsolePiece:
    return ConsolePiece(0, epoch, stream, 0, 1.5, text, missing)


def test_streams_do_not_break_each_others_lines() -> None:
    """A bar on stderr stays where it began; lines of stdout cut by arrival are whole."""
    pieces = [
        piece("stdout", "sta"),
        piece("stderr", "\r 10%"),
        piece("stdout", "rt\nstep"),
        piece("stderr", "\r100%"),
        piece("stdout", " 1\n"),
    ]
    lines = list(lines_of_pieces(pieces))
    assert [(line.stream, line.text) for line in lines] == [
        ("stdout", "start"),
        ("stderr", "100%"),
        ("stdout", "step 1"),
    ]
    assert lines[0].at == 1.5


def test_a_gap_is_a_line_of_its_own() -> None:
    pieces = [piece("stdout", "half a li"), piece("stdout", "ne?\nend\n", missing=1_234_567_890)]
    texts = [line.text for line in lines_of_pieces(pieces)]
    assert texts == ["half a li", "[1.2 GB not stored]", "ne?", "end"]


def test_a_gap_ends_an_escape_that_was_cut_off() -> None:
    pieces = [piece("stdout", "a\x1b]0;ti"), piece("stdout", "b\n", missing=5)]
    texts = [line.text for line in lines_of_pieces(pieces)]
    assert texts == ["a", "[5 bytes not stored]", "b"]


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [(1, "1 byte"), (999, "999 bytes"), (64_000, "64.0 kB"), (999_999, "1.0 MB")],
)
def test_sizes_are_told_in_three_digits(n_bytes: int, words: str) -> None:
    assert not_stored(n_bytes) == f"[{words} not stored]"


def test_lines_are_held_back_for_a_bar_only_so_long() -> None:
    text = ConsoleText()
    text.feed(piece("stderr", "bar"))
    n_given = 0
    for _ in range(2 * PENDING_LIMIT):
        text.feed(piece("stdout", "line\n"))
        n_given += len(list(text.lines()))
    assert n_given >= PENDING_LIMIT
    n_left = len(list(text.close()))
    assert n_given + n_left == 2 * PENDING_LIMIT + 1
