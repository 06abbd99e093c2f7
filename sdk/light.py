"""What annotations need of ``typing``, without importing it: a fifth of what a child pays."""

from __future__ import annotations

__all__ = ["TYPE_CHECKING", "cast"]

#: Type checkers take this name for true, wherever it comes from.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import cast
else:

    def cast(_kind, value):
        """``value`` itself; the type is for type checkers."""
        return value
