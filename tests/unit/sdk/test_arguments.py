"""Command lines as parameters: recorded by hand, overridden under an agent."""

from __future__ import annotations

import argparse
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.models import Parameter
from dray.sdk.parameters import argument_watch, arguments
from dray.sdk.session import Session
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


class Opened:
    """What ``open`` gives, without a file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self) -> str: ...


def args_of(attempt: Session) -> dict[str, dict[str, str]]:
    """Arguments recorded so far, without the section."""
    found: dict[str, dict[str, str]] = {}
    for record in read_records(Path(attempt.spool), "parameters"):
        found.update({name.removeprefix("Args/"): v for name, v in record["values"].items()})
    return found


def stored(**values: str) -> dict[str, Parameter]:
    return {f"Args/{name}": Parameter(value) for name, value in values.items()}


def parsed(
    begin: Begin,
    build: Callable[[argparse.ArgumentParser], Any],
    argv: str = "",
    **values: str,
) -> argparse.Namespace:
    """What a script under an agent gets whose task has ``values`` stored."""
    begin(parameters=stored(**values))
    argument_watch.watch()
    argument_watch.connect(True)
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(argv.split())


Build = Callable[[argparse.ArgumentParser], Any]


@pytest.mark.parametrize(
    ("build", "argv", "value", "expected"),
    [
        (lambda p: p.add_argument("--x", type=int, default=1), "", "5", 5),
        (lambda p: p.add_argument("--x", type=int, default=1), "--x 3", "5", 5),
        (lambda p: p.add_argument("--x", type=int, default=1), "", "0.5", 0.5),
        (lambda p: p.add_argument("--x", type=float, default=1.0), "", "1e-3", 0.001),
        (lambda p: p.add_argument("--x", type=float), "", "", None),
        (lambda p: p.add_argument("--x"), "", "", None),
        (lambda p: p.add_argument("--x"), "", "text", "text"),
        (lambda p: p.add_argument("--x"), "", "12", "12"),
        (lambda p: p.add_argument("--x", default=3), "", "12", 12),
        (lambda p: p.add_argument("--x", default=""), "", "", ""),
        (lambda p: p.add_argument("--x", type=bool, default=True), "", "False", False),
        (lambda p: p.add_argument("--x", type=Path), "", "a/b", Path("a/b")),
        (lambda p: p.add_argument("--x", type=Mode, default=Mode.FAST), "", "slow", Mode.SLOW),
        (lambda p: p.add_argument("--x", action="store_true"), "", "True", True),
        (lambda p: p.add_argument("--x", action="store_true"), "--x", "False", False),
        (lambda p: p.add_argument("--x", action="store_false"), "", "false", False),
        (lambda p: p.add_argument("--x", action="store_const", const=7), "", "7", 7),
        (lambda p: p.add_argument("--x", action="store_const", const=7), "--x", "", None),
        (lambda p: p.add_argument("--x", action="count", default=0), "-- ", "3", 3),
        (lambda p: p.add_argument("--x", action="append", type=int), "--x 1", "[2, 3]", [2, 3]),
        (lambda p: p.add_argument("--x", action="append_const", const=1), "", "[1, 1]", [1, 1]),
        (
            lambda p: p.add_argument("--x", action=argparse.BooleanOptionalAction, default=True),
            "",
            "False",
            False,
        ),
        (lambda p: p.add_argument("--x", nargs="*", type=int, default=[]), "", "[1, 2]", [1, 2]),
        (lambda p: p.add_argument("--x", nargs="+", type=Path), "--x a", '["b"]', [Path("b")]),
        (lambda p: p.add_argument("--x", nargs=2, type=float), "", "[1, 2.5]", [1.0, 2.5]),
        (lambda p: p.add_argument("--x", nargs="?", const=9, type=int), "--x", "4", 4),
        (lambda p: p.add_argument("--x", choices=["a", "b"], default="a"), "", "b", "b"),
        (lambda p: p.add_argument("--x", type=int, choices=range(4)), "", "3", 3),
        (lambda p: p.add_argument("--x", type=int, required=True), "", "5", 5),
        (lambda p: p.add_argument("x", type=int), "", "5", 5),
        (lambda p: p.add_argument("x", type=int), "3", "5", 5),
        (lambda p: p.add_argument("x", nargs="+"), "", "['a', 'b']", ["a", "b"]),
        (lambda p: p.add_argument("x", nargs=argparse.REMAINDER), "z", "['a']", ["a"]),
    ],
)
def test_a_stored_value_wins_and_has_the_type_of_the_argument(
    begin: Begin, build: Build, argv: str, value: str, expected: Any
) -> None:
    got = parsed(begin, build, argv.replace("-- ", ""), x=value).x
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda p: p.add_argument("--x", type=int, default=1), "many"),
        (lambda p: p.add_argument("--x", type=int, default=1, choices=[1, 2]), "3"),
        (lambda p: p.add_argument("--x", nargs="*", type=int, default=1), "7"),
        (lambda p: p.add_argument("--x", action="store_const", const=7, default=1), "8"),
    ],
)
def test_a_value_that_cannot_be_used_leaves_the_default_and_is_named(
    begin: Begin, capsys: pytest.CaptureFixture[str], build: Build, value: str
) -> None:
    assert parsed(begin, build, x=value).x == 1
    assert f"warning: parameter Args/x = {value!r} cannot be used" in capsys.readouterr().err


def test_members_of_a_required_exclusive_group_may_be_missing(begin: Begin) -> None:
    def build(parser: argparse.ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group(required=True)
        group.add_argument("--fast", action="store_true")
        group.add_argument("--slow", type=int)

    assert vars(parsed(begin, build, slow="3", fast="False")) == {"fast": False, "slow": 3}


def with_commands(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("--lr", type=float, required=True)
    commands.add_parser("test").add_argument("data")


@pytest.mark.parametrize(
    ("argv", "values", "expected"),
    [
        ("train --lr 1", {"command": "train", "lr": "0.5"}, {"command": "train", "lr": 0.5}),
        ("", {"command": "train", "lr": "0.5"}, {"command": "train", "lr": 0.5}),
        ("train --lr 1", {"command": "test", "data": "d"}, {"command": "test", "data": "d"}),
        ("--seed 3 test d", {"seed": "4"}, {"seed": 4, "command": "test", "data": "d"}),
    ],
)
def test_sub_commands_and_their_arguments(
    begin: Begin, argv: str, values: dict[str, str], expected: dict[str, Any]
) -> None:
    got = vars(parsed(begin, with_commands, argv, **values))
    assert got == {"seed": 0, **expected}


def test_arguments_new_to_the_task_are_added_and_others_left_alone(begin: Begin) -> None:
    attempt = begin(parameters=stored(old="5"))
    argument_watch.watch()
    argument_watch.connect(True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", type=int, default=1)
    parser.add_argument("--new", type=int, default=2, help="since %(default)s")
    assert vars(parser.parse_args([])) == {"old": 5, "new": 2}
    assert args_of(attempt) == {"new": {"value": "2", "type": "int", "description": "since 2"}}


def test_the_parser_itself_is_left_as_it_was(begin: Begin) -> None:
    begin(parameters=stored(x="5", y="1"))
    argument_watch.watch()
    parser = argparse.ArgumentParser()
    needed = parser.add_argument("--x", required=True)
    place = parser.add_argument("y")
    parser.parse_args([])
    assert (needed.required, place.nargs, place.required) == (True, None, True)


def test_by_hand_every_argument_is_recorded_with_its_help(begin: Begin) -> None:
    attempt = begin("local")
    argument_watch.watch()
    argument_watch.connect(True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1, help="step, 100% of the time")
    parser.add_argument("--none", type=int)
    parser.add_argument("--flag", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--log", type=Opened, default="log.txt")
    parser.set_defaults(func=print)
    got = parser.parse_args(["--lr", "0.5", "a", "b"])
    assert got.lr == 0.5
    assert args_of(attempt) == {
        "lr": {"value": "0.5", "type": "float", "description": "step, 100% of the time"},
        "none": {"value": "", "type": "int", "description": ""},
        "flag": {"value": "False", "type": "bool", "description": ""},
        "files": {"value": '["a", "b"]', "type": "list/str", "description": ""},
        "log": {"value": "log.txt", "type": "str", "description": ""},
    }


@pytest.mark.parametrize("origin", ["agent", "local"])
def test_arguments_parsed_before_init_count_too(begin: Begin, origin: str) -> None:
    argument_watch.watch()
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int, default=1)
    if origin == "agent":  # the environment names the run before the script says so
        attempt = begin(parameters=stored(x="5"))
        got = parser.parse_args([])
    else:
        got = parser.parse_args([])
        attempt = begin("local")
    argument_watch.connect(True)
    assert got.x == (5 if origin == "agent" else 1)
    assert list(args_of(attempt)) == ([] if origin == "agent" else ["x"])


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (True, ["a", "b"]),
        (False, []),
        ({"a": False}, ["b"]),
        ({"a": True, "*": False}, ["a"]),
        ({}, []),
    ],
)
def test_some_arguments_can_be_left_out(begin: Begin, wanted: Any, names: list[str]) -> None:
    attempt = begin("local")
    argument_watch.watch()
    argument_watch.connect(wanted)
    parser = argparse.ArgumentParser()
    parser.add_argument("--a")
    parser.add_argument("--b")
    parser.parse_args([])
    assert list(args_of(attempt)) == names


def test_errors_of_the_command_line_are_still_errors(begin: Begin) -> None:
    with pytest.raises(SystemExit):
        parsed(begin, lambda p: p.add_argument("--y", required=True), x="5")
    with pytest.raises(SystemExit):
        parsed(begin, lambda p: p.add_argument("--x"), "--unknown", x="5")


def test_a_program_the_script_starts_keeps_its_own_arguments(begin: Begin) -> None:
    attempt = begin(parameters=stored(x="5"))
    attempt.master_pid += 1  # this process is one that the run has started
    argument_watch.watch()
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int)
    assert parser.parse_args(["--x", "3"]).x == 3


def test_a_parser_can_be_connected_by_hand(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = begin("local")
    monkeypatch.setattr("sys.argv", ["train.py", "--x", "3"])
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int)
    arguments.bind(parser, attempt)
    assert args_of(attempt)["x"]["value"] == "3"


def test_a_parser_that_has_parsed_is_connected_with_what_it_found(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "--unknown"])
    argument_watch.watch()
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int)
    parser.parse_args(["--x", "3"])
    attempt = begin("local")
    arguments.bind(parser, attempt)
    assert args_of(attempt)["x"]["value"] == "3"


def test_a_connected_parser_can_ignore_what_is_stored(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])
    attempt = begin(parameters=stored(x="5"))
    argument_watch.watch()
    argument_watch.connect(True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int, default=1)
    assert parser.parse_args([]).x == 5
    arguments.bind(parser, attempt, ignore=True)
    assert parser.parse_args([]).x == 1


def test_an_argument_new_to_the_task_is_not_bound_to_its_first_value(begin: Begin) -> None:
    attempt = begin(parameters=stored(x="5"))
    argument_watch.watch()
    argument_watch.connect(True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--y", type=int)
    parser.parse_args(["--y", "1"])
    assert parser.parse_args(["--y", "2"]).y == 2
    assert args_of(attempt)["y"]["value"] == "2"
