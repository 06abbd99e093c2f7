"""Columns of numbers as bytes, 8 for each, little-endian; also for SQL that migrates."""

from __future__ import annotations

import math
import operator
import sqlite3
import sys
from array import array
from collections.abc import Iterable
from typing import Any

#: Whole numbers of 64 bits, and floats of as many.
INTEGERS, FLOATS = "q", "d"
#: Bytes of one number.
NUMBER_BYTES = 8


def pack(typecode: str, numbers: Iterable[Any]) -> bytes:
    """``numbers`` as bytes.

    Raises:
        OverflowError: a whole number has more than 64 bits.
    """
    packed: array[Any] = array(typecode, numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(typecode: str, data: bytes) -> array[Any]:
    """The numbers that were packed into ``data``."""
    numbers: array[Any] = array(typecode)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def register(connection: sqlite3.Connection) -> None:
    """Give a migrating connection ``pack_integers`` and ``pack_floats``."""
    connection.create_aggregate("pack_integers", 2, _PackIntegers)  # type: ignore[arg-type]
    connection.create_aggregate("pack_floats", 2, _PackFloats)  # type: ignore[arg-type]


class _PackIntegers:
    """Aggregate of SQL: the second arguments, in the order of the first, packed."""

    typecode = INTEGERS

    def __init__(self) -> None:
        self._seen: list[tuple[int, Any]] = []

    def step(self, order: int, number: float | None) -> None:
        """One row."""
        self._seen.append((order, math.nan if number is None else number))

    def finalize(self) -> bytes:
        """All of them."""
        self._seen.sort(key=operator.itemgetter(0))
        return pack(self.typecode, (number for _, number in self._seen))


class _PackFloats(_PackIntegers):
    """The same of floats; NULL, which SQLite makes of NaN, is one again."""

    typecode = FLOATS
