"""Plots are built by pure functions: whatever numbers come in, JSON that plotly takes comes out."""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.plots import figures as plots
from dray.sdk.plots import plain
from dray.sdk.plots import space as plots_space
from dray.sdk.plots import tables as plots_tables

BIG: Any = "big"
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.booleans()


def through_json(figure: Any) -> Any:
    """What a reader finds; a NaN left in it would fail here."""
    return json.loads(json.dumps(figure, allow_nan=False))


def arrays(rows: list[list[Any]]) -> list[Any]:
    """The same numbers as lists, tuples and, where it has such numbers, a NumPy array."""
    numpy = pytest.importorskip("numpy")
    shapes: list[Any] = [rows, tuple(tuple(row) for row in rows)]
    if not any(isinstance(cell, int) and abs(cell) > 2**62 for row in rows for cell in row):
        shapes.append(numpy.array(rows))
    return shapes


def matrices(n_columns: int | None = None) -> st.SearchStrategy[list[list[Any]]]:
    widths = st.integers(1, 4) if n_columns is None else st.just(n_columns)
    return widths.flatmap(
        lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=1, max_size=6)
    )


@settings(max_examples=20, deadline=None)
@given(matrices(), st.text(max_size=8), st.sampled_from(["group", "stack", "relative", None]))
def test_any_numbers_make_a_histogram(rows: list[list[Any]], text: str, mode: str | None) -> None:
    made = [through_json(plots.histogram(text, text, rows, mode=mode)) for rows in arrays(rows)]
    assert len(made[0]["data"]) == len(rows)
    assert all(figure == made[0] for figure in made)


@settings(max_examples=20, deadline=None)
@given(matrices(2), matrices(3), st.text(max_size=8))
def test_any_points_make_a_plot(
    pairs: list[list[Any]], triples: list[list[Any]], text: str
) -> None:
    flat = [through_json(plots.lines(text, [(text, rows, None)])) for rows in arrays(pairs)]
    solid = [through_json(plots_space.scatter3d(text, text, rows)) for rows in arrays(triples)]
    assert len(flat[0]["data"][0]["x"]) == len(pairs)
    assert len(solid[0]["data"][0]["z"]) == len(triples)


@settings(max_examples=20, deadline=None)
@given(matrices(), st.text(max_size=8))
def test_any_matrix_makes_a_plot(rows: list[list[Any]], text: str) -> None:
    for shape in arrays(rows):
        flat = through_json(plots.matrix(text, text, shape))
        solid = through_json(plots_space.surface(text, text, shape))
        assert len(flat["data"][0]["z"]) == len(solid["data"][0]["z"]) == len(rows)


ANYTHING = st.recursive(
    st.none() | NUMBERS | st.text(max_size=5) | st.binary(max_size=5) | st.dates() | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=40, deadline=None)
@given(ANYTHING)
def test_any_value_becomes_json(value: Any) -> None:
    through_json(plain.plain(value))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(ANYTHING, max_size=4), max_size=5))
def test_any_rows_make_a_table(rows: list[list[Any]]) -> None:
    columns, cells = plots_tables.cells_of(rows)
    figure = through_json(plots_tables.table("t", "s", columns, cells))
    assert len(figure["data"][0]["cells"]["values"]) == max(map(len, rows), default=0)


def test_values_of_other_libraries_become_plain() -> None:
    numpy = pytest.importorskip("numpy")
    made = plain.plain(
        {
            1: numpy.float32(0.5),
            "nan": [math.nan, -math.inf, numpy.nan],
            "date": datetime.date(2024, 1, 2),
            "dates": numpy.array(["2024-01-02"], dtype="datetime64[ns]"),
            "decimal": Decimal("1.5"),
            "ints": numpy.arange(3),
            "packed": {"dtype": "i2", "bdata": "AQACAAMABAA=", "shape": "2, 2"},
            "class": int,
        }
    )
    assert made == {
        "1": 0.5,
        "nan": [None, None, None],
        "date": "2024-01-02",
        "dates": ["2024-01-02T00:00:00.000000000"],
        "decimal": 1.5,
        "ints": [0, 1, 2],
        "packed": [[1, 2], [3, 4]],
        "class": "<class 'int'>",
    }


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidInput, match="contains itself"):
        plain.plain(loop)


