"""How far a server is known to have a spool: kept in it, so that shipping can go on later."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from dray.runtime.codec import from_json, to_json
from dray.runtime.paths import SpoolPaths


@dataclass(frozen=True)
class Shipped:
    """What one server has of a spool.

    Attributes:
        url: of that server; another one has nothing yet.
        epoch: the attempt's number there, which differs from the spool's when the run was
            recorded without a server; 0: not started there.
        offsets: bytes of each stream that it has.
        closed: the attempt has ended there; nothing more will be taken.
    """

    url: str = ""
    epoch: int = 0
    offsets: dict[str, int] = field(default_factory=dict[str, int])
    closed: bool = False


def load_shipped(spool: SpoolPaths, url: str) -> Shipped:
    """What the server at ``url`` has; a file that cannot be read counts as nothing.

    Sending again what a server has is harmless, so nothing rests on this file.
    """
    try:
        known = from_json(Shipped, json.loads(spool.shipped.read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return Shipped(url)
    return known if known.url == url else Shipped(url)


def save_shipped(spool: SpoolPaths, shipped: Shipped) -> None:
    """Replace the file; a reader sees the old one or the new one."""
    aside = spool.shipped.with_name(f".{spool.shipped.name}.{os.getpid()}")
    aside.write_text(json.dumps(to_json(shipped)), "utf-8")
    aside.replace(spool.shipped)
