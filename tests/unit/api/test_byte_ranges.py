"""Byte ranges of a file of known length."""

import pytest

from dray.api.byte_ranges import byte_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes= 1-2", (1, 3)),
    ],
)
def test_a_range_is_cut_to_what_is_there(header: str, part: tuple[int, int]) -> None:
    assert byte_range(header, 10) == part


@pytest.mark.parametrize(
    "header", ["bytes=10-", "bytes=-0", "bytes=3-2", "bytes=-", "lines=1-2", "bytes=0-1,3-4"]
)
def test_what_is_no_single_part_of_it_is_refused(header: str) -> None:
    assert byte_range(header, 10) is None


def test_nothing_is_part_of_an_empty_file() -> None:
    assert byte_range("bytes=0-", 0) is None
