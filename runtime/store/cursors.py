"""Where the next page of a list begins, as text that only the list it came from takes back."""

from __future__ import annotations

import base64
import json
from typing import Any

from dray.runtime.errors import InvalidInput


def encode(order: str, key: Any, row_id: str) -> str:
    """The page after the row with this sort key begins here, for the same order only."""
    text = json.dumps([order, key, row_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(order: str, cursor: str) -> tuple[Any, str]:
    """Sort key and id that :func:`encode` was given.

    Raises:
        InvalidInput: no list of this order gave the cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        made_for, key, row_id = json.loads(base64.urlsafe_b64decode(padded))
        if made_for != order or not isinstance(key, (str, int, float)):
            raise ValueError("it belongs to another order")
    except (ValueError, TypeError) as exc:
        raise InvalidInput(
            f"cursor {cursor!r} is not one this list gave; begin without a cursor",
            field="cursor",
            value=cursor,
        ) from exc
    return key, str(row_id)
