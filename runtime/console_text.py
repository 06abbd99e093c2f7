"""Console pieces of many streams as the lines people read: in order, gaps told, bars drawn once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dray.runtime.answers import ConsolePiece
from dray.runtime.terminal import Row, Terminal

#: Lines held back for one before them that may still change; then it is given out as it is.
PENDING_LIMIT = 2000


@dataclass(frozen=True)
class ConsoleLine:
    """One line of a console as a terminal shows it, without its end.

    Attributes:
        at: when its first character reached the server.
    """

    epoch: int
    stream: str
    at: float
    text: str


class ConsoleText:
    """Feed it pieces in order of arrival; each stream has a terminal of its own.

    A line stands where it began: what a progress bar on stderr becomes stays above what stdout
    printed after it had appeared.
    """

    def __init__(self, *, colours: bool = False) -> None:
        self._colours = colours
        self._terminals: dict[tuple[int, str], Terminal] = {}
        self._rows: deque[tuple[ConsolePiece, Row]] = deque()
        self._piece: ConsolePiece

    def feed(self, piece: ConsolePiece) -> None:
        """Take the next piece."""
        self._piece = piece
        terminal = self._terminals.get((piece.epoch, piece.stream))
        if terminal is None:
            terminal = Terminal(self._add, colours=self._colours)
            self._terminals[piece.epoch, piece.stream] = terminal
        if piece.missing:
            terminal.note(not_stored(piece.missing))
        terminal.feed(piece.text)

    def lines(self) -> Iterator[ConsoleLine]:
        """The lines that will not change, each once."""
        while self._rows and (self._rows[0][1].is_final or len(self._rows) > PENDING_LIMIT):
            piece, row = self._rows.popleft()
            if not row.is_erased:
                yield ConsoleLine(piece.epoch, piece.stream, piece.at, row.text)

    def close(self) -> Iterator[ConsoleLine]:
        """The lines that are left, as they are now."""
        for terminal in self._terminals.values():
            terminal.close()
        return self.lines()

    def _add(self, row: Row) -> None:
        self._rows.append((self._piece, row))


def lines_of_pieces(
    pieces: Iterable[ConsolePiece], *, colours: bool = False
) -> Iterator[ConsoleLine]:
    """The lines that these pieces show."""
    text = ConsoleText(colours=colours)
    for piece in pieces:
        text.feed(piece)
        yield from text.lines()
    yield from text.close()


def not_stored(n_bytes: int) -> str:
    """What stands in the console where bytes are missing."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"]
    while size >= 999.95 and len(units) > 1:
        size, units = size / 1000, units[1:]
    amount = f"{n_bytes} {'byte' if n_bytes == 1 else 'bytes'}"
    return f"[{amount if units[0] == 'bytes' else f'{size:.1f} {units[0]}'} not stored]"
