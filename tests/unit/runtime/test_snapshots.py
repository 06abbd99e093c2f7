"""Manifests: equal trees are equal bytes, and no path leaves the root."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime.errors import InvalidInput
from dray.runtime.snapshots import (
    FileEntry,
    check_entry,
    decode_manifest,
    digest,
    encode_manifest,
    link_stays_inside,
)

names = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)
entries = st.lists(
    st.builds(FileEntry, names, st.just("a" * 64), st.integers(0, 2**40), st.booleans()),
    unique_by=lambda entry: entry.path,
    max_size=8,
)


@given(entries, st.randoms())
def test_a_manifest_does_not_depend_on_the_order_of_files(
    files: list[FileEntry], rng: random.Random
) -> None:
    shuffled = files.copy()
    rng.shuffle(shuffled)
    assert encode_manifest(files) == encode_manifest(shuffled)
    assert decode_manifest(encode_manifest(files)) == sorted(files, key=lambda e: e.path)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\0b", ".."])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="leaves the root"):
        decode_manifest(encode_manifest([FileEntry(path, "a" * 64, 1)]))


@pytest.mark.parametrize(
    ("path", "target", "inside"),
    [
        ("a", "b", True),
        ("a/b", "../c", True),
        ("a/b", "../../c", False),
        ("a", "../c", False),
        ("a", "/etc/passwd", False),
        ("a/b/c", "../../x/../y", True),
        ("a", "b/../../c", False),
        ("a", ".", True),
    ],
)
def test_a_link_is_judged_by_where_it_leads(path: str, target: str, inside: bool) -> None:
    assert link_stays_inside(path, target) is inside
    entry = FileEntry(path, "a" * 64, 1, link=target)
    if inside:
        check_entry(entry)
    else:
        with pytest.raises(InvalidInput, match="link"):
            check_entry(entry)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({"format": 2, "files": []}).encode(),
        json.dumps({"format": 1, "files": [["a"]]}).encode(),
        json.dumps({"format": 1, "files": 3}).encode(),
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="manifest"):
        decode_manifest(data)


def test_a_digest_is_an_address() -> None:
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
