"""Queues in claim order, agents that serve them, projects that nest, replies kept by key."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime.errors import Conflict, InvalidInput, NotFound
from dray.runtime.execution import Container, RunDefaults
from dray.runtime.models import AgentRecord, Artifact
from dray.runtime.ordering import sort_key
from dray.runtime.resources import Resources
from dray.runtime.states import State
from dray.runtime.store import StoredReply, TaskQuery
from dray.runtime.store.idempotency import KEPT_S
from tests.contract.conftest import BY, World


async def test_the_claim_order_is_priority_then_first_come(world: World) -> None:
    first = await world.pending(priority=0)
    urgent = await world.pending(priority=9)
    second = await world.pending(priority=0)
    last = await world.pending(priority=-1)
    waiting = await world.store.queues.pending("gpu")
    assert [e.task_id for e in waiting] == [urgent, first, second, last]
    positions = [await world.store.queues.position(e.task_id) for e in waiting]
    assert positions == [1, 2, 3, 4]


async def test_pending_pages_go_on_where_the_last_ended_even_if_it_left(world: World) -> None:
    for priority in (0, 1, 0, 2, 1, 0, 2):
        await world.pending(priority=priority)
    whole = await world.store.queues.pending("gpu")
    after, paged = None, []
    while page := await world.store.queues.pending("gpu", 2, after):
        paged += page
        after = sort_key(page[-1])
        await world.claim(page[-1].task_id)
    assert paged == whole


async def test_queues_do_not_see_each_other(world: World) -> None:
    await world.pending("gpu")
    cpu = await world.pending("cpu")
    assert [e.task_id for e in await world.store.queues.pending("cpu")] == [cpu]
    assert await world.store.queues.position(cpu) == 1
    assert await world.store.queues.position("0" * 32) is None


async def test_a_queue_tells_how_many_wait(world: World) -> None:
    await world.pending("gpu")
    await world.store.queues.create("cpu")
    counts = {q.name: q.n_pending for q in await world.store.queues.list()}
    assert counts == {"cpu": 0, "gpu": 1}
    assert await world.store.queues.count("gpu") == 1


async def test_an_elastic_queue_is_served_and_a_static_one_by_who_lists_it(world: World) -> None:
    queues, agents = world.store.queues, world.store.agents
    assert (await queues.create("elastic")).served
    assert not (await queues.create("static", elastic=False)).served
    agent = AgentRecord("a", "static", Resources(), ["static"], state="ready")
    await agents.put(agent)
    assert (await queues.get("static")).served
    await agents.put(AgentRecord("a", "static", Resources(), ["static"], state="lost"))
    assert not (await queues.get("static")).served


async def test_a_queue_has_one_name_and_one_only(world: World) -> None:
    queue = await world.store.queues.create("gpu")
    assert await world.store.queues.get(queue.id) == queue
    assert await world.store.queues.ensure("gpu") == queue
    with pytest.raises(Conflict):
        await world.store.queues.create("gpu")
    for name in ("", "a/b", "-x", "x" * 200):
        with pytest.raises(InvalidInput):
            await world.store.queues.create(name)
    with pytest.raises(NotFound, match="dray queue create cpu"):
        await world.store.queues.get("cpu")


async def test_a_queue_in_which_tasks_wait_goes_by_force_only(world: World) -> None:
    task_id = await world.pending()
    with pytest.raises(Conflict, match="1 tasks wait"):
        await world.store.queues.delete("gpu", BY)
    await world.store.queues.delete("gpu", BY, force=True)
    assert (await world.head(task_id)).state is State.DRAFT
    assert await world.store.queues.list() == []


async def test_what_an_agent_runs_is_derived_from_its_attempts(world: World) -> None:
    agents = world.store.agents
    agent = AgentRecord("agent-1", "elastic", Resources(gpus=1), slots=2, node="n", state="ready")
    await agents.put(agent)
    task_id = await world.pending()
    await world.claim(task_id, agent="agent-1")
    assert (await agents.get("agent-1")).task_ids == [task_id]
    assert [a.task_ids for a in await agents.list()] == [[task_id]]
    await agents.remove("agent-1")
    await agents.remove("agent-1")
    with pytest.raises(NotFound):
        await agents.get("agent-1")


async def test_projects_are_made_with_their_parents_and_count_what_is_below(world: World) -> None:
    await world.draft(project=" a / b ")
    await world.draft(project="a")
    found = await world.store.projects.list()
    assert [(p.name, p.n_tasks) for p in found] == [("a", 2), ("a/b", 1)]
    assert (await world.store.projects.ensure("a/b")).id == found[1].id
    assert [p.name for p in await world.store.projects.list(after="a", limit=1)] == ["a/b"]


async def test_renaming_a_project_takes_everything_below_with_it(world: World) -> None:
    task = await world.draft(project="a/b")
    await world.draft(project="ab")
    renamed = await world.store.projects.edit("a", name="x/y", description="ours")
    assert (renamed.name, renamed.description) == ("x/y", "ours")
    assert (await world.store.tasks.get(task.id)).project == "x/y/b"
    names = [p.name for p in await world.store.projects.list()]
    assert names == ["ab", "x", "x/y", "x/y/b"]
    page = await world.store.tasks.list(TaskQuery(project="x"))
    assert [t.id for t in page.items] == [task.id]


@pytest.mark.parametrize("name", ["taken", "a/b"])
async def test_a_project_cannot_take_a_name_that_is_taken_or_its_own(
    world: World, name: str
) -> None:
    for project in ("a", "taken"):
        await world.store.projects.ensure(project)
    with pytest.raises(Conflict, match="free name"):
        await world.store.projects.edit("a", name=name)


async def test_only_an_empty_project_can_be_deleted(world: World) -> None:
    task = await world.draft(project="a/b")
    with pytest.raises(Conflict, match="sub-projects"):
        await world.store.projects.delete("a")
    with pytest.raises(Conflict, match="tasks"):
        await world.store.projects.delete("a/b")
    await world.store.tasks.delete(task.id, BY)
    await world.store.projects.delete("a/b")
    await world.store.projects.delete("a")
    with pytest.raises(NotFound):
        await world.store.projects.get("a")


async def test_the_last_artifact_of_a_name_stays(world: World) -> None:
    task = await world.draft()
    for version in ("1", "2"):
        artifact = Artifact("model", "file", "m.bin", version * 64, 7, metadata={"v": version})
        await world.store.artifacts.put(task.id, artifact)
    assert await world.store.artifacts.get(task.id, "model") == artifact
    assert (await world.store.tasks.get(task.id)).artifacts == [artifact]
    with pytest.raises(NotFound):
        await world.store.artifacts.get(task.id, "other")
    with pytest.raises(NotFound):
        await world.store.artifacts.put("0" * 32, artifact)


async def test_a_reply_is_kept_by_its_key_for_a_day(world: World) -> None:
    replies = world.store.idempotency
    assert await replies.get("k") is None
    await replies.put("k", StoredReply("fingerprint", 201, "{}"))
    assert await replies.get("k") == StoredReply("fingerprint", 201, "{}")
    world.clock.pass_s(KEPT_S)
    assert await replies.get("k") is None
    await replies.put("other", StoredReply("f", 201, "{}"))


async def test_how_a_queues_tasks_run_is_kept_with_it(world: World) -> None:
    queues = world.store.queues
    wanted = RunDefaults("pip", Container("python:3.12", "--ipc=host"))
    assert (await queues.create("gpu", defaults=wanted)).defaults == wanted
    assert await queues.defaults("gpu") == wanted
    assert await queues.defaults("nowhere") == RunDefaults()
    edited = await queues.edit("gpu", {"container": {"image": "python:3.13"}})
    assert edited.defaults == RunDefaults("pip", Container("python:3.13", "--ipc=host"))
    assert await queues.defaults("gpu") == edited.defaults, "what was remembered is forgotten"
    await queues.delete("gpu", BY)
    assert await queues.defaults("gpu") == RunDefaults()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"environment_manager": "apt"}, "defaults.environment_manager"),
        ({"container": {"arguments": "--ipc=host"}}, "defaults.container.arguments"),
        ({"container": {"images": "x"}}, "defaults.container.images"),
        ({"manager": "uv"}, "defaults.manager"),
        ({"container": "python:3.12"}, "defaults"),
    ],
)
async def test_defaults_that_mean_nothing_are_refused(
    world: World, changes: dict[str, Any], field: str
) -> None:
    await world.store.queues.create("gpu")
    with pytest.raises(InvalidInput) as refused:
        await world.store.queues.edit("gpu", changes)
    assert refused.value.details["field"] == field
