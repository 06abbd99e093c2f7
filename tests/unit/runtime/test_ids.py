"""Ids and the prefixes that stand for them."""

from __future__ import annotations

import pytest

from dray.runtime.errors import AmbiguousId, InvalidInput, NotFound
from dray.runtime.ids import check_prefix, is_id, is_prefix, new_id, only_match


def test_new_ids_are_whole_and_different() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_id(one) for one in made)


def test_a_prefix_may_be_typed_in_capitals_and_with_spaces_around() -> None:
    assert check_prefix("  ABCD ", "task") == "abcd"


@pytest.mark.parametrize("text", ["", "abc", "xyzw", "train", "a" * 33, "abcd/..", "abcd\n0"])
def test_what_is_no_id_is_refused_by_noun(text: str) -> None:
    assert not is_prefix(text)
    with pytest.raises(InvalidInput, match="queue id"):
        check_prefix(text, "queue")


def test_the_only_match_is_taken() -> None:
    assert only_match("abcd", ["abcd1"], "task") == "abcd1"


def test_no_match_names_the_prefix() -> None:
    with pytest.raises(NotFound, match=r"no task .*'abcd'"):
        only_match("abcd", [], "task")


def test_several_matches_are_listed_ten_at_most() -> None:
    with pytest.raises(AmbiguousId, match="fits 12 tasks") as caught:
        only_match("abcd", [f"abcd{i:x}" for i in range(12)], "task")
    assert len(caught.value.details["matches"]) == 10
