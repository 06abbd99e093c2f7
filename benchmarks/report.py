"""From readings to ``latest.json``, and from there to what people read."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import TypedDict

from benchmarks.catalogue import BY_NAME, CATALOGUE
from benchmarks.measure import Reading, in_words

LATEST = Path(__file__).with_name("latest.json")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


class Entry(TypedDict):
    """One measure as it is stored.

    Attributes:
        value: the median; ``spread`` is the first and the third quartile.
        against: what was measured beside it in the same run.
        ratio: to that.
        bar: such as ``ratio <= 3``; empty where it is only reported.
        holds: None without a bar.
    """

    name: str
    value: float
    unit: str
    against: str
    ratio: float | None
    bar: str
    holds: bool | None
    spread: list[float]
    note: str
    at: str
    machine: str


def entry_of(reading: Reading) -> Entry:
    """What is stored of a reading."""
    spec = BY_NAME[reading.name]
    value, bar = reading.sample.median, spec.bar
    return Entry(
        name=reading.name,
        value=_rounded(value),
        unit=spec.unit,
        against=reading.against,
        ratio=None if reading.ratio is None else _rounded(reading.ratio),
        bar=str(bar or ""),
        holds=None if bar is None else bar.holds(value, reading.ratio),
        spread=[_rounded(edge) for edge in reading.sample.spread],
        note=reading.note,
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine(),
    )


def read_latest() -> list[Entry]:
    """What was stored last; nothing where nothing was."""
    return json.loads(LATEST.read_text("utf-8")) if LATEST.is_file() else []


def store(entries: Iterable[Entry]) -> None:
    """Put these in the place of those by the same names, in the order of the catalogue."""
    by_name = {entry["name"]: entry for entry in [*read_latest(), *entries]}
    kept = [by_name[spec.name] for spec in CATALOGUE if spec.name in by_name]
    LATEST.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def line(entry: Entry) -> str:
    """One measure for a terminal."""
    low, high = entry["spread"]
    value = f"{in_words(entry['value'])} {entry['unit']}"
    spread = f"({in_words(low)} to {in_words(high)})"
    words = {True: "holds", False: "DOES NOT HOLD", None: "reported"}[entry["holds"]]
    bar = f"{entry['bar']}: {words}" if entry["bar"] else words
    times = f"{_ratio(entry)} x {entry['against']}" if entry["ratio"] is not None else ""
    text = f"{entry['name']:31}{value:>14} {spread:18} {times}; {bar}"
    return f"{text}\n{'':31}  {entry['note']}" if entry["note"] else text


def write_page(entries: list[Entry]) -> None:
    """Put the figures, and what they mean, in the place of those the page has."""
    page = PAGE.read_text("utf-8")
    page = _replaced(page, "measured", table(entries))
    PAGE.write_text(_replaced(page, "meaning", meaning()), "utf-8")


def _replaced(page: str, part: str, text: str) -> str:
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def meaning() -> str:
    """What each measure is, from the catalogue."""
    return "".join(f"- `{spec.name}`: {spec.says}.\n" for spec in CATALOGUE)


def table(entries: list[Entry]) -> str:
    """All measures as the page shows them."""
    rows = [
        "| Measure | Median (quartiles) | Against | Ratio | Bar | |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        low, high = (in_words(edge) for edge in entry["spread"])
        value = f"{in_words(entry['value'])} {entry['unit']} ({low} to {high})"
        verdict = {True: "holds", False: "**does not hold**", None: ""}[entry["holds"]]
        rows.append(
            f"| `{entry['name']}` | {value} | {entry['against']} | {_ratio(entry)} "
            f"| {entry['bar']} | {verdict} |"
        )
    notes = [f"- `{e['name']}`: {e['note']}" for e in entries if e["note"]]
    machines = sorted({f"{e['machine']}, {e['at'][:10]}" for e in entries})
    return "\n".join([*rows, "", f"Measured on {'; '.join(machines)}.", "", *notes, ""])


def machine() -> str:
    """This machine in words."""
    return (
        f"{os.cpu_count()} cores of {_processor()}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    facts = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [text.partition(":")[2].strip() for text in facts if text.startswith("model name")]
    return names[0] if names else platform.machine()


def _ratio(entry: Entry) -> str:
    return "" if entry["ratio"] is None else f"{entry['ratio']:.2f}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
