"""How lists are asked for, one page at a time, and how a list that fits one page is answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query

from dray.runtime.answers import Page
from dray.runtime.errors import InvalidInput

T = TypeVar("T")

#: Largest page: an answer stays bounded whatever is asked for.
PAGE_LIMIT = 500
DEFAULT_LIMIT = 50


@dataclass(frozen=True)
class PageArgs:
    """Which page.

    Attributes:
        cursor: ``next_cursor`` of the page before; None for the first.
    """

    limit: int
    cursor: str | None


async def page_args(
    limit: Annotated[
        int, Query(ge=1, le=PAGE_LIMIT, description="most items to answer")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[str, Query(description="`next_cursor` of the page before")] = "",
) -> PageArgs:
    """The page a request asks for."""
    return PageArgs(limit, cursor or None)


Paged = Annotated[PageArgs, Depends(page_args)]


def whole(items: list[T]) -> Page[T]:
    """A list that is bounded by nature (queues, agents, attempts of a task), as its only page."""
    return Page(items, None)


def cut(found: list[T], limit: int, cursor: Callable[[T], str]) -> Page[T]:
    """The page of a list that was asked for one item more than ``limit``."""
    items = found[:limit]
    return Page(items, cursor(items[-1]) if len(found) > limit else None)


def two_numbers(cursor: str | None) -> tuple[int, int] | None:
    """The two numbers of a cursor ``A.B``; None for the first page.

    Raises:
        InvalidInput: not such a cursor.
    """
    if cursor is None:
        return None
    # Both may be negative: what goes back to its queue stands before its first entry.
    match = re.fullmatch(r"(-?[0-9]{1,18})\.(-?[0-9]{1,18})", cursor)
    if match is None:
        raise InvalidInput(
            f"cursor {cursor!r} is not one this list gave", field="cursor", value=cursor
        )
    return int(match[1]), int(match[2])
