"""Why two environments are two: what their keys cover, compared part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dray.runtime.environments import EnvironmentWhy, PartDifference

#: What explains most comes first; parts that are not here follow.
_ORDER = (
    *("python", "implementation", "abi", "platform", "manager", "place", "torch_backend"),
    *("requirements", "constraints", "extras", "groups", "local", "files"),
    *("index_urls", "find_links", "build_flags"),
)
#: Two environments are as near as they share lines of these; another Python is far away.
_BY_LINE = ("requirements", "constraints", "extras", "groups")
_WEIGHT = 10

Covered = Mapping[str, Any]


def compare(left_key: str, left: Covered, right_key: str, right: Covered) -> EnvironmentWhy:
    """What differs between two environments, given what their keys cover."""
    differences = [
        difference
        for part in _parts(left, right)
        for difference in _differences(part, left.get(part), right.get(part))
    ]
    names = f"{left_key[:12]} and {right_key[:12]}"
    if not differences:
        return EnvironmentWhy(left_key, right_key, f"{names} cover the same")
    summary = f"{names} differ in {_listed([_in_words(d) for d in differences])}"
    return EnvironmentWhy(left_key, right_key, summary, differences)


def nearest(wanted: Covered, others: Mapping[str, Covered]) -> str:
    """The key of ``others`` that has most in common with ``wanted``; empty: there are none."""
    return min(others, key=lambda key: _distance(others[key], wanted), default="")


def why_built(key: str, covered: Covered, others: Mapping[str, Covered]) -> EnvironmentWhy:
    """Why ``key`` had to be built although ``others`` were there: against the nearest of them."""
    there = {other: parts for other, parts in others.items() if other != key}
    near = nearest(covered, there)
    if not near:
        return EnvironmentWhy("", key, f"{key[:12]} was built: the node had no other environment")
    found = compare(near, there[near], key, covered)
    if not found.differences:
        summary = f"{key[:12]} was built: {near[:12]} covers the same and had been changed"
        return EnvironmentWhy(near, key, summary)
    parts = _listed([_in_words(d) for d in found.differences])
    summary = f"{key[:12]} was built: {near[:12]}, the nearest that was there, differs in {parts}"
    return EnvironmentWhy(near, key, summary, found.differences)


def _parts(left: Covered, right: Covered) -> list[str]:
    names = dict.fromkeys([*left, *right])
    known = [name for name in _ORDER if name in names]
    return known + [name for name in names if name not in _ORDER]


def _differences(part: str, left: Any, right: Any) -> Iterator[PartDifference]:
    if left == right:
        return
    if isinstance(left or right, Mapping):
        yield from _of_mappings(part, left or {}, right or {})
    elif isinstance(left or right, list):
        yield _of_lists(part, left or [], right or [])
    else:
        yield PartDifference(part, _lines(left), _lines(right))


def _of_lists(part: str, left: list[Any], right: list[Any]) -> PartDifference:
    before, after = Counter(map(str, left)), Counter(map(str, right))
    removed, added = list((before - after).elements()), list((after - before).elements())
    note = "" if removed or added else "the same lines in another order"
    return PartDifference(part, removed, added, note)


def _of_mappings(
    part: str, left: Mapping[str, Any], right: Mapping[str, Any]
) -> Iterator[PartDifference]:
    """One difference for each member: a file by its lines, a local package by its hash."""
    for name in dict.fromkeys([*left, *right]):
        before, after = left.get(name), right.get(name)
        if before == after:
            continue
        title = f"{part}: {name}"
        if before is None or after is None:
            owner = "second" if before is None else "first"
            yield PartDifference(title, note=f"only the {owner} has it")
        elif "\n" in f"{before}{after}":
            yield _of_texts(title, str(before), str(after))
        else:
            yield PartDifference(title, note="its content differs")


def _of_texts(title: str, left: str, right: str) -> PartDifference:
    before, after = ([line.strip() for line in text.splitlines()] for text in (left, right))
    found = _of_lists(title, [s for s in before if s], [s for s in after if s])
    return replace(found, note=found.note and "only spaces or the order of lines differ")


def _lines(value: Any) -> list[str]:
    return [str(value)] if value not in (None, "") else []


def _distance(left: Covered, right: Covered) -> int:
    return sum(
        len(d.removed) + len(d.added) if part in _BY_LINE else _WEIGHT
        for part in _parts(left, right)
        for d in _differences(part, left.get(part), right.get(part))
    )


def _in_words(difference: PartDifference) -> str:
    removed, added = difference.removed, difference.added
    if len(removed) + len(added) > 2 or not (removed or added):
        counts = [f"{len(added)} added"] * bool(added) + [f"{len(removed)} removed"] * bool(removed)
        return f"{difference.part} ({', '.join(counts) or difference.note})"
    if removed and added:
        return f"{difference.part} ({removed[0]} → {added[0]})"
    return f"{difference.part} ({f'+ {added[0]}' if added else f'- {removed[0]}'})"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
