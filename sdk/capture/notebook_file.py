"""A Jupyter notebook's file as Python: its code cells in order, without a kernel.

What is no Python in a cell becomes a call of ``__notebook__`` (``sdk/notebook_run.py``), line by
line, so that a traceback names the lines that the user wrote. Part of the child's path.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from dataclasses import dataclass

from dray.runtime.errors import InvalidInput
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

#: Magics of whole cells whose body is Python of this process all the same.
_OF_PYTHON = frozenset({"time", "timeit", "capture", "prun"})
#: ``NAME = !command`` and ``NAME = %magic``; ``==`` is none.
_ASSIGNED = re.compile(r"^(?P<to>\s*[\w.,\[\]'\" ]+?\s*=\s*)(?P<what>[!%])(?P<rest>[^=].*)$")
#: ``%time`` and ``%timeit`` with their options, before the statement that they time.
_TIMED = re.compile(r"^(?P<indent>\s*)%(time|timeit)\s+(-\S+\s+(\d+\s+)?)*(?P<rest>\S.*)$")


@dataclass(frozen=True)
class Cell:
    """One code cell.

    Attributes:
        number: counted among the code cells, from 1.
        text: as the user wrote it.
        tags: of its metadata.
    """

    number: int
    text: str
    tags: frozenset[str] = frozenset()


def read(data: bytes, name: str) -> list[Cell]:
    """The code cells of a notebook's file.

    Raises:
        InvalidInput: it is no notebook, or one in another language than Python.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        sheets: list[Any] = document.get("worksheets") or [document]
        found: list[Any] = [cell for sheet in sheets for cell in sheet["cells"]]
        code = [cell for cell in found if cell["cell_type"] == "code"]
        cells = [
            Cell(number, _text(cell), frozenset(cell.get("metadata", {}).get("tags", ())))
            for number, cell in enumerate(code, 1)
        ]
        metadata = document.get("metadata", {})
        language = metadata.get("kernelspec", {}).get("language") or metadata.get(
            "language_info", {}
        ).get("name", "python")
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InvalidInput(f"{name} is no notebook: {exc}", field="script", value=name) from exc
    if str(language).lower() not in ("python", "ipython"):
        raise InvalidInput(
            f"{name} is a notebook in {language}; only Python's can be run without a kernel",
            field="script",
            value=name,
        )
    return cells


def as_script(data: bytes, name: str) -> str:
    """The whole notebook as one text of Python, for those who look for its imports."""
    return "\n\n".join(as_python(cell.text) for cell in read(data, name)) + "\n"


def as_python(cell: str) -> str:
    """The text of a cell as Python, line for line."""
    lines = cell.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        name, _, arguments = lines[first][2:].strip().partition(" ")
        if name not in _OF_PYTHON:
            body = "\n".join(lines[first + 1 :])
            call = f"__notebook__.cell_magic({name!r}, {arguments.strip()!r}, {body!r})"
            return "\n" * first + call
        lines[first] = f"# {lines[first]}"
    text = "\n".join(lines)
    if _parses(text):
        return text
    return _without_magics(lines)


def _without_magics(lines: list[str]) -> str:
    out: list[str] = []
    statement: list[str] = []
    for line in lines:
        statement.append(line if statement else _converted(line))
        if not _is_open("\n".join(statement)):
            out += statement
            statement = []
    return "\n".join(out + statement)


def _converted(line: str) -> str:
    """A line that begins a statement, as Python."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    timed = _TIMED.match(line)
    if timed is not None:
        return timed["indent"] + timed["rest"]
    if text.startswith("!"):
        return f"{indent}__notebook__.system({text.lstrip('!')!r})"
    if text.startswith("%"):
        return f"{indent}{_magic(text[1:])}"
    assigned = _ASSIGNED.match(line)
    if assigned is not None:
        rest = assigned["rest"]
        call = f"__notebook__.lines({rest!r})" if assigned["what"] == "!" else _magic(rest)
        return assigned["to"] + call
    if text.startswith("?") or text.rstrip().endswith("?"):
        return f"{indent}__notebook__.skip({text.strip()!r})"
    return line


def _magic(text: str) -> str:
    name, _, arguments = text.lstrip("%").strip().partition(" ")
    return f"__notebook__.magic({name!r}, {arguments.strip()!r})"


def _parses(text: str) -> bool:
    try:
        compile(text, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError):
        return False
    return True


def _is_open(text: str) -> bool:
    """Whether the statement goes on in the next line: in brackets, a text, or after a backslash."""
    if text.endswith("\\"):
        return True
    try:
        for _ in tokenize.generate_tokens(io.StringIO(text).readline):
            pass
    except tokenize.TokenError as exc:
        return "EOF in multi-line" in str(exc)
    except SyntaxError:
        return False
    return False


def _text(cell: dict[str, Any]) -> str:
    source: Any = cell.get("source", cell.get("input", ""))
    return source if isinstance(source, str) else "".join(source)
