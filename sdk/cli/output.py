"""What commands say: data to stdout as JSON, a table or tab-separated lines, notes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

#: Colour of a state's or a difference's word on a terminal.
_STYLE_BY_WORD = {
    "draft": "dim",
    "pending": "yellow",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "aborted": "magenta",
    "published": "blue",
}


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table.

    Attributes:
        header: shown on a terminal only; a pipe gets bare lines.
        cell: the full value of an item, what a pipe gets.
        short: the value on a terminal, where it differs.
    """

    header: str
    cell: Callable[[T], str]
    short: Callable[[T], str] | None = None


@dataclass
class Facts:
    """Labelled values of one thing, in order, in titled groups."""

    groups: list[tuple[str, list[tuple[str, str]]]] = field(
        default_factory=list[tuple[str, list[tuple[str, str]]]]
    )

    def group(self, title: str) -> None:
        """Begin a group; an empty one is not shown."""
        self.groups.append((title, []))

    def add(self, label: str, value: object) -> None:
        """Add a value, unless it is empty or None."""
        if value is None or value == "":
            return
        if not self.groups:
            self.group("")
        self.groups[-1][1].append((label, str(value)))


class Output:
    """Where a command's answers go.

    Attributes:
        as_json: print JSON, whatever stdout is.
        consoles_aside: consoles of tasks are not the answer here; they go to stderr.
    """

    def __init__(self, *, as_json: bool = False, consoles_aside: bool = False) -> None:
        self.as_json = as_json
        self.consoles_aside = consoles_aside

    @property
    def on_terminal(self) -> bool:
        """Whether people read stdout: no JSON asked for, and no pipe."""
        return not self.as_json and sys.stdout.isatty()

    def json(self, value: Any) -> None:
        """Print ``value`` as JSON: indented on a terminal, one line in a pipe."""
        from dray.runtime.codec import to_json

        indent = 2 if sys.stdout.isatty() else None
        print(json.dumps(to_json(value), indent=indent, ensure_ascii=False))

    def table(self, items: Iterable[T], columns: Sequence[Column[T]], *, empty: str = "") -> None:
        """Print ``items``: a JSON array, a table, or one tab-separated line each.

        Args:
            items: what to print.
            columns: what to show of each; JSON shows everything.
            empty: said on stderr when a terminal would see nothing.
        """
        found = list(items)
        if self.as_json:
            self.json(found)
        elif not self.on_terminal:
            for item in found:
                print("\t".join(one_line(column.cell(item)) for column in columns))
        elif found:
            self._rich_table(found, columns)
        elif empty:
            self.note(empty)

    def facts(self, value: Any, facts: Facts) -> None:
        """Print one thing: ``value`` as JSON, or its facts as a list of labels and values."""
        if self.as_json:
            self.json(value)
        elif self.on_terminal:
            self._rich_facts(facts)
        else:
            for _, pairs in facts.groups:
                for label, text in pairs:
                    print(f"{one_line(label)}\t{one_line(text)}")

    def answer(self, value: Any, text: str) -> None:
        """Print the outcome of a request: ``value`` as JSON, or ``text``."""
        if self.as_json:
            self.json(value)
        else:
            print(text)

    def lines(self, text: str) -> None:
        """Print lines as they are; on a terminal without what would steer it."""
        sys.stdout.write(printable(text) if self.on_terminal else text)

    def raw(self, data: bytes) -> None:
        """Write the bytes of a console as they are, at once."""
        text = sys.stderr if self.consoles_aside else sys.stdout
        stream: Any = getattr(text, "buffer", None)
        if stream is None:  # a captured stdout that holds text
            text.write(data.decode("utf-8", "replace"))
            text.flush()
            return
        text.flush()
        stream.write(data)
        stream.flush()

    def note(self, text: str) -> None:
        """Say something that is not data, on stderr."""
        print(text, file=sys.stderr, flush=True)

    def _rich_table(self, items: Sequence[T], columns: Sequence[Column[T]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.header, overflow="fold")
        for item in items:
            table.add_row(*(_styled((column.short or column.cell)(item)) for column in columns))
        _console().print(table)

    def _rich_facts(self, facts: Facts) -> None:
        from rich.table import Table
        from rich.text import Text

        console = _console()
        for title, pairs in facts.groups:
            if not pairs:
                continue
            if title:
                console.print(Text(f"\n{title}", style="bold"))
            grid = Table.grid(padding=(0, 2))
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(overflow="fold")
            for label, text in pairs:
                grid.add_row(Text(printable(label)), _styled(text))
            console.print(grid)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    # rich keeps bold and dim under NO_COLOR; who sets it wants plain text.
    return Console(color_system=None) if console.no_color else console


def one_line(text: str) -> str:
    """``text`` as one field of a tab-separated line."""
    escaped = text.replace("\\", "\\\\") if any(c in text for c in "\t\n\r") else text
    return printable(escaped.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r"))


def printable(text: str) -> str:
    """``text`` without control characters, which could rewrite a terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _styled(text: str) -> Any:
    from rich.text import Text

    words = text.split(maxsplit=1)
    return Text(printable(text), style=_STYLE_BY_WORD.get(words[0], "") if words else "")
