"""The measures, their last results and the page about them speak of the same things."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
LATEST = ROOT / "benchmarks" / "latest.json"


@pytest.fixture(scope="module")
def measures() -> dict[str, dict[str, Any]]:
    """What ``python -m benchmarks --list`` says there is, by name."""
    listed = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {measure["name"]: measure for measure in json.loads(listed.stdout)}


def test_names_are_stable_words(measures: dict[str, Any]) -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in measures)


def test_the_last_results_are_of_these_measures_and_their_bars(measures: dict[str, Any]) -> None:
    latest = json.loads(LATEST.read_text("utf-8"))
    assert [entry["name"] for entry in latest] == list(measures)
    for entry in latest:
        assert {"name", "value", "unit", "against", "ratio", "bar", "holds"} <= entry.keys()
        assert entry["bar"] == measures[entry["name"]]["bar"]
        assert (entry["holds"] is None) == (entry["bar"] == "")


def test_the_page_shows_and_explains_every_measure(measures: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    assert re.findall(r"^\| `([^`]+)`", page, re.MULTILINE) == list(measures)
    explained = page.partition("## What is measured")[2]
    assert re.findall(r"^- `([^`]+)`", explained, re.MULTILINE) == list(measures)


def test_a_measure_nobody_knows_is_refused_with_those_there_are() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "benchmarks", "no-such-measure"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "no-such-measure" in refused.stderr
    assert "enqueue-to-first-line" in refused.stderr