@pytest.mark.parametrize(
    ("build", "error", "named"),
    [
        (lambda: plots.histogram("t", "s", [[1, 2], [3]]), ValueError, r"values has rows .*1, 2"),
        (lambda: plots.histogram("t", "s", "many"), TypeError, "values must be rows"),
        (lambda: plots.histogram("t", "s", ["many"]), ValueError, "values must be a number"),
        (lambda: plots.histogram("t", "s", [1], mode="pile"), ValueError, "mode .* 'pile'"),
        (lambda: plots.histogram("t", "s", [1, 2], xlabels=["a"]), ValueError, "xlabels are 1"),
        (lambda: plots.histogram("t", "s", [[1], [2]], labels="ab"), TypeError, "labels"),
        (lambda: plots.histogram("t", "s", [1], extra_layout=BIG), TypeError, "extra_layout"),
        (lambda: plots.lines("t", [("s", [1, 2, 3], None)]), ValueError, r"pairs \(x, y\)"),
        (lambda: plots.lines("t", [("s", [(1, 2)], ["a", "b"])]), ValueError, "labels are 2"),
        (lambda: plots.lines("t", [("s", [(1, 2)], None)], mode="dots"), ValueError, "'dots'"),
        (lambda: plots_space.scatter3d("t", "s", [(1, 2)]), ValueError, "triples"),
        (lambda: plots_space.surface("t", "s", [[1]], camera=(1, 2)), ValueError, "camera"),
        (lambda: plots.matrix("t", "s", [[1, 2], [3]]), ValueError, "different lengths"),
        (lambda: plots.matrix("t", "s", [[[1]]]), ValueError, "two dimensions"),
        (lambda: plots.matrix("t", "s", None), TypeError, "matrix must be rows"),
        (lambda: plots.plotly(3), TypeError, "plotly Figure or a dict"),
        (lambda: plots.plotly({"traces": []}), ValueError, "neither data nor layout"),
        (lambda: plots.plotly("{"), ValueError, "no JSON"),
        (lambda: plots_tables.cells_of("rows"), TypeError, "table_plot"),
        (lambda: plots_tables.cells_of_csv("/no/such"), ValueError, "/no/such"),
        (lambda: plots_tables.cells_of_url("s3://b/t.csv"), ValueError, "as csv"),
    ],
)
def test_what_is_no_plot_is_refused_by_name(
    build: Callable[[], object], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named) as refused:
        build()
    assert isinstance(refused.value, (InvalidInput, WrongType))


def test_a_histogram_has_a_group_of_bars_for_each_row() -> None:
    figure = plots.histogram(
        "ages", "s", [[1, 2], [3, 4]], labels=["f", "m"], xlabels=["young", "old"], mode="stack"
    )
    assert [(bar["name"], bar["x"], bar["y"]) for bar in figure["data"]] == [
        ("f", ["young", "old"], [1, 2]),
        ("m", ["young", "old"], [3, 4]),
    ]
    assert figure["layout"]["barmode"] == "stack"


def test_extra_members_are_merged_where_they_belong() -> None:
    extra = {"texttemplate": "%{z:.1f}", "xaxis": {"type": "category"}, "title": "mine"}
    figure = plots.matrix("t", "s", [[1.0]], xaxis="predicted", extra_layout=extra)
    assert figure["data"][0]["texttemplate"] == "%{z:.1f}"
    assert figure["layout"]["xaxis"] == {"title": {"text": "predicted"}, "type": "category"}
    assert figure["layout"]["title"] == {"text": "mine"}


def test_a_long_line_keeps_its_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "POINT_LIMIT", 100)
    points = [(at, 1000 if at == 1234 else at % 7) for at in range(2000)]
    (trace,) = plots.lines("t", [("s", points, None)])["data"]
    assert len(trace["x"]) <= 100
    assert 1234 in trace["x"]
    assert max(trace["y"]) == 1000


