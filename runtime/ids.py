"""Ids of tasks, queues, agents and claims, and how a unique prefix stands for one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from dray.runtime.errors import AmbiguousId, InvalidInput, NotFound

#: An id is 32 lower-case hexadecimal digits, as ClearML users know them.
ID_LENGTH = 32
#: Shorter prefixes are refused: they are more likely a typing slip than an id.
MIN_PREFIX_LENGTH = 4

_ID = re.compile(r"[0-9a-f]{32}")
_PREFIX = re.compile(r"[0-9a-f]{4,32}")


def new_id() -> str:
    """A fresh global id: 128 random bits, so that laptops can make them offline."""
    return os.urandom(16).hex()


def is_id(text: str) -> bool:
    """Whether ``text`` is a whole id."""
    return _ID.fullmatch(text) is not None


def is_prefix(text: str) -> bool:
    """Whether ``text`` could be the beginning of an id, or a whole one."""
    return _PREFIX.fullmatch(text) is not None


def check_prefix(text: str, noun: str) -> str:
    """``text`` itself when it may stand for an id.

    Raises:
        InvalidInput: it is not 4 to 32 hexadecimal digits.
    """
    lowered = text.strip().lower()
    if not is_prefix(lowered):
        raise InvalidInput(
            f"{text!r} is not a {noun} id: give 4 to 32 hexadecimal digits",
            field="id",
            value=text,
        )
    return lowered


def only_match(prefix: str, matches: Iterable[str], noun: str) -> str:
    """The one id that a prefix stands for.

    Raises:
        NotFound: nothing fits.
        AmbiguousId: several fit; they are listed, ten at most.
    """
    found = list(matches)
    if not found:
        raise NotFound(f"no {noun} has an id that begins with {prefix!r}", id=prefix)
    if len(found) > 1:
        shown = ", ".join(match[:12] for match in found[:10])
        raise AmbiguousId(
            f"{prefix!r} fits {len(found)} {noun}s ({shown}); give more digits",
            id=prefix,
            matches=found[:10],
        )
    return found[0]
