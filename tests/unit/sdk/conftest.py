"""Laptops, servers and repositories that tests of the SDK begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sdk.live import TOKEN, Live, serving
from tests.unit.sdk.repositories import Repository
from tests.unit.sdk.scripts import Machine


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with one committed script, ``train.py``."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Repository(tmp_path / "project").write(train_py="print('one')\n")
    made.commit()
    return made


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        server.client.create_queue("default")
        server.client.create_queue("gpu")
        yield server


@pytest.fixture
def laptop(tmp_path: Path, live: Live) -> Machine:
    """A machine that knows a server."""
    return Machine(tmp_path, live.url, TOKEN)