def test_groups_of_points_in_space_have_names_of_their_own() -> None:
    groups = [[(1, 2, 3)], [(4, 5, 6), (7, 8, 9)]]
    figure = plots_space.scatter3d("t", "s", groups, labels=[["a"], ["b", "c"]], fill=True)
    assert [(trace["name"], trace["text"]) for trace in figure["data"]] == [
        ("s 0", ["a"]),
        ("s 1", ["b", "c"]),
    ]


def test_tables_of_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, math.nan], ("b", "c"): ["x", None]})
    assert plots_tables.cells_of(frame) == (["a", "b / c"], [[1.0, "x"], ["NaN", "NaN"]])
    named = pandas.DataFrame({"n": [1, 2]}, index=pandas.Index(["p", "q"], name="key"))
    assert plots_tables.cells_of(named) == (["key", "n"], [["p", 1], ["q", 2]])
    levels = pandas.MultiIndex.from_tuples([("x", 1)], names=["k", None])
    frame = pandas.DataFrame({"n": [5]}, index=levels)
    assert plots_tables.cells_of(frame) == (["k", "", "n"], [["x", 1, 5]])
    assert plots_tables.cells_of(named["n"]) == (["key", "n"], [["p", 1], ["q", 2]])


@pytest.mark.parametrize(
    ("table", "columns", "rows"),
    [
        ([["a", "b"], [1, "x"], [2.5, None]], ["a", "b"], [[1, "x"], [2.5, None]]),
        ((("only", "names"),), ["only", "names"], []),
        ([["t"], [Path("p")], [math.inf], [-math.inf]], ["t"], [["p"], ["Inf"], ["-Inf"]]),
        ([{"a": 1}, {"b": True}], ["a", "b"], [[1, None], [None, True]]),
        ([], [], []),
    ],
)
def test_tables_of_rows(table: Any, columns: list[str], rows: list[Any]) -> None:
    assert plots_tables.cells_of(table) == (columns, rows)


def test_a_table_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["name", "n"], ["a, b", 1], ["c", 2.5], ["nan", ""]])
    columns, rows = plots_tables.cells_of_csv(path)
    assert (columns, rows) == (["name", "n"], [["a, b", 1], ["c", 2.5], ["NaN", ""]])


def test_a_long_table_says_that_it_is_cut() -> None:
    rows = [[at] for at in range(plots_tables.ROW_LIMIT + 1)]
    figure = plots_tables.table("t", "s", ["n"], rows)
    assert len(figure["data"][0]["cells"]["values"][0]) == plots_tables.ROW_LIMIT
    assert "the first 10000 of 10001 rows" in figure["layout"]["title"]["text"]


def test_plotly_takes_every_kind() -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    figures = [
        plots.histogram("t", "s", [[1, 2]], xaxis="x", data_args={"orientation": "v"}),
        plots.lines("t", [("s", [(1, 2)], ["l"])], comment="c", reverse_xaxis=True),
        plots.matrix("t", "s", [[1, math.nan]], xlabels=["a", "b"], yaxis_reversed=True),
        plots_space.scatter3d("t", "s", [(1, 2, 3)], zaxis="z", labels=["l"], fill=True),
        plots_space.surface("t", "s", [[1, 2]], camera=(1, 1, 1), xlabels=["a", "b"]),
        plots_tables.table("t", "s", ["a"], [[1]], extra_data={"columnwidth": [2]}),
    ]
    for figure in figures:
        made = graph_objects.Figure(through_json(figure))
        # And back: what plotly packs for its own page is unpacked again.
        again = plots.plotly(made)
        assert through_json(again)["data"][0]["type"] == figure["data"][0]["type"]


def test_numbers_that_plotly_packed_are_kept_as_numbers() -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    numpy = pytest.importorskip("numpy")
    figure = graph_objects.Figure(graph_objects.Heatmap(z=numpy.arange(6.0).reshape(2, 3)))
    assert plots.plotly(figure)["data"][0]["z"] == [[0, 1, 2], [3, 4, 5]]
