"""Installers that run right after an import, and never break one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dray.sdk.hooks import watch

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Make a module nobody has imported; its name is given back."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(watch, "_installers", {})
    monkeypatch.setattr(watch, "_unfinished", set())
    monkeypatch.setattr(watch, "_told", set())
    made: list[str] = []

    def make(text: str = "", name: str = "watched_module") -> str:
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        importlib.invalidate_caches()
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)
    if watch._finder in sys.meta_path:
        sys.meta_path.remove(watch._finder)


def test_an_installer_runs_after_the_module_and_before_the_import_returns(write: Write) -> None:
    name = write("value = 1")
    watch.when_imported(name, lambda module: setattr(module, "value", module.value + 1))
    assert importlib.import_module(name).value == 2


def test_a_module_that_is_imported_already_is_served_at_once(write: Write) -> None:
    seen: list[ModuleType] = []
    module = importlib.import_module(write())
    watch.when_imported(module.__name__, seen.append)
    assert seen == [module]


def test_the_module_keeps_no_trace(write: Write) -> None:
    name = write("__file_at_start__ = __file__, __spec__.loader, __loader__")
    watch.when_imported(name, lambda _: None)
    module = importlib.import_module(name)
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert module.__file_at_start__[1] is module.__loader__
    assert importlib.reload(module) is module


def test_a_module_inside_a_package_is_waited_for_by_its_full_name(write: Write) -> None:
    write("", "watched_package.__init__")
    name = write("", "watched_package.inner")
    seen: list[str] = []
    watch.when_imported(name, lambda module: seen.append(module.__name__))
    importlib.import_module("watched_package")
    assert not seen
    importlib.import_module(name)
    assert seen == [name]
    sys.modules.pop("watched_package")


def test_an_installer_that_raises_is_told_about_once_and_the_import_goes_on(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write("value = 1")

    def broken(module: ModuleType) -> None:
        raise AttributeError("no such function")

    seen: list[ModuleType] = []
    watch.when_imported(name, broken)
    watch.when_imported(name, seen.append)
    assert importlib.import_module(name).value == 1
    assert seen
    sys.modules.pop(name)
    importlib.import_module(name)
    told = capsys.readouterr().err.splitlines()
    assert told == [f"dray: capturing {name} is off for this run: AttributeError: no such function"]


def test_a_module_that_fails_is_tried_again_as_without_us(write: Write) -> None:
    name = write("raise ImportError('one day')")
    seen: list[ModuleType] = []
    watch.when_imported(name, seen.append)
    with pytest.raises(ImportError, match="one day"):
        importlib.import_module(name)
    assert not seen
    write("#")
    importlib.import_module(name)
    assert seen


def test_a_module_that_is_not_there_stays_not_there(write: Write) -> None:
    watch.when_imported("watched_nowhere", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("watched_nowhere")
    assert caught.value.name == "watched_nowhere"


def test_who_begins_to_wait_amid_the_import_is_served_when_it_is_over(write: Write) -> None:
    seen: list[int] = []
    name = write("import watched_starter\nvalue = 1")
    starter = write("#", "watched_starter")
    watch.when_imported(
        starter,
        lambda _: watch.when_imported(name, lambda module: seen.append(module.value)),
    )
    importlib.import_module(name)
    assert not seen
    importlib.import_module(write("#", "watched_other"))
    assert seen == [1]


def test_nothing_is_left_when_nobody_waits(write: Write) -> None:
    def installer(module: ModuleType) -> None: ...

    before = list(sys.meta_path)
    watch.when_imported("watched_nowhere", installer)
    watch.when_imported("watched_nowhere", installer)
    assert sys.meta_path != before
    watch.forget("watched_nowhere", installer)
    assert sys.meta_path == before
