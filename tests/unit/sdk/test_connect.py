"""Hyperparameters and configurations in the user's own objects."""

from __future__ import annotations

import argparse
import copy
import datetime
import enum
import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attrs
import pydantic
import pytest
from omegaconf import OmegaConf

from dray.runtime.errors import InvalidInput, UsageError
from dray.runtime.models import ConfigObject, Parameter
from dray.sdk.session import Session
from dray.sdk.task import Task
from dray.sdk.tasks.handle import RunningHandle
from dray.task_parameters import TaskParameters, param, percent_param
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def values_of(attempt: Session) -> dict[str, str]:
    found: dict[str, str | None] = {}
    for record in read_records(Path(attempt.spool), "parameters"):
        found.update({name: p and p["value"] for name, p in record["values"].items()})
    return {name: value for name, value in found.items() if value is not None}


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

    def test_a_dict_whose_keys_are_its_attributes_is_a_dict(self, begin: Begin) -> None:
        class Node(dict[str, Any]):
            def __getattr__(self, name: str) -> Any:
                return self[name]

        attempt = begin("local")
        task(attempt).connect(Node(SOLVER=Node(LR=0.1)))
        assert values_of(attempt) == {"General/SOLVER/LR": "0.1"}

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
            "General/new/x/y": "5",
            "General/c": "4",
            "General/d": "6",
        }
        assert original == connected
        assert "b" not in original

    def test_under_an_agent_what_is_set_later_keeps_its_stored_value_too(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt = begin(parameters={"General/a": Parameter("7"), "General/late": Parameter("0.5")})
        connected = task(attempt).connect({"a": 1})
        connected["late"] = 2
        connected["a"] = 3
        connected["new"] = 4
        connected["new"] = 5  # the task had none as it began
        assert connected == {"a": 7, "late": 0.5, "new": 5}
        assert values_of(attempt) == {"General/new": "5"}
        assert "parameter General/late keeps its stored value 0.5" in capsys.readouterr().err

    def test_what_is_removed_is_no_parameter_any_more(self, begin: Begin) -> None:
        attempt = begin("local")
        given: dict[str, Any] = {"a": 1, "b": {"c": 2, "d": 3}, "e": 4, "f": 5}
        connected = task(attempt).connect(given)
        del connected["a"]
        del connected["b"]["c"]
        assert connected.pop("e") == 4
        assert connected.pop("nowhere", 9) == 9
        assert connected == {"b": {"d": 3}, "f": 5}
        assert values_of(attempt) == {"General/b/d": "3", "General/f": "5"}
        connected.clear()
        assert values_of(attempt) == {}

    @pytest.mark.parametrize("said", ["True", "False"])
    def test_stored_values_can_be_ignored_and_that_can_be_turned_off(
        self, begin: Begin, said: str
    ) -> None:
        attempt = begin("local")
        task(attempt).connect({"a": 1}, name="Net", ignore_remote_overrides=True)
        hidden = attempt.task["parameters"]["Net/_ignore_remote_overrides_"]
        assert (hidden["value"], hidden["type"]) == ("True", "bool")
        begun = begin(
            parameters={
                "Net/a": Parameter("7"),
                "Net/_ignore_remote_overrides_": Parameter(said, "bool"),
            }
        )
        connected = task(begun).connect({"a": 1}, name="Net", ignore_remote_overrides=True)
        assert connected == {"a": 1 if said == "True" else 7}

    def test_functions_and_objects_are_left_out_and_named(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt = begin("local")
        assert task(attempt).connect({"call": len, "n": 1}, name="F") == {"call": len, "n": 1}
        assert values_of(attempt) == {"F/n": "1"}
        assert "parameter F/call is not stored" in capsys.readouterr().err

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


class Point(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)

    x: int = pydantic.Field(default=1, ge=0, description="to the right")
    label: str | None = None


class Model(pydantic.BaseModel):
    rate: float = 0.1
    when: datetime.date = datetime.date(2024, 1, 1)
    point: Point = Point()


@attrs.define
class Attrs:
    n: int = attrs.field(default=1, validator=attrs.validators.lt(10))
    name: str = "a"


class Training(TaskParameters):
    epochs = param(type=int, range=(1, 100), desc="passes")
    dropout = percent_param(default=0.5)
    name = param(default=None)


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

    def test_a_pydantic_model_checks_what_is_stored(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt = begin("local")
        task(attempt).connect(Model())
        assert values_of(attempt) == {
            "General/rate": "0.1",
            "General/when": "2024-01-01",
            "General/point/x": "1",
            "General/point/label": "",
        }
        assert attempt.task["parameters"]["General/point/x"]["description"] == "to the right"
        texts = {"rate": "2", "when": "2025-02-03", "point/x": "-1", "point/label": "here"}
        begun = begin(parameters={f"General/{n}": Parameter(v) for n, v in texts.items()})
        model = task(begun).connect(Model())
        assert model.model_dump() == {
            "rate": 2.0,
            "when": datetime.date(2025, 2, 3),
            "point": {"x": 1, "label": "here"},
        }
        assert "parameter General/point/x = '-1' cannot be used" in capsys.readouterr().err

    def test_an_attrs_class_checks_what_is_stored(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        begun = begin(parameters={"General/n": Parameter("99"), "General/name": Parameter("b")})
        assert task(begun).connect(Attrs()) == Attrs(1, "b")
        assert "parameter General/n = '99' cannot be used" in capsys.readouterr().err

    def test_a_config_of_omegaconf_is_changed_though_it_is_closed(self, begin: Begin) -> None:
        config = OmegaConf.create({"a": {"b": 1, "c": "${a.b}"}, "l": [1]})
        OmegaConf.set_readonly(config, True)
        attempt = begin("local")
        assert task(attempt).connect(config) is config
        assert values_of(attempt) == {"General/a/b": "1", "General/a/c": "1", "General/l": "[1]"}
        begun = begin(
            parameters={
                "General/a/b": Parameter("5"),
                "General/a/c": Parameter("1"),
                "General/l": Parameter("[2, 3]"),
            }
        )
        task(begun).connect(config)
        assert OmegaConf.to_container(config, resolve=True) == {"a": {"b": 5, "c": 5}, "l": [2, 3]}
        assert OmegaConf.is_readonly(config)

    def test_task_parameters_have_types_and_ranges(
        self, begin: Begin, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt = begin("local")
        given = Training(epochs=3)
        assert task(attempt).connect(given, name="T") is given
        assert values_of(attempt) == {"T/epochs": "3", "T/dropout": "0.5", "T/name": ""}
        assert attempt.task["parameters"]["T/epochs"]["description"] == "passes"
        texts = {"epochs": "7", "dropout": "3", "name": "x"}
        begun = begin(parameters={f"T/{n}": Parameter(v) for n, v in texts.items()})
        assert task(begun).connect(given, name="T").to_dict() == {
            "epochs": 7,
            "dropout": 0.5,
            "name": "x",
        }
        assert "dropout must be in range [0, 1]" in capsys.readouterr().err
        given.update_from_dict({"epochs": 9})
        assert repr(given) == "Training(epochs=9, dropout=0.5, name='x')"

    @pytest.mark.parametrize(
        ("arguments", "refusal", "said"),
        [
            ({}, TypeError, "needs a value for 'epochs'"),
            ({"epochs": 1, "more": 2}, TypeError, "no parameter 'more'"),
            ({"epochs": "1"}, TypeError, "must be of type int"),
            ({"epochs": 0}, ValueError, "in range"),
            ({"epochs": 1, "dropout": 2.0}, ValueError, "in range"),
        ],
    )
    def test_task_parameters_refuse_what_does_not_fit(
        self, arguments: dict[str, Any], refusal: type[Exception], said: str
    ) -> None:
        with pytest.raises(refusal, match=said):
            Training(**arguments)

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
        given: dict[str, Any] = {"layers": [1, 2]}
        connected = task(attempt).connect_configuration(given, "net")
        connected["layers"] = [1]
        connected["more"] = {"x": 1}
        connected["more"]["x"] = 2
        assert given == connected == {"layers": [1], "more": {"x": 2}}
        stored = attempt.task["configuration"]["net"]
        assert (json.loads(stored["text"]), stored["type"]) == (given, "dictionary")
        begun = begin(configuration={"net": ConfigObject('{"layers": [3]}', "json")})
        assert task(begun).connect_configuration(given, "net") is given
        assert given == {"layers": [3]}

    def test_a_list_is_replaced_in_place_by_what_people_type(self, begin: Begin) -> None:
        begun = begin(configuration={"net": ConfigObject("[a, {b: 1e-3}]", "dictionary")})
        given = [1]
        assert task(begun).connect_configuration(given, "net") is given
        assert given == ["a", {"b": 0.001}]

    def test_a_stored_text_can_be_ignored(self, begin: Begin) -> None:
        begun = begin(configuration={"net": ConfigObject('{"a": 2}', "dictionary")})
        own = task(begun).connect_configuration({"a": 1}, "net", ignore_remote_overrides=True)
        assert own == {"a": 1}

    def test_objects_are_texts_or_dicts_and_not_both(self, begin: Begin) -> None:
        here = task(begin("local"))
        here.set_configuration_object("a", config_text="x: 1", config_type="yaml")
        here.set_configuration_object("b", config_dict={"x": [1]}, description="help")
        assert here.get_configuration_object("a") == "x: 1"
        assert here.get_configuration_object_as_dict("b") == {"x": [1]}
        assert here.get_configuration_object_as_dict("nowhere") is None
        assert set(here.get_configuration_objects()) == {"a", "b"}
        here.set_model_config(config_dict={"layers": 3})
        assert here.get_model_config_dict() == {"layers": 3}
        assert json.loads(here.get_model_config_text()) == {"layers": 3}
        with pytest.raises(UsageError, match="not both"):
            here.set_configuration_object("a", config_text="x", config_dict={})

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
