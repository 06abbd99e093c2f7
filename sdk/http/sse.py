"""Server-sent events as they come over a line: ``event``, ``id`` and ``data``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event; ``id`` is the last one the stream has named, to go on from."""

    event: str
    id: str
    data: str


def parse_events(lines: Iterable[bytes], last_id: str = "") -> Iterator[ServerEvent]:
    """The events in ``lines``; comments are skipped, an event cut short is dropped.

    Follows https://html.spec.whatwg.org/multipage/server-sent-events.html, chapter
    "Interpreting an event stream", as far as servers use it.
    """
    kind, data = "", list[str]()
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield ServerEvent(kind or "message", last_id, "\n".join(data))
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = value
