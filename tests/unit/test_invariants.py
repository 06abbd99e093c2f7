"""Each invariant is shown by tests that name it, and the page about reliability lists them all."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def marked_tests() -> dict[int, set[str]]:
    """{invariant: the tests that carry its mark}, as ``file::test``."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for number in marks_of(node):
                    found[number].add(f"{path.relative_to(ROOT)}::{node.name}")
    return dict(found)


def marks_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[int]:
    """The numbers in ``@pytest.mark.invariant(…)`` above a test."""
    calls = [one for one in function.decorator_list if isinstance(one, ast.Call)]
    return [
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "invariant"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int)
    ]


def test_every_invariant_has_a_test_that_names_it() -> None:
    stated = re.findall(r"^(\d+)\. \*\*", (ROOT / "docs/invariants.md").read_text(), re.MULTILINE)
    assert sorted(marked_tests()) == sorted(map(int, stated))


def test_the_page_lists_exactly_the_tests_that_carry_a_mark() -> None:
    listed = set(re.findall(r"`(tests/[\w/.]+::\w+)`", PAGE.read_text("utf-8")))
    assert listed == set[str]().union(*marked_tests().values())
