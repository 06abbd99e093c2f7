"""The page draws plots of its own numbers; where there is a node to run it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "api" / "web" / "plots.js"
#: A page of the little that is used, then each figure's elements as JSON.
HARNESS = """
class Element {
  children = []; attributes = {};
  constructor(name) { this.name = name; }
  append(...added) { for (const one of added) { one.parent = this; this.children.push(one); } }
  after(one) { const all = this.parent.children; all.splice(all.indexOf(this) + 1, 0, one); }
  setAttribute(key, value) { this.attributes[key] = value; }
  get firstChild() { return this.children[0]; }
  toJSON() {
    const { name, attributes, textContent: text, src, children } = this;
    return { name, attributes, text, src, children };
  }
}
globalThis.Node = Element;
const made = (name) => new Element(name);
globalThis.document = { createElement: made, createElementNS: (_, name) => made(name) };
const { draw } = await import(process.argv[1]);
let input = "";
for await (const block of process.stdin) input += block;
console.log(JSON.stringify(JSON.parse(input).map(draw)));
"""


def drawn(*figures: dict[str, Any]) -> list[list[dict[str, Any]]]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    done = subprocess.run(
        [node, "--input-type=module", "-e", HARNESS, str(SCRIPT)],
        input=json.dumps(figures),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def below(part: dict[str, Any], name: str) -> list[dict[str, Any]]:
    children = [child for child in part["children"] if isinstance(child, dict)]
    found = [inner for child in children for inner in below(child, name)]
    return [child for child in children if child["name"] == name] + found


def test_each_kind_is_drawn_from_its_numbers() -> None:
    line = {"type": "scatter", "x": [1, 2, 3], "y": [1, None, 4], "mode": "lines+markers"}
    bar = {"type": "bar", "x": ["a", "b"], "y": [2, -1]}
    matrix = {"type": "heatmap", "z": [[1, 2], [3, 4]], "x": ["p", "q"]}
    table = {"type": "table", "header": {"values": [["n"]]}, "cells": {"values": [[1, "<b>"]]}}
    picture = {"images": [{"source": "data:image/png;base64,AAAA"}]}
    shown = drawn(
        {"data": [line], "layout": {"xaxis": {"title": {"text": "step"}}}},
        {"data": [bar], "layout": {}},
        {"data": [matrix], "layout": {}},
        {"data": [table], "layout": {}},
        {"data": [], "layout": picture},
    )
    (lines,), (bars,), (cells,), (rows,), (image,) = shown
    assert len(below(lines, "circle")) == 2
    assert below(lines, "path")[1]["attributes"]["d"].count("M") == 2  # a gap ends a line
    assert "step" in [text["text"] for text in below(lines, "text")]
    assert len(below(bars, "rect")) == 2
    assert [cell["text"] for cell in below(cells, "td")] == [
        "",
        "p",
        "q",
        "1",
        "3",
        "4",
        "0",
        "1",
        "2",
    ]
    assert [cell["text"] for cell in below(rows, "td")] == ["n", "1", "<b>"]
    assert image["src"] == "data:image/png;base64,AAAA"


def test_a_kind_that_is_not_drawn_and_a_picture_from_elsewhere_are_only_told() -> None:
    shown = drawn(
        {"data": [{"type": "surface", "z": [[1]]}], "layout": {}},
        {"data": [], "layout": {"images": [{"source": "https://example.org/spy.png"}]}},
        {"data": [{"type": "heatmap", "z": [[0] * 100] * 100}], "layout": {}},
        {},
    )
    assert [part["name"] for (part,) in shown] == ["p"] * 4
    assert "surface" in shown[0][0]["text"]
    assert shown[2][0]["text"] == "a matrix of 100 x 100"
