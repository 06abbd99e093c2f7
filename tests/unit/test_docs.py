"""What the documents promise exists: commands, targets, settings, links; files read as agreed."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from dray.runtime.config import Settings
from dray.sdk.cli.main import app
from dray.sdk.cli.reference import commands, reference

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "envbuilder", "sdk", "api", "actors", "selftest", "automation")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted(
    path
    for folder in (*ROOMS, "examples", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
LINE_LIMIT = 500
EXAMPLE_LINE_LIMIT = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_in(page: Path) -> str:
    """Everything a page shows as code: spans, and lines of fenced blocks."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```(?:console|sh|bash)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.M))
    return "\n".join([*blocks, *spans])


def test_the_reference_is_what_the_docstrings_say() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = made
    spec.loader.exec_module(made)
    folder = ROOT / "docs" / "reference"
    written = {path.name: path.read_text("utf-8") for path in folder.glob("*.md")}
    assert written == made.pages(), "run: make reference"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"^(?:\$ )?make ([a-z]+)", code_in(page), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"^(?:\$ )?dray ([a-z]+(?: [a-z]+)?)", code_in(page), re.MULTILINE)
    assert not [words for words in named if not is_command(words)]


@pytest.mark.parametrize("source", [s for s in SOURCES if "tests" not in s.parts], ids=name_of)
def test_every_command_a_message_advises_exists(source: Path) -> None:
    tree = ast.parse(source.read_text("utf-8"))
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    advised = [
        words
        for text in texts
        if isinstance(text, str)
        for words in re.findall(r"(?:[`'\"]|: |run |use )dray ([a-z]+(?: [a-z]+)?)", text)
    ]
    assert not [words for words in advised if not is_command(words)]


def is_command(words: str) -> bool:
    """Whether ``words`` begin with a command, or are a noun by itself."""
    known = {path for path, _ in commands(typer.main.get_command(app), "dray")}
    noun = f"dray {words.split()[0]}"
    has_verbs = any(path.startswith(noun + " ") for path in known)
    return noun in known and (not has_verbs or noun == f"dray {words}" or f"dray {words}" in known)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    for link in links:
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link).exists(), f"{name_of(page)} links to {link}"


def test_the_command_reference_is_what_the_commands_say() -> None:
    written = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert written == reference(), "run: .venv/bin/python -m dray.sdk.cli.reference > docs/cli.md"


def test_every_setting_is_documented_with_its_default() -> None:
    lines = (ROOT / "docs" / "settings.md").read_text("utf-8").splitlines()
    defaults = Settings()
    for field in fields(Settings):
        (row,) = (line for line in lines if line.startswith(f"| `{field.name}` |"))
        value = getattr(defaults, field.name)
        if isinstance(value, bool):
            assert f"`{str(value).lower()}`" in row
        elif isinstance(value, int | float):
            assert f"`{value:.0f}`" in row
        assert f"        {field.name}: " in str(Settings.__doc__)


def test_the_readme_opens_with_the_two_commands_that_matter() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.index("$ make demo\n$ make test") < text.index("## Start")


def test_the_architecture_names_every_room_and_every_actor() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    missing = [room for room in ROOMS if f"`{room}/`" not in text]
    missing += [p.name for p in (ROOT / "actors").glob("[!_]*.py") if f"{p.name}" not in text]
    assert not missing


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_a_source_file_begins_by_saying_what_it_is_for(source: Path) -> None:
    docstring = ast.get_docstring(ast.parse(source.read_text("utf-8")))
    assert docstring, f"{name_of(source)} begins without a docstring"
    first = docstring.split("\n\n")[0]
    assert first[0].isupper() or not first[0].isalpha()
    assert first.endswith((".", ":")), f"{name_of(source)}: {first!r} is no sentence"


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_a_source_file_can_be_read_in_one_go(source: Path) -> None:
    n_lines = len(source.read_text("utf-8").splitlines())
    assert n_lines <= (EXAMPLE_LINE_LIMIT if "examples" in source.parts else LINE_LIMIT)
