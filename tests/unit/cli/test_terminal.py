"""What people see: tables, colours unless NO_COLOR says otherwise, short ids."""

import os
import pty
import subprocess
import sys
from contextlib import suppress

from tests.unit.cli.conftest import Server


def on_a_terminal(server: Server, *arguments: str, **variables: str) -> str:
    """What a command prints to a terminal 100 columns wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **variables}
    command = [sys.executable, "-m", "dray", *arguments]
    done = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # EIO: the other end is closed
        while block := os.read(ours, 65536):
            said += block
    os.close(ours)
    assert done.wait(30) == 0
    return said.decode()


def test_a_terminal_gets_a_table_with_a_header_and_short_ids(server: Server) -> None:
    task = server.ended(0, name="train")
    said = on_a_terminal(server, "task", "list")
    assert "STATE" in said
    assert task.id[:8] in said
    assert task.id not in said
    assert "\x1b[" in said


def test_no_color_is_honoured(server: Server) -> None:
    server.ended(0)
    assert "\x1b[" not in on_a_terminal(server, "task", "list", NO_COLOR="1")


def test_an_empty_list_prints_no_table(server: Server) -> None:
    assert on_a_terminal(server, "task", "list") == ""


def test_json_on_a_terminal_is_indented_and_not_coloured(server: Server) -> None:
    server.draft()
    said = on_a_terminal(server, "task", "list", "--json")
    assert said.startswith("[\r\n  {")
    assert "\x1b[" not in said


def test_names_are_shown_as_they_are(server: Server) -> None:
    server.draft("[red]not a colour[/red]")
    server.draft("\x1b[31mneither")
    said = on_a_terminal(server, "task", "list", NO_COLOR="1")
    assert "[red]not a colour[/red]" in said
    assert "\x1b" not in said


def test_show_groups_what_it_says(server: Server) -> None:
    task = server.ended(3, "hello\n", parameters={"Args/lr": {"value": "0.1"}})
    said = on_a_terminal(server, "task", "show", task.id, NO_COLOR="1")
    for line in ("Attempt", "Console", "Parameters"):
        assert f"\r\n{line}\r\n" in said
