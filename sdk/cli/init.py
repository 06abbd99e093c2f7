"""``dray init``: write a settings file, or show what holds and where each value came from."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from dray.runtime.config import user_file
from dray.runtime.errors import Conflict
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, verb, verbs

app = verbs()

_PROJECT_FILE = """\
# Settings of Dray for this folder and those below it. `dray init --show` says what holds.
{url}
# A token never belongs here: set DRAY_TOKEN, or write it to ~/.config/dray/config.toml
# (`dray init --user` makes that file, readable by you alone).
"""
_USER_FILE = """\
# Your own settings of Dray, for every project. `dray init --show` says what holds.
{url}
# The server's token: the content of the file `token` in the server's data folder.
# token = ""
"""


_NO_URL = """\
# The server to talk to; without it, the one `dray up` started on this machine.
# url = "http://HOST:8262"
"""


@dataclass(frozen=True)
class SettingLine:
    """One setting as it holds now."""

    name: str
    value: str
    origin: str


@verb(app, "init")
def init(
    session: Session,
    user: Annotated[
        bool, typer.Option("--user", help="Write ~/.config/dray/config.toml, for every project.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Write nothing, show what holds.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write a settings file, dray.toml. Then shows what holds and where it comes from."""
    if not show:
        path = user_file() if user else Path.cwd() / "dray.toml"
        url = session.flags.pop("url", None)
        _write(
            path, (_USER_FILE if user else _PROJECT_FILE).format(url=_url_line(url).rstrip()), force
        )
        session.out.note(f"Wrote {path}")
    session.out.table(_lines(session), _COLUMNS)


def _write(path: Path, text: str, force: bool) -> None:
    if path.exists() and not force:
        raise Conflict(f"{path} is there already; --force replaces it", path=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    # A token may be written into it: nobody else shall read it from the first byte on.
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    aside.replace(path)


def _url_line(url: str | None) -> str:
    from json import dumps  # a JSON string is a TOML basic string

    if url:
        return f"url = {dumps(url)}"
    return _NO_URL


def _lines(session: Session) -> list[SettingLine]:
    settings, origins = session.settings, session.loaded.origins
    return [
        SettingLine(f.name, _shown(f.name, getattr(settings, f.name)), origins[f.name])
        for f in fields(settings)
    ]


def _shown(name: str, value: object) -> str:
    if name == "token" and value:
        return "(set)"
    return str(value)


_COLUMNS: list[Column[SettingLine]] = [
    Column("SETTING", lambda line: line.name),
    Column("VALUE", lambda line: line.value),
    Column("FROM", lambda line: line.origin),
]
