"""Laptops, servers and repositories that tests of the SDK begin with."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dray.runtime.models import ConfigObject, Parameter
from dray.sdk import session
from dray.sdk.hooks import watch
from dray.sdk.parameters import argument_watch, arguments
from dray.sdk.session import Session
from tests.unit.sdk.live import TOKEN, Live, serving
from tests.unit.sdk.repositories import Repository
from tests.unit.sdk.scripts import Machine, agent_spool


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


Begin = Callable[..., Session]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Make this process the run of a task, under an agent or (``origin="local"``) by hand."""
    monkeypatch.setattr(session, "_current", None)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", arguments._parse_known_args)
    monkeypatch.setattr(argument_watch.State, "is_watching", False)
    watch.forget("argparse", argument_watch._patch)  # or it would count as done
    begun: list[Session] = []

    def make(
        origin: str = "agent",
        parameters: dict[str, Parameter] | None = None,
        configuration: dict[str, ConfigObject] | None = None,
    ) -> Session:
        spool = agent_spool(
            tmp_path / f"spool{len(begun)}",
            parameters=parameters or {},
            configuration=configuration or {},
        )
        members = json.loads((spool / "attempt.json").read_text())
        (spool / "attempt.json").write_text(json.dumps({**members, "origin": origin}))
        made = Session(str(spool), os.getpid())
        session.adopt(made)
        begun.append(made)
        return made

    yield make
    argument_watch.disconnect()
    for made in begun:
        made.writer.close()
