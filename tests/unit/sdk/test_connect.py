"""Hyperparameters and configurations in the user's own objects."""

from __future__ import annotations

import argparse
import copy
import enum
import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.errors import InvalidInput
from dray.runtime.models import ConfigObject, Parameter
from dray.sdk.handle import RunningHandle
from dray.sdk.session import Session
from dray.sdk.task import Task
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def values_of(attempt: Session) -> dict[str, str]:
    found: dict[str, str] = {}
    for record in read_records(Path(attempt.spool), "parameters"):
        found.update({name: p["value"] for name, p in record["values"].items()})
    return found


def task(attempt: Session) -> Task:
    return Task(RunningHandle(attempt))


class TestDict:
    def test_by_hand_its_values_are_stored_flat(self, begin: Begin) -> None:
        attempt = begin("local")
        task(attempt).connect({"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.99]}, "e": {}})
        assert values_of(attempt) == {
            "General/lr": "0.1",
            "General/opt/name": "adam",
            "General/opt/betas": "[0.9, 0.99]",
            "General/e": "{}",
        }

    def test_under_an_agent_stored_values_win_in_the_types_of_the_code(self, begin: Begin) -> None:
        attempt = begin(
            parameters={
                "Net/lr": Parameter("1"),
                "Net/opt/name": Parameter("sgd"),
                "Net/opt/n": Parameter("0.5"),
                "Net/none": Parameter(""),
                "Net/colour": Parameter("BLUE"),
            }
        )
        original = {
            "lr": 0.1,
            "opt": {"name": "adam", "n": 3},
            "none": None,
            "colour": Colour.RED,
            "new": True,
        }
        connected = task(attempt).connect(original, name="Net")
        expected = {
            "lr": 1.0,
            "opt": {"name": "sgd", "n": 0.5},
            "none": None,
            "colour": Colour.BLUE,
            "new": True,
        }
        assert connected == expected == original  # whichever of the two the script uses
        assert isinstance(connected["lr"], float)
        assert values_of(attempt) == {"Net/new": "True"}

    def test_what_cannot_be_read_keeps_the_default_and_is_named(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt = begin(parameters={"General/n": Parameter("many")})
        assert task(attempt).connect({"n": 3}) == {"n": 3}
        assert "parameter General/n = 'many' cannot be used" in capsys.readouterr().err

    def test_later_changes_are_written_through(self, begin: Begin) -> None:
        attempt = begin("local")
        original: dict[str, Any] = {"a": 1, "opt": {"lr": 0.1}}
        connected = task(attempt).connect(original)
        connected["a"] = 2
        connected.update(b=3)
        connected["opt"]["lr"] = 0.2
        connected["new"] = {"x": {"y": 1}}
        connected["new"]["x"]["y"] = 5
        connected |= {"c": 4}
        assert connected.setdefault("d", 6) == 6
        del connected["b"]
        assert values_of(attempt) == {
            "General/a": "2",
            "General/opt/lr": "0.2",
            "General/b": "3",
            "General/new/x/y": "5",
            "General/c": "4",
            "General/d": "6",
        }
        assert original == connected
        assert "b" not in original

    def test_nothing_is_said_twice(self, begin: Begin) -> None:
        attempt = begin("local")
        connected = task(attempt).connect({"a": 1})
        connected["a"] = 1
        task(attempt).connect({"a": 1})
        assert len(read_records(Path(attempt.spool), "parameters")) == 1

    def test_copies_are_plain_data(self, begin: Begin) -> None:
        connected = task(begin("local")).connect({"a": {"b": 1}})
        for plain in (
            pickle.loads(pickle.dumps(connected)),  # noqa: S301
            copy.deepcopy(connected),
            json.loads(json.dumps(connected)),
            connected.copy(),
        ):
            assert plain == {"a": {"b": 1}}
            assert type(plain) is type(plain["a"]) is dict

    def test_keys_with_slashes_and_numbers_find_their_place(self, begin: Begin) -> None:
        attempt = begin(parameters={"General/a/b": Parameter("2"), "General/1/x": Parameter("3")})
        assert task(attempt).connect({"a/b": 1, "a": 0, 1: {"x": 0}}) == {
            "a/b": 2,
            "a": 0,
            1: {"x": 3},
        }


@dataclass
class Optimizer:
    lr: float = 0.1
    name: str = "adam"


@dataclass(frozen=True)
class Config:
    epochs: int = 3
    rate: float | None = None
    colour: Colour = Colour.RED
    opt: Optimizer = field(default_factory=Optimizer)
    path: Path = Path("data")


class Plain:
    shared = 1
    _hidden = 2

    def __init__(self) -> None:
        self.own = "x"
        self.model = object()

    def method(self) -> None: ...


class TestObjects:
    def test_a_dataclass_is_stored_and_overridden_by_its_types(self, begin: Begin) -> None:
        attempt = begin("local")
        config = Config()
        assert task(attempt).connect(config, name="C") is config
        assert values_of(attempt) == {
            "C/epochs": "3",
            "C/rate": "",
            "C/colour": "RED",
            "C/opt/lr": "0.1",
            "C/opt/name": "adam",
            "C/path": "data",
        }
        values = {"epochs": "5", "rate": "0.5", "colour": "BLUE", "opt/lr": "2", "path": "/x"}
        begun = begin(parameters={f"C/{n}": Parameter(v) for n, v in values.items()})
        assert task(begun).connect(config, name="C") == Config(
            5, 0.5, Colour.BLUE, Optimizer(2.0), Path("/x")
        )

    def test_an_object_or_class_by_its_public_attributes(self, begin: Begin) -> None:
        attempt = begin("local")
        task(attempt).connect(Plain())
        assert values_of(attempt) == {"General/shared": "1", "General/own": "x"}
        begun = begin(parameters={"General/shared": Parameter("7")})
        changed = task(begun).connect(Plain())
        assert (changed.shared, Plain.shared) == (7, 1)

    def test_a_namespace_goes_with_the_arguments(self, begin: Begin) -> None:
        attempt = begin("local")
        task(attempt).connect(argparse.Namespace(lr=0.1))
        assert values_of(attempt) == {"Args/lr": "0.1"}

    @pytest.mark.parametrize("thing", [3, "text", [1], len])
    def test_other_things_are_refused(self, begin: Begin, thing: Any) -> None:
        with pytest.raises(InvalidInput, match="cannot connect a"):
            task(begin()).connect(thing)


class TestConfiguration:
    def test_a_dict_is_stored_and_replaced_in_place(self, begin: Begin) -> None:
        attempt = begin("local")
        given = {"layers": [1, 2]}
        assert task(attempt).connect_configuration(given, "net") is given
        (record,) = read_records(Path(attempt.spool), "configuration")
        assert json.loads(record["values"]["net"]["text"]) == given
        begun = begin(configuration={"net": ConfigObject('{"layers": [3]}', "json")})
        assert task(begun).connect_configuration(given, "net") is given
        assert given == {"layers": [3]}

    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_file_is_stored_and_replaced_by_a_file(
        self, begin: Begin, tmp_path: Path, kind: Any
    ) -> None:
        path = tmp_path / "net.yaml"
        path.write_text("layers: 1\n")
        attempt = begin("local")
        given = kind(path)
        assert task(attempt).connect_configuration(given, "net", description="shape") is given
        stored = attempt.task["configuration"]["net"]
        assert stored == {"text": "layers: 1\n", "type": "yaml", "description": "shape"}
        begun = begin(configuration={"../net": ConfigObject("layers: 9\n", "yaml")})
        got = task(begun).connect_configuration(given, "../net")
        assert isinstance(got, kind)
        assert Path(got).read_text() == "layers: 9\n"
        assert Path(got).parent == Path(begun.spool) / "configuration"

    def test_a_stored_text_that_is_no_dict_leaves_the_codes_own(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        begun = begin(configuration={"net": ConfigObject("[1]", "json")})
        assert task(begun).connect_configuration({"a": 1}, "net") == {"a": 1}
        assert "configuration 'net' cannot be used" in capsys.readouterr().err

    def test_a_missing_file_is_refused(self, begin: Begin) -> None:
        with pytest.raises(InvalidInput, match="neither a dict, a list nor a readable text file"):
            task(begin()).connect_configuration("nowhere.yaml")
