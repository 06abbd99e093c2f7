"""The page's terminal shows what the server's does; where there is a node to run it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dray.runtime.answers import ConsolePiece
from dray.runtime.console_text import lines_of_pieces, not_stored
from tests.unit.runtime.test_terminal import piece

SCRIPT = Path(__file__).parents[3] / "api" / "web" / "terminal.js"
#: A page of the little that the view needs, then each case's lines as JSON.
HARNESS = """
const { ConsoleView, notStored } = await import(process.argv[1]);
class Element {
  childNodes = []; textContent = ""; scrollTop = 0; scrollHeight = 0; clientHeight = 0;
  get firstChild() { return this.childNodes[0]; }
  append(child) { this.childNodes.push(child); child.parent = this; }
  remove() { this.parent.childNodes = this.parent.childNodes.filter((one) => one !== this); }
  replaceChildren() { this.childNodes = []; }
}
globalThis.document = { createElement: () => new Element() };
let input = "";
for await (const block of process.stdin) input += block;
const { cases, sizes } = JSON.parse(input);
const shown = cases.map((pieces) => {
  const pre = new Element();
  const view = new ConsoleView(pre);
  for (const piece of pieces) view.add(piece);
  return pre.childNodes.map((line) => line.textContent.replace(/\\n$/, ""));
});
console.log(JSON.stringify({ shown, sizes: sizes.map(notStored) }));
"""
TEXTS = [
    "one\ntwo",
    "12345\rab",
    "12345\r\x1b[Kab",
    "12345\x1b[1Kx",
    "abc\b\bX\ta",
    "1\x1b[3Cx\x1b[2Gy\x1b[4D",
    "one\ntwo\nthree\x1b[2F\x1b[J1",
    "\x1b]0;a title\x07text\x1b[?25l\x1b[1;31mred\x1b[0m",
    "\x1b]0;never ended\ntext\x1b(Bx\x9by\x00z",
    "\x1b[" + "1;" * 100 + "mtext",
    "x" * 5000,
    "line\n" * 200 + "\x1b[99Atop\x1b[99Bend",
    "\r  0%\r100%\n\n\rinner\x1b[A outer\n",
]


def cases() -> list[list[ConsolePiece]]:
    whole = [[piece("stdout", text)] for text in TEXTS]
    cut = [[piece("stdout", one) for one in text] for text in TEXTS if len(text) < 300]
    mixed = [
        [piece("stdout", "sta"), piece("stderr", "\r10%"), piece("stdout", "rt\n")],
        [piece("stdout", "half\x1b[1"), piece("stdout", "2Kend\n", missing=10**9)],
    ]
    return [*whole, *cut, *mixed]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the page's script")
def test_the_page_shows_what_the_server_would() -> None:
    given, sizes = cases(), [1, 999, 1000, 999_949, 999_951, 1_234_567_890]
    asked = {"cases": [[vars(one) for one in pieces] for pieces in given], "sizes": sizes}
    ran = subprocess.run(
        ["node", "--input-type=module", "--eval", HARNESS, SCRIPT.as_uri()],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(ran.stdout)
    expected = [[line.text for line in lines_of_pieces(pieces)] for pieces in given]
    assert answer["shown"] == [[line.replace(",", "") for line in one] for one in expected]
    assert answer["sizes"] == [not_stored(size) for size in sizes]
