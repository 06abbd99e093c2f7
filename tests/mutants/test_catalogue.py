"""The catalogue of mutants: each still applies, and names tests that are there.

That a test fails for each is seen by ``python -m tests.mutants``, which takes minutes.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.catalogue import CATALOGUE
from tests.mutants.mutant import ROOT, Mutant


def test_names_are_short_and_no_two_are_the_same() -> None:
    names = [mutant.name for mutant in CATALOGUE]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 32


def test_each_text_is_there_exactly_once_and_what_comes_instead_is_python() -> None:
    sources: dict[str, str] = {}
    for mutant in CATALOGUE:
        if mutant.file not in sources:
            sources[mutant.file] = (ROOT / mutant.file).read_text("utf-8")
        changed = mutant.changed(sources[mutant.file])
        assert changed != sources[mutant.file], mutant.name
        if mutant.file.endswith(".py"):
            ast.parse(changed, mutant.name)


def test_each_names_tests_that_are_there() -> None:
    for mutant in CATALOGUE:
        assert mutant.tests, mutant.name
        for test in mutant.tests:
            file, _, name = test.partition("::")
            assert not name or name.partition("[")[0] in functions(ROOT / file), test


@cache
def functions(file: Path) -> set[str]:
    found = ast.walk(ast.parse(file.read_text("utf-8")))
    return {one.name for one in found if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("text", ["check(", "cheque()"])
def test_a_text_that_is_not_there_exactly_once_is_refused(text: str) -> None:
    mutant = Mutant("m", "It checks.", "invariant 2", "a.py", text, "", ("t.py",))
    with pytest.raises(LookupError, match=r"times in a\.py, not once; adapt it"):
        mutant.changed("check()\ncheck(1)\n")
