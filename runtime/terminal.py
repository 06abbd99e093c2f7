r"""What a terminal would show of a byte stream: lines, with returns and cursor moves applied.

Progress bars write their line again and again and climb over the lines of others; read as plain
text they are thousands of lines. This is the part of a terminal they need, and no more: it works
on a stream of any length with bounded memory, and in whatever pieces the stream comes.

Applied: ``\r \n \b \t``, CSI A-G (cursor), J and K (erase), m (colours, kept on request). Every
other control and sequence is dropped. Lines have no fixed width and are not wrapped; see
docs/decisions/0013.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from dray.runtime.colours import Colours

#: Lines the cursor can climb back to; what scrolled off is final.
ROWS = 64
#: Characters kept of a line.
COLUMNS = 4096
#: Parameters of a sequence that is longer are not ones that mean anything.
_PARAMETERS_LIMIT = 64

_PRINTABLE = re.compile("[^\x00-\x1f\x7f-\x9f]+")
_PARAMETERS = re.compile("[ -?]+")
_END_OF_STRING = re.compile("[\x07\x18\x1a\x1b\n]")

_GROUND, _ESCAPE, _SEQUENCE, _STRING = range(4)


class Row:
    """One line, which may still change.

    Attributes:
        is_final: it has scrolled off, or the stream has ended.
        is_erased: it is not there any more.
    """

    __slots__ = ("_cells", "_colours", "_limit", "_width", "is_erased", "is_final", "is_shown")

    def __init__(self, limit: int) -> None:
        self._cells: list[str] = []
        self._colours: list[str] | None = None
        self._limit = limit
        self._width = 0
        self.is_final = self.is_erased = self.is_shown = False

    @property
    def text(self) -> str:
        """What is to be read, without blanks at the end."""
        if self._colours is None:
            line = "".join(self._cells).rstrip(" ")
        else:
            line = self._painted(self._colours)
        n_more = self._width - self._limit
        return line if n_more <= 0 else f"{line}… [{n_more:,} more characters]"

    def put(self, x: int, text: str, colour: str) -> None:
        """Write over what is at ``x``; beyond the limit characters are only counted."""
        self._width = max(self._width, x + len(text))
        shown = text[: max(0, self._limit - x)]
        if not shown:
            return
        if x > len(self._cells):
            self._fill(len(self._cells), x)
        self._cells[x : x + len(shown)] = shown
        if colour and self._colours is None:
            self._colours = [""] * len(self._cells)
        if self._colours is not None:
            self._colours += [""] * (x - len(self._colours))
            self._colours[x : x + len(shown)] = [colour] * len(shown)

    def erase(self, begin: int, end: int | None = None) -> None:
        """Make cells blank, up to ``end`` or all that follow."""
        if end is None:
            del self._cells[begin:]
            if self._colours is not None:
                del self._colours[begin:]
            self._width = min(self._width, begin)
        else:
            self._fill(begin, min(end, len(self._cells)))

    def _fill(self, begin: int, end: int) -> None:
        self._cells[begin:end] = " " * max(0, end - begin)
        if self._colours is not None:
            self._colours[begin:end] = [""] * max(0, end - begin)

    def _painted(self, colours: list[str]) -> str:
        parts: list[str] = []
        now = ""
        for cell, colour in zip(self._cells, colours, strict=True):
            if colour != now:
                parts.append("\x1b[0m" + colour if now else colour)
                now = colour
            parts.append(cell)
        return "".join(parts).rstrip(" ") if not now else "".join([*parts, "\x1b[0m"])


class Terminal:
    """Feed it a stream, in any pieces.

    Args:
        on_row: told of each line when the first thing is written to it, in order.
        colours: whether to keep them.
        rows: lines the cursor can climb back to.
        columns: characters kept of a line.
    """

    def __init__(
        self,
        on_row: Callable[[Row], None],
        *,
        colours: bool = False,
        rows: int = ROWS,
        columns: int = COLUMNS,
    ) -> None:
        self._on_row = on_row
        self._n_rows, self._columns = rows, columns
        self._window = [Row(columns)]
        self._x = self._y = 0
        self._state = _GROUND
        self._parameters = ""
        self._colours = Colours() if colours else None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes | str) -> None:
        """Take what the process wrote next; bytes that are no UTF-8 become U+FFFD."""
        text = self._decoder.decode(data) if isinstance(data, bytes) else data
        at = 0
        while at < len(text):
            if self._state == _GROUND:
                at = self._ground(text, at)
            elif self._state == _ESCAPE:
                at = self._escape(text, at)
            elif self._state == _SEQUENCE:
                at = self._sequence(text, at)
            else:
                at = self._string(text, at)

    def note(self, text: str) -> None:
        """Put a line of our own between what came before and what comes; nothing spans it."""
        self._put(self._decoder.decode(b"", final=True))
        self._state = _GROUND
        self._y = len(self._window) - 1
        if self._window[self._y].is_shown:
            self._new_line()
        self._put(text)
        self._new_line()

    def close(self) -> None:
        """The stream has ended: no line changes any more."""
        self._put(self._decoder.decode(b"", final=True))
        for y, row in enumerate(self._window):
            row.is_final = True
            row.is_erased = y >= self._y and not row.text  # a bar that was wiped leaves no line

    # Each reads from ``at`` on, and returns where it has come to.

    def _ground(self, text: str, at: int) -> int:
        run = _PRINTABLE.match(text, at)
        if run is not None:
            self._put(run.group())
            return run.end()
        character = text[at]
        if character == "\x1b":
            self._state = _ESCAPE
        elif character in "\n\v\f":
            self._new_line()
        elif character == "\r":
            self._x = 0
        elif character == "\b":
            self._x = max(0, self._x - 1)
        elif character == "\t":
            self._x += 8 - self._x % 8
        return at + 1

    def _escape(self, text: str, at: int) -> int:
        character = text[at]
        if character == "[":
            self._state, self._parameters = _SEQUENCE, ""
        elif character in "]PX^_":
            self._state = _STRING
        elif " " <= character <= "/":
            pass  # such as the "(" of a choice of characters; one more follows
        elif "0" <= character <= "~":
            self._state = _GROUND
        else:
            self._state = _GROUND
            return at
        return at + 1

    def _sequence(self, text: str, at: int) -> int:
        run = _PARAMETERS.match(text, at)
        if run is not None:
            room = _PARAMETERS_LIMIT - len(self._parameters)
            self._parameters += run.group()[: max(0, room)]
            return run.end()
        self._state = _GROUND
        if not "@" <= text[at] <= "~":
            return at
        if len(self._parameters) < _PARAMETERS_LIMIT:
            self._obey(text[at])
        return at + 1

    def _string(self, text: str, at: int) -> int:
        end = _END_OF_STRING.search(text, at)
        if end is None:
            return len(text)
        if end.group() == "\n":  # nobody writes titles of two lines: its end was lost
            self._state = _GROUND
            return end.start()
        self._state = _ESCAPE if end.group() == "\x1b" else _GROUND
        return end.end()

    def _obey(self, command: str) -> None:
        if command == "m":
            if self._colours is not None:
                self._colours.apply(self._parameters)
            return
        first = self._parameters.split(";")[0]
        if first and not first.isdigit():
            return  # private, such as "?25l", which hides the cursor
        number = min(int(first), self._columns) if first else 0
        steps = max(1, number)
        if command in "AF":
            self._y = max(0, self._y - steps)
        elif command in "BE":
            self._y = min(len(self._window) - 1, self._y + steps)
        elif command == "C":
            self._x += steps
        elif command == "D":
            self._x = max(0, self._x - steps)
        elif command in "G`":
            self._x = steps - 1
        elif command in "JK":
            self._erase(number, below=command == "J")
        if command in "EF":
            self._x = 0

    def _erase(self, what: int, *, below: bool) -> None:
        row = self._window[self._y]
        if what == 0:
            row.erase(self._x)
        elif what == 1:
            row.erase(0, self._x + 1)
        elif what == 2:
            row.erase(0)
        if below and what in (0, 2):  # lines above are history and stay
            for gone in self._window[self._y + 1 :]:
                gone.is_erased = gone.is_final = True
            del self._window[self._y + 1 :]

    def _put(self, text: str) -> None:
        if text:
            row = self._window[self._y]
            self._show(row)
            row.put(self._x, text, self._colours.sequence if self._colours else "")
            self._x += len(text)

    def _new_line(self) -> None:
        self._show(self._window[self._y])
        self._x = 0
        self._y += 1
        if self._y == len(self._window):
            self._window.append(Row(self._columns))
        if len(self._window) > self._n_rows:
            self._window.pop(0).is_final = True
            self._y -= 1

    def _show(self, row: Row) -> None:
        if not row.is_shown:
            row.is_shown = True
            self._on_row(row)


def lines_of(data: bytes | str, *, colours: bool = False) -> list[str]:
    """The lines a terminal shows of ``data``."""
    rows: list[Row] = []
    terminal = Terminal(rows.append, colours=colours)
    terminal.feed(data)
    terminal.close()
    return [row.text for row in rows if not row.is_erased]
