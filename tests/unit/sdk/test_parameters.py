"""How values become the text of a parameter and come back as the type the code has."""

from __future__ import annotations

import enum
import math
from decimal import Decimal
from pathlib import Path
from typing import Any, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.sdk.parameters import flow_text
from dray.sdk.parameters.values import as_record, from_text, guess, is_storable, to_text


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=4),
    ),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_stored_reads_back_as_the_same_value(value: Any) -> None:
    text, _ = to_text(value)
    back = from_text(text, value)
    assert back == value
    assert type(back) is type(value)


@given(VALUES)
def test_a_container_reads_back_without_help_of_the_equal_default(value: Any) -> None:
    text, _ = to_text({"key": value})
    assert from_text(text, {"other": 1}) == {"key": value}


@given(VALUES)
def test_a_value_reads_back_by_its_stored_type_alone(value: Any) -> None:
    text, type_name = to_text(value)
    back = guess(text, type_name)
    assert back == value
    assert type(back) is type(value)


@given(st.lists(st.text(alphabet="abc xyz-_./", min_size=1).map(str.strip).filter(bool)))
def test_words_in_a_list_need_no_quotes(words: list[str]) -> None:
    assert flow_text.read(f"[{', '.join(words)}]") == [flow_text.scalar(word) for word in words]


@given(st.text(max_size=30))
def test_any_text_reads_as_something_or_is_refused(text: str) -> None:
    try:
        flow_text.read(text)
    except ValueError:
        return


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans()))
def test_a_number_reads_back_by_its_stored_type_where_the_code_has_none(value: float) -> None:
    text, type_name = to_text(value)
    assert from_text(text, None, type_name=type_name) == value


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("5", 1, 5),
        ("0.5", 1, 0.5),
        ("1e3", 1, 1000),
        ("3", 0.1, 3.0),
        ("1e-3", 0.1, 0.001),
        ("true", False, True),
        ("0", True, False),
        ("2.0", False, True),
        ("", True, False),
        ("text", "other", "text"),
        ("", "other", ""),
        ("12", "other", "12"),
        ("[1, 2]", [3], [1, 2]),
        ("['a']", [3], ["a"]),
        ("[1, 2]", (3,), (1, 2)),
        ("(1, 2)", [3], [1, 2]),
        ('{"a": 1}', {}, {"a": 1}),
        ("{1: 'a'}", {}, {1: "a"}),
        ("", None, None),
        ("7", None, "7"),
        ("words", None, "words"),
        ("none", None, "none"),
        ("", 1, None),
        ("", 0.5, None),
        ("[a, b]", ["c"], ["a", "b"]),
        ("[1e-3, 2]", [0.1], [0.001, 2]),
        ("1, 2", (3,), (1, 2)),
        ("(1, x)", (), (1, "x")),
        ("{lr: 1e-3, layers: [4, 5]}", {}, {"lr": 0.001, "layers": [4, 5]}),
        ("2.5", Decimal("1"), Decimal("2.5")),
        ("BLUE", Colour.RED, Colour.BLUE),
        ("Colour.BLUE", Colour.RED, Colour.BLUE),
        ("b", Colour.RED, Colour.BLUE),
        ("/tmp/x", Path("y"), Path("/tmp/x")),
    ],
)
def test_the_default_decides_the_type(text: str, default: Any, expected: Any) -> None:
    value = from_text(text, default)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("many", 1),
        ("", [1]),
        ("", {"a": 1}),
        ("fast", 0.1),
        ("maybe", True),
        ("1", [1]),
        ("{", {}),
        ("[1]", {"a": 1}),
        ("GREEN", Colour.RED),
        ("x", object()),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, default: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(text, default)


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("5", int | None, 5),
        ("", int | None, None),
        ("0.1", Union[float, None], 0.1),  # noqa: UP007  (users spell it both ways)
        ("5", str | None, "5"),
        ("", str, None),
        ("[1]", list[int] | None, [1]),
        ("BLUE", Colour | None, Colour.BLUE),
        ("5", int | str, "5"),
    ],
)
def test_an_annotation_decides_where_the_default_is_none(
    text: str, hint: Any, expected: Any
) -> None:
    assert from_text(text, None, hint=hint) == expected


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, ("", "")),
        (True, ("True", "bool")),
        (1, ("1", "int")),
        (0.1, ("0.1", "float")),
        ("x", ("x", "str")),
        ([1, "a"], ('[1, "a"]', "list")),
        ([], ("[]", "list")),
        ([1, 2], ("[1, 2]", "list/int")),
        ((1, 2), ("[1, 2]", "tuple/int")),
        ({"a": 0.5}, ('{"a": 0.5}', "dict/float")),
        ([(1, 2)], ("[(1, 2)]", "list/tuple")),
        ({1: 2}, ("{1: 2}", "dict/int")),
        ([Path("a")], ('["a"]', "list/str")),
        (Path("a/b"), ("a/b", "str")),
        (Colour.RED, ("RED", "Colour")),
    ],
)
def test_values_are_stored_as_text_with_their_type(value: Any, stored: tuple[str, str]) -> None:
    assert to_text(value) == stored


def test_an_enum_lists_its_members_in_the_description() -> None:
    assert as_record(Colour.RED)["description"] == "Values:\nRED,\nBLUE"
    assert as_record(Colour.RED, "which")["description"] == "which\nValues:\nRED,\nBLUE"


@pytest.mark.parametrize(
    ("value", "standing", "type_name"),
    [
        (0.5, "int", "int"),
        ("9.9", "float", "float"),
        ("x", "int", "str"),
        (None, "int", ""),
        ("[1]", "list/int", "list/int"),
        (False, "click.Command", "click.Command"),
        ("BLUE", "Colour", "Colour"),
    ],
)
def test_a_stored_type_stays_where_the_new_value_fits_it(
    value: Any, standing: str, type_name: str
) -> None:
    old = {"value": "1", "type": standing, "description": "help"}
    members = as_record(value, "", old)
    assert (members["type"], members["description"]) == (type_name, "help")


def test_functions_and_bare_objects_are_no_parameters() -> None:
    assert not any(map(is_storable, (len, object(), Colour, lambda: 1)))
    assert all(map(is_storable, (None, 1, "x", [1], Path("a"), Colour.RED, Decimal("1"))))


def test_not_a_number_survives() -> None:
    assert math.isnan(from_text(to_text(math.nan)[0], 1.0))
    assert from_text(to_text(math.inf)[0], 1.0) == math.inf


def test_scalars_of_numpy_are_plain_numbers() -> None:
    class float32:
        ndim = 0

        def item(self) -> float:
            return 0.5

    float32.__module__ = "numpy"
    assert to_text(float32()) == ("0.5", "float")


@pytest.mark.parametrize(
    ("text", "type_name", "expected"),
    [
        ("5", "int", 5),
        ("5", "str", "5"),
        ("x", "int", "x"),
        ("True", "bool", True),
        ("[1, 2]", "list/int", [1, 2]),
        ("[1, 2]", "tuple/int", (1, 2)),
        ("True", "", "True"),
        ("RED", "Colour", "RED"),
        ("", "", None),
        ("", "str", ""),
    ],
)
def test_a_guess_never_fails(text: str, type_name: str, expected: Any) -> None:
    assert guess(text, type_name) == expected
