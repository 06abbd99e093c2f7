"""Searches as ClearML's programs write them: filters, tags, patterns, orders, pages, limits."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest

from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Container, Execution
from dray.runtime.models import Parameter, TaskType
from dray.runtime.patterns import Pattern, compiled
from dray.runtime.store import task_search
from dray.runtime.store.contract import Include, TaskSearch
from tests.contract.conftest import World


async def names(world: World, **task_filter: Any) -> list[str]:
    task_filter.setdefault("order_by", ["name"])
    page = await world.store.searches.run(TaskSearch(task_filter))
    return [task.name for task in page.items]


@pytest.fixture
async def shelf(world: World) -> World:
    """Six tasks that differ in what can be asked for, ten seconds apart."""
    members: list[dict[str, Any]] = [
        {"name": "alpha", "project": "vision", "tags": ["a"], "comment": "100% sure"},
        {"name": "beta", "project": "vision/large", "tags": ["a", "b"], "owner": "mira"},
        {"name": "gamma", "project": "vision-old", "type": TaskType.QC, "tags": ["b", "c"]},
        {"name": "delta 1", "project": "nlp", "parent_id": "c" * 32, "system_tags": ["archived"]},
        {
            "name": "epsilon",
            "project": "nlp",
            "execution": Execution(
                repository="https://github.com/team/nlp",
                commit="abc123",
                container=Container("python:3.12"),
            ),
            "parameters": {"Args/lr": Parameter("0.5"), "Args/n": Parameter("10")},
        },
    ]
    for one in members:
        world.clock.pass_s(10)
        await world.draft(**one)
    world.clock.pass_s(10)
    await world.pending("cpu", name="Zeta", project="nlp", parameters={"Args/n": Parameter("9")})
    return world


async def test_a_name_is_a_pattern_that_fits_any_part_in_its_own_case(shelf: World) -> None:
    assert await names(shelf, name="eta") == ["Zeta", "beta"]
    assert await names(shelf, name="^beta$") == ["beta"]
    assert await names(shelf, name="^(al|ga).*a$") == ["alpha", "gamma"]
    assert await names(shelf, name=r"delta \d") == ["delta 1"]
    assert await names(shelf, name="(?i)zeta") == ["Zeta"]
    assert await names(shelf, name="^(?!.*ta)") == ["alpha", "epsilon", "gamma"]
    assert await names(shelf, name="ZETA") == []


async def test_projects_are_given_by_name_or_id_and_mean_themselves_alone(shelf: World) -> None:
    project = await shelf.store.projects.get("vision/large")
    assert await names(shelf, project=["vision"]) == ["alpha"]
    assert await names(shelf, project=["vision", project.id]) == ["alpha", "beta"]
    assert await names(shelf, project_tree="vision") == ["alpha", "beta"]


async def test_status_type_parent_queue_owner_and_id(shelf: World) -> None:
    assert await names(shelf, status=["queued"]) == ["Zeta"]
    assert await names(shelf, status="pending", queue="cpu") == ["Zeta"]
    assert await names(shelf, status=["in_progress", "closed"]) == []
    assert await names(shelf, type=["qc"]) == ["gamma"]
    assert await names(shelf, parent="c" * 32) == ["delta 1"]
    assert await names(shelf, user=["mira"]) == ["beta"]
    (beta,) = (await shelf.store.searches.run(TaskSearch({"name": "beta"}))).items
    assert await names(shelf, id=[beta.id, "0" * 32]) == ["beta"]


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["a", "c"], ["alpha", "beta", "gamma"]),
        (["a", "-b"], ["alpha"]),
        (["-a"], ["Zeta", "delta 1", "epsilon", "gamma"]),
        (["__$all", "a", "b"], ["beta"]),
        (["__$and", "b", "__$not", "a"], ["gamma"]),
        (["__$not", "b", "a"], ["alpha"]),
        (["__$any", "c", "__$not", "b"], ["Zeta", "alpha", "delta 1", "epsilon", "gamma"]),
        (["__$all", "b", "__$or", "a", "c"], ["beta", "gamma"]),
        ([None], ["Zeta", "delta 1", "epsilon"]),
        ("c", ["gamma"]),
    ],
)
async def test_tags_know_operators(shelf: World, tags: Any, found: list[str]) -> None:
    assert await names(shelf, tags=tags) == found


async def test_system_tags_are_asked_for_alike(shelf: World) -> None:
    assert await names(shelf, system_tags=["archived"]) == ["delta 1"]
    assert "delta 1" not in await names(shelf, system_tags=["-archived"])
    assert await names(shelf, tags=["archived"]) == []


async def test_texts_are_searched_in_any_case(shelf: World) -> None:
    assert await names(shelf, search_text="ZET|100%") == ["Zeta", "alpha"]
    assert await names(shelf, search_text="GAMM") == ["gamma"]
    where = {"fields": ["script.repository"], "pattern": "github.com/TEAM"}
    assert await names(shelf, _all_=where) == ["epsilon"]
    where = {"fields": ["comment", "name"], "pattern": "a$|sure"}
    assert await names(shelf, _any_=where) == ["Zeta", "alpha", "beta", "gamma"]
    where = {"fields": ["tags", "container.image"], "pattern": "^c$|python"}
    assert await names(shelf, _any_=where) == ["epsilon", "gamma"]
    where = {"fields": ["name", "hyperparams.Args.lr.value"], "pattern": "0|eps"}
    assert await names(shelf, _all_=where) == ["epsilon"]


async def test_times_take_operators_or_from_and_to(shelf: World) -> None:
    start = 1_000_000
    day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start + 25))
    assert await names(shelf, created=[f">={day}"]) == ["Zeta", "delta 1", "epsilon", "gamma"]
    assert await names(shelf, created=f"<{day}") == ["alpha", "beta"]
    assert await names(shelf, created=[start + 15, start + 35]) == ["beta", "gamma"]
    assert await names(shelf, status_changed=[f">{day}"], status="queued") == ["Zeta"]
    assert await names(shelf, started=[">2020-01-01"]) == []


async def test_orders_by_several_keys_by_numbers_and_what_is_missing_comes_last(
    shelf: World,
) -> None:
    assert await names(shelf, order_by=["type", "-name"], name="a$") == [
        "gamma",
        "beta",
        "alpha",
        "Zeta",
    ]
    assert await names(shelf, order_by=["hyperparams.Args.n"], name="eta|eps") == [
        "Zeta",
        "epsilon",
        "beta",
    ]
    assert (await names(shelf, order_by=["-hyperparams.Args.n"]))[:2] == ["epsilon", "Zeta"]
    assert (await names(shelf, order_by=None))[0] == "Zeta", "the last that changed comes first"


async def test_metrics_order_and_filter_by_name_or_by_the_hashes_of_names(world: World) -> None:
    for name, values in {"good": [0.1, 0.9], "bad": [0.5, 0.2], "odd": [0.3]}.items():
        task_id, epoch = await world.running(name=name)
        for i, value in enumerate(values):
            record = {"title": "val.acc", "series": "top1", "i": i, "v": value}
            await world.record(task_id, epoch, "scalar", **record)
    await world.draft(name="none")
    last = "last_metrics.val.acc.top1.value"
    assert await names(world, order_by=[f"-{last}"]) == ["good", "odd", "bad", "none"]
    assert await names(world, order_by=[last]) == ["bad", "odd", "good", "none"]
    hashed = ".".join(
        hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        for text in ("val.acc", "top1")
    )
    assert await names(world, **{f"last_metrics.{hashed}.max_value": [0.4, None]}) == [
        "bad",
        "good",
    ]


@pytest.mark.parametrize("order", [["name"], ["-created"], ["type", "-last_update"]])
async def test_pages_go_on_where_the_last_one_ended(shelf: World, order: list[str]) -> None:
    whole = await names(shelf, order_by=order)
    found: list[str] = []
    cursor: str | None = None
    while cursor is not None or not found:
        search = TaskSearch({"order_by": order}, limit=2, cursor=cursor)
        page = await shelf.store.searches.run(search)
        found += [task.name for task in page.items]
        cursor = page.next_cursor
    assert found == whole
    assert await names(shelf, order_by=order, page=1, page_size=2) == whole[2:4]


async def test_what_is_answered_of_a_task_is_asked_for(shelf: World) -> None:
    async def one(include: Include) -> Any:
        search = TaskSearch({"name": "epsilon"}, include=include)
        return (await shelf.store.searches.run(search)).items[0]

    await shelf.draft(name="epsilon diff", execution=Execution(diff="+x"))
    assert (await one(Include.IDS)).name == ""
    assert (await one(Include.TASKS)).execution.diff == ""
    assert (await one(Include.WHOLE)).execution.diff == "+x"


@pytest.mark.parametrize(
    ("task_filter", "said"),
    [
        ({"colour": "red"}, "task_filter has no 'colour'; there are: id, name"),
        ({"status": ["done"]}, "status 'done' is no state; there are created, queued"),
        ({"type": "nice"}, "type 'nice' is none of training"),
        ({"tags": ["__$xor"]}, "there is no operator '__\\$xor'"),
        ({"order_by": ["-nothing"]}, "a task has no member 'nothing'"),
        ({"order_by": ["last_metrics.a.value"]}, "TITLE.SERIES.VALUE"),
        ({"_any_": {"fields": ["name"]}}, "give a dict of 'fields'"),
        ({"name": "(a"}, "is no regular expression"),
        ({"name": r"(a+)\1"}, "refers back to a group"),
        ({"name": "(a{100}){100}"}, "repeats too much"),
        ({"created": ["2024-13-01", None]}, "is no time"),
        ({"created": ["2024-01-01"]}, "give times with an operator"),
        ({"page": -1}, "page -1 is no number"),
        ({"name": 3}, "3 is no text"),
    ],
)
async def test_what_cannot_be_used_is_named(
    world: World, task_filter: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        await world.store.searches.run(TaskSearch(task_filter))


async def test_a_cursor_of_another_order_is_refused(shelf: World) -> None:
    first = await shelf.store.searches.run(TaskSearch({"order_by": ["name"]}, limit=1))
    again = TaskSearch({"order_by": ["created"]}, cursor=first.next_cursor)
    with pytest.raises(InvalidInput, match="is not one this search gave"):
        await shelf.store.searches.run(again)


async def test_a_search_that_takes_too_long_is_given_up(
    shelf: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_search, "TIME_LIMIT_S", -1.0)
    with pytest.raises(InvalidInput, match="was given up"):
        await names(shelf, name="al.*a")


@pytest.mark.parametrize("text", ["(a+)+$", "(a|a)*b", "(a?){20}a{20}b", ".*a.*b.*c.*d"])
async def test_a_pattern_that_python_would_never_finish_is_quick(world: World, text: str) -> None:
    await world.draft(name="a" * 2000 + "!")
    begun = time.monotonic()
    await names(world, name=text)
    assert time.monotonic() - begun < 1.0


def test_both_engines_find_the_same() -> None:
    for text, subject, found in [
        (r"(ab|c)+\d{2,3}$", "xabc12", True),
        (r"(ab|c)+\d{2,3}$", "xabc1", False),
        (r"^(\w+\s?)+$", "one two", True),
        (r"(?i:A)(b|c)*\b", "xa cc", True),
        (r"([^a-c]|b)+$", "aca", False),
        (r"(x|^)(y|$)", "xy", True),
    ]:
        pattern: Pattern = compiled(text)
        assert pattern.found_in(subject) == found == pattern.found_natively(subject), text
