"""Lists of tasks: filters, orders, and pages that hold still while tasks come and go."""

from __future__ import annotations

import pytest

from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Execution
from dray.runtime.models import TaskType
from dray.runtime.states import State
from dray.runtime.store import TaskEdit, TaskQuery
from tests.contract.conftest import BY, World


async def names(world: World, **query: object) -> list[str]:
    page = await world.store.tasks.list(TaskQuery(order="name", **query))  # type: ignore[arg-type]
    return [task.name for task in page.items]


@pytest.fixture
async def shelf(world: World) -> World:
    """Six tasks that differ in what can be asked for."""
    await world.draft(name="alpha", project="vision", tags=["a"], comment="100% sure")
    await world.draft(name="beta", project="vision/large", tags=["a", "b"], owner="mira")
    await world.draft(name="gamma", project="vision-old", type=TaskType.QC)
    await world.draft(name="delta_1", project="nlp", parent_id="c" * 32)
    await world.pending(name="epsilon", project="nlp")
    await world.pending("cpu", name="zeta", project="nlp")
    return world


async def test_a_project_includes_what_lies_below_it_and_nothing_beside_it(shelf: World) -> None:
    assert await names(shelf, project="vision") == ["alpha", "beta"]
    assert await names(shelf, project="vision/large/") == ["beta"]
    assert await names(shelf, project="nowhere") == []


async def test_filters(shelf: World) -> None:
    assert await names(shelf, name="LPH") == ["alpha"]
    assert await names(shelf, name="a_1") == ["delta_1"], "_ is no wildcard"
    assert await names(shelf, name="alp%a") == [], "% is no wildcard"
    assert await names(shelf, name_exact="beta") == ["beta"]
    assert await names(shelf, states=[State.PENDING]) == ["epsilon", "zeta"]
    assert len(await names(shelf, states=[State.PENDING, State.DRAFT])) == 6
    assert await names(shelf, types=[TaskType.QC]) == ["gamma"]
    assert await names(shelf, tags=["a"]) == ["alpha", "beta"]
    assert await names(shelf, tags=["a", "b"]) == ["beta"]
    assert await names(shelf, queue="cpu") == ["zeta"]
    assert await names(shelf, parent_id="c" * 32) == ["delta_1"]
    assert await names(shelf, owner="mira") == ["beta"]
    assert await names(shelf, search="100%") == ["alpha"]
    assert await names(shelf, project="nlp", states=[State.PENDING], queue="gpu") == ["epsilon"]


async def test_search_finds_the_beginning_of_an_id(shelf: World) -> None:
    task = (await shelf.store.tasks.list(TaskQuery(name_exact="beta"))).items[0]
    assert await names(shelf, search=task.id[:12]) == ["beta"]


async def test_a_list_leaves_out_what_is_long(world: World) -> None:
    task = await world.draft(execution=Execution(diff="+" * 1000, commit="c" * 40))
    (listed,) = (await world.store.tasks.list(TaskQuery())).items
    assert (listed.execution.diff, listed.execution.commit) == ("", "c" * 40)
    assert (await world.store.tasks.get(task.id)).execution.diff == "+" * 1000


async def many(world: World, n_tasks: int) -> None:
    for i in range(n_tasks):
        world.clock.pass_s(i % 2)  # every other two were made at the same time
        await world.draft(name=f"t{i:02}")


async def pages(world: World, query: TaskQuery) -> list[list[str]]:
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await world.store.tasks.list(TaskQuery(**{**vars(query), "cursor": cursor}))
        found.append([task.name for task in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("column", ["created_at", "updated_at", "name"])
async def test_pages_hold_every_task_once_in_either_direction(world: World, column: str) -> None:
    await many(world, 11)
    up = await pages(world, TaskQuery(order=column, limit=3))
    down = await pages(world, TaskQuery(order=f"-{column}", limit=3))
    assert [len(page) for page in up] == [3, 3, 3, 2]
    flat = [name for page in up for name in page]
    assert sorted(flat) == [f"t{i:02}" for i in range(11)]
    assert [name for page in down for name in page] == flat[::-1]


async def test_tasks_that_come_and_go_between_pages_shift_nothing(world: World) -> None:
    await many(world, 6)
    first = await world.store.tasks.list(TaskQuery(limit=3))
    world.clock.pass_s(1)
    await world.draft(name="new")
    await world.store.tasks.delete(first.items[-1].id, BY)
    second = await world.store.tasks.list(TaskQuery(limit=3, cursor=first.next_cursor))
    shown = [task.name for task in (*first.items, *second.items)]
    assert sorted(shown) == [f"t{i:02}" for i in range(6)]
    assert second.next_cursor is None


async def test_a_page_that_is_just_full_is_the_last(world: World) -> None:
    await many(world, 3)
    assert (await world.store.tasks.list(TaskQuery(limit=3))).next_cursor is None


@pytest.mark.parametrize("cursor", ["nonsense", "!", "e30", ""])
async def test_a_cursor_that_nobody_gave_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await world.store.tasks.list(TaskQuery(cursor=cursor))
    assert caught.value.details["field"] == "cursor"


async def test_a_cursor_of_another_order_is_refused(world: World) -> None:
    await many(world, 2)
    page = await world.store.tasks.list(TaskQuery(limit=1))
    with pytest.raises(InvalidInput, match="cursor"):
        await world.store.tasks.list(TaskQuery(order="name", cursor=page.next_cursor))


async def test_an_order_that_is_none_is_refused_with_those_that_are(world: World) -> None:
    with pytest.raises(InvalidInput, match="created_at, updated_at, name"):
        await world.store.tasks.list(TaskQuery(order="size"))


async def test_an_edit_brings_a_task_to_the_front_of_recent_ones(world: World) -> None:
    await many(world, 3)
    world.clock.pass_s(1)
    oldest = (await world.store.tasks.list(TaskQuery(order="created_at"))).items[0]
    await world.store.tasks.edit(oldest.id, TaskEdit(comment="look here"), BY)
    recent = await world.store.tasks.list(TaskQuery(order="-updated_at"))
    assert recent.items[0].name == oldest.name


async def test_the_story_of_a_task_is_paged(world: World) -> None:
    task = await world.draft()
    for i in range(4):
        await world.store.tasks.edit(task.id, TaskEdit(comment=str(i)), BY)
    first = await world.store.audit.list(task.id, limit=3)
    rest = await world.store.audit.list(task.id, first.next_cursor, limit=3)
    assert [e.event for e in first.items + rest.items] == ["create"] + ["edit"] * 4
    assert first.items[1].details == {"fields": ["comment"]}
    assert rest.next_cursor is None
    with pytest.raises(InvalidInput):
        await world.store.audit.list(task.id, "nonsense")
