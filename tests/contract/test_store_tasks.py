"""Tasks: made, found by prefix, edited as far as allowed, cloned, reset, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime import causes
from dray.runtime.causes import Cause
from dray.runtime.errors import AmbiguousId, Conflict, InvalidInput, NotEditable, NotFound
from dray.runtime.execution import EnvironmentReport, Execution
from dray.runtime.ids import new_id
from dray.runtime.machine import Enqueue, Finish, Reset
from dray.runtime.models import Artifact, ConfigObject, OnLost, Parameter, Policy, Task, TaskType
from dray.runtime.records import Chunk
from dray.runtime.resources import Resources
from dray.runtime.states import State, is_terminal
from dray.runtime.store import CloneRequest, TaskEdit
from tests.contract.conftest import BY, World, finish_of

FULL = {
    "type": TaskType.TESTING,
    "tags": ["b", "a"],
    "system_tags": ["hidden"],
    "comment": "first try",
    "parent_id": "c" * 32,
    "owner": "mira",
    "priority": 3,
    "policy": Policy(OnLost.WAIT, 1),
    "execution": Execution(
        repository="https://example.org/r.git",
        commit="d" * 40,
        diff="--- a\n+++ b\n",
        snapshot="e" * 64,
        entry_point="train.py",
        resources=Resources(cpus=2, gpus=0.5, custom={"tpu": 1.0}),
    ),
    "parameters": {"Args/lr": Parameter("0.1", "float", "rate")},
    "configuration": {"net": ConfigObject("layers: 3", "yaml")},
    "properties": {"grade": "A"},
}


async def test_a_task_comes_back_as_it_was_made(world: World) -> None:
    task = await world.draft(**FULL)
    assert task == await world.store.tasks.get(task.id)
    for name, value in FULL.items():
        assert getattr(task, name) == value
    assert (task.state, task.created_at) == (State.DRAFT, world.clock.now())


async def test_an_id_made_by_the_client_is_kept_and_refused_twice(world: World) -> None:
    task_id = new_id()
    assert (await world.draft(id=task_id)).id == task_id
    with pytest.raises(Conflict, match=task_id):
        await world.draft(id=task_id)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"id": "short"}, "id"),
        ({"name": "  "}, "name"),
        ({"project": "//"}, "project"),
        ({"priority": 10**9}, "priority"),
        ({"tags": [""]}, "tags"),
        ({"execution": Execution(resources=Resources(gpus=1.5))}, "resources.gpus"),
    ],
)
async def test_what_cannot_be_a_task_is_refused_by_field(
    world: World, members: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await world.draft(**members)
    assert caught.value.details["field"] == field


async def test_an_id_resolves_by_unique_prefix(world: World) -> None:
    one = await world.draft(id="abcd" + "0" * 28)
    two = await world.draft(id="abcd" + "1" * 28)
    resolve = world.store.tasks.resolve
    assert await resolve("ABCD0") == one.id
    assert await resolve(two.id) == two.id
    with pytest.raises(AmbiguousId):
        await resolve("abcd")
    with pytest.raises(NotFound):
        await resolve("ffff")
    with pytest.raises(InvalidInput):
        await resolve("train")


async def test_heads_of_tasks_that_are_gone_are_left_out(world: World) -> None:
    task_id = await world.pending()
    heads = await world.store.tasks.heads([task_id, new_id()])
    assert heads == {task_id: await world.head(task_id)}
    assert await world.store.tasks.heads([]) == {}


EVERYTHING = TaskEdit(
    name="better",
    project="vision/new",
    comment="second try",
    tags=["x"],
    properties={"grade": None, "mood": "good"},
    type=TaskType.TRAINING,
    parameters={"Args/lr": None, "Args/batch": Parameter("32", "int")},
    configuration={"data": ConfigObject("path: /d")},
    execution={"entry_point": "main.py", "resources": {"gpus": 1}},
    policy=Policy(),
    priority=0,
    output_uri="s3://bucket",
)


async def test_a_draft_can_be_edited_throughout(world: World) -> None:
    task = await world.draft(**FULL)
    edited = await world.store.tasks.edit(task.id, EVERYTHING, BY)
    assert (edited.name, edited.project, edited.comment) == ("better", "vision/new", "second try")
    assert (edited.tags, edited.system_tags) == (["x"], ["hidden"])
    assert edited.properties == {"mood": "good"}
    assert set(edited.parameters) == {"Args/batch"}
    assert set(edited.configuration) == {"net", "data"}
    assert edited.execution.entry_point == "main.py"
    assert edited.execution.output_uri == "s3://bucket"
    assert edited.execution.resources == Resources(cpus=2, gpus=1.0, custom={"tpu": 1.0})
    assert (edited.type, edited.policy, edited.priority) == (TaskType.TRAINING, Policy(), 0)
    assert await world.events(task.id) == ["create", "edit"]


async def test_an_edit_that_changes_nothing_is_not_audited(world: World) -> None:
    task = await world.draft()
    await world.store.tasks.edit(task.id, TaskEdit(name=task.name), BY)
    assert await world.events(task.id) == ["create"]


async def test_parameters_can_be_replaced_as_a_whole(world: World) -> None:
    task = await world.draft(**FULL)
    edit = TaskEdit(parameters={"Args/x": Parameter("1")}, replace_parameters=True)
    edited = await world.store.tasks.edit(task.id, edit, BY)
    assert set(edited.parameters) == {"Args/x"}


ALWAYS = TaskEdit(name="n", project="p", comment="c", tags=["t"], properties={"k": "v"})
UNTIL_ITS_END = {
    "type": TaskType.QC,
    "parent_id": "c" * 32,
    "labels": {"cat": 1},
    "publish_on_completion": True,
}
DRAFT_ONLY = {
    "parameters": {"a/b": Parameter("1")},
    "replace_parameters": True,
    "configuration": {"a": ConfigObject("")},
    "execution": {"branch": "main"},
    "policy": {"on_lost": "wait"},
    "priority": 1,
    "output_uri": "s3://b",
}


@pytest.mark.parametrize("state", [state for state in State if state is not State.DRAFT])
async def test_only_labels_can_be_edited_past_the_draft(world: World, state: State) -> None:
    task_id = await world.in_state(state)
    edited = await world.store.tasks.edit(task_id, ALWAYS, BY)
    assert (edited.name, edited.project, edited.tags) == ("n", "p", ["t"])
    assert (edited.comment, edited.properties) == ("c", {"k": "v"})
    for name, value in DRAFT_ONLY.items():
        with pytest.raises(NotEditable, match="clone it") as caught:
            await world.store.tasks.edit(task_id, TaskEdit(**{name: value}), BY)
        assert caught.value.details["field"] == name


@pytest.mark.parametrize("state", list(State))
async def test_what_does_not_say_how_it_runs_can_be_edited_until_its_end(
    world: World, state: State
) -> None:
    task_id = await world.in_state(state)
    for name, value in UNTIL_ITS_END.items():
        edit = TaskEdit(**{name: value})
        if is_terminal(state):
            with pytest.raises(NotEditable, match="clone it"):
                await world.store.tasks.edit(task_id, edit, BY)
        else:
            assert getattr(await world.store.tasks.edit(task_id, edit, BY), name) == value


async def test_system_tags_are_kept_apart_from_tags(world: World) -> None:
    task = await world.draft(tags=["a"], system_tags=["development"])
    edited = await world.store.tasks.edit(task.id, TaskEdit(system_tags=["archived"]), BY)
    assert (edited.tags, edited.system_tags) == (["a"], ["archived"])
    edited = await world.store.tasks.edit(task.id, TaskEdit(tags=["b"]), BY)
    assert (edited.tags, edited.system_tags) == (["b"], ["archived"])


async def test_a_clone_is_neither_archived_nor_in_development(world: World) -> None:
    task = await world.draft(system_tags=["archived", "pipeline", "development"])
    assert (await world.store.tasks.clone(task.id, CloneRequest(), BY)).system_tags == ["pipeline"]


async def test_a_project_may_be_given_by_its_id(world: World) -> None:
    there = await world.store.projects.ensure("a/b")
    task = await world.draft(project=there.id)
    assert (task.project, task.project_id) == ("a/b", there.id)
    other = await world.store.projects.ensure("c")
    edited = await world.store.tasks.edit(task.id, TaskEdit(project=other.id), BY)
    assert (edited.project, edited.project_id) == ("c", other.id)


async def test_a_task_is_completed_and_published_in_one_step(world: World) -> None:
    task_id, epoch = await world.running(publish_on_completion=True)
    finish = Finish(epoch, causes.exited(0))
    change = await world.store.tasks.apply(task_id, finish, BY)
    assert (change.before.state, change.after.state) == (State.RUNNING, State.PUBLISHED)
    assert (await world.events(task_id))[-2:] == ["complete", "publish"]
    again = await world.store.tasks.apply(task_id, finish, BY)
    assert again.after == change.after, "a repeated end is answered again"


async def test_a_failed_task_is_not_published(world: World) -> None:
    task_id = await world.ended(causes.exited(1), publish_on_completion=True)
    assert (await world.head(task_id)).state is State.FAILED


@pytest.mark.parametrize("member", ["repository", "commit", "branch", "diff"])
async def test_editing_the_code_drops_the_snapshot_of_other_code(world: World, member: str) -> None:
    task = await world.draft(**FULL)
    edited = await world.store.tasks.edit(task.id, TaskEdit(execution={member: "new"}), BY)
    assert edited.execution.snapshot == ""


async def test_editing_something_else_keeps_the_snapshot(world: World) -> None:
    task = await world.draft(**FULL)
    same_commit = {"commit": "d" * 40, "entry_point": "other.py"}
    edited = await world.store.tasks.edit(task.id, TaskEdit(execution=same_commit), BY)
    assert edited.execution.snapshot == "e" * 64


async def test_packages_that_somebody_lists_are_installed_whatever_lock_the_code_has(
    world: World,
) -> None:
    task = await world.draft()
    edited = await world.store.tasks.edit(task.id, TaskEdit(execution={"packages": ["a==1"]}), BY)
    assert (edited.execution.packages, edited.execution.packages_from) == (["a==1"], "task")
    edited = await world.store.tasks.edit(task.id, TaskEdit(execution={"commit": "c" * 40}), BY)
    assert edited.execution.packages_from == "task"


async def test_an_edit_may_say_itself_where_packages_come_from(world: World) -> None:
    task = await world.draft()
    for origin in ("lock", ""):
        change = {"packages": ["a==1"], "packages_from": origin}
        edited = await world.store.tasks.edit(task.id, TaskEdit(execution=change), BY)
        assert edited.execution.packages_from == origin


@pytest.mark.parametrize(
    ("execution", "field"),
    [
        ({"comit": "x"}, "execution.comit"),
        ({"resources": {"gpu": 1}}, "execution.resources.gpu"),
        ({"packages": "numpy"}, "execution"),
        ({"resources": {"cpus": -1}}, "resources.cpus"),
    ],
)
async def test_an_execution_that_cannot_be_is_refused_by_field(
    world: World, execution: dict[str, Any], field: str
) -> None:
    task = await world.draft()
    with pytest.raises(InvalidInput) as caught:
        await world.store.tasks.edit(task.id, TaskEdit(execution=execution), BY)
    assert caught.value.details["field"] == field


@pytest.mark.parametrize("state", State)
async def test_a_clone_of_any_state_is_a_draft_with_the_same_inputs(
    world: World, state: State
) -> None:
    source = await world.store.tasks.get(await world.in_state(state))
    clone = await world.store.tasks.clone(source.id, CloneRequest(), BY)
    assert (clone.state, clone.epoch, clone.attempt) == (State.DRAFT, 0, None)
    assert (clone.name, clone.parent_id) == (f"Clone of {source.name}", source.id)


async def test_a_clone_takes_inputs_and_leaves_outputs(world: World) -> None:
    source = await world.draft(**FULL)
    await world.store.artifacts.put(source.id, Artifact("model", "file"))
    clone = await world.store.tasks.clone(source.id, CloneRequest(), BY)
    for name in ("type", "tags", "comment", "policy", "execution", "parameters", "configuration"):
        assert getattr(clone, name) == getattr(source, name)
    assert (clone.properties, clone.artifacts) == ({}, [])
    assert clone.parent_id == source.parent_id
    assert clone.owner == BY.who


async def test_a_clone_can_be_named_and_placed(world: World) -> None:
    source = await world.draft(**FULL)
    wanted = CloneRequest(new_id(), "other", "nlp", "why", ["t"], "")
    clone = await world.store.tasks.clone(source.id, wanted, BY)
    assert (clone.id, clone.name, clone.project) == (wanted.id, "other", "nlp")
    assert (clone.comment, clone.tags, clone.parent_id) == ("why", ["t"], "")


async def ended_with_outputs(world: World, cause: Cause) -> str:
    """A task that wrote something of everything."""
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"hello\n"))
    await world.record(task_id, epoch, "scalar", title="loss", series="train", i=1, v=0.5)
    await world.record(task_id, epoch, "single", name="best", v=0.9)
    await world.record(task_id, epoch, "plot", title="p", series="s", i=0, type="table", data=[[1]])
    await world.record(task_id, epoch, "text", level="info", message="hi")
    await world.record(task_id, epoch, "artifact", name="model", type="file", sha256="f" * 64)
    await world.record(task_id, epoch, "runtime", values={"host": "h"})
    await world.record(task_id, epoch, "progress", v=50)
    await world.ship(task_id, epoch, finish=finish_of(cause, stdout=b"hello\n"))
    return task_id


async def no_outputs(world: World, task_id: str) -> bool:
    results = world.store.results
    return (
        await results.scalars(task_id) == {}
        and await results.single_values(task_id) == {}
        and await results.plots(task_id) == []
        and await results.texts(task_id) == []
        and (await world.store.console.pieces(task_id)).pieces == []
        and await results.offsets(task_id, 1) == {}
        and await world.store.artifacts.list(task_id) == []
        and not world.home.console_stream(task_id, 1, "stdout").exists()
    )


async def test_a_reset_is_a_new_life_without_the_old_outputs(world: World) -> None:
    task_id = await ended_with_outputs(world, causes.exited(1))
    assert not await no_outputs(world, task_id)
    await world.store.tasks.apply(task_id, Reset(), BY)
    assert await no_outputs(world, task_id)
    task = await world.store.tasks.get(task_id)
    assert (task.state, task.cause, task.attempt) == (State.DRAFT, None, None)
    assert (task.started_at, task.ended_at, task.progress) == (None, None, None)
    assert task.runtime == {}
    assert (await world.events(task_id))[-2:] == ["fail", "reset"], "the story stays"
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert (await world.claim(task_id)).epoch == 2, "an epoch is never used twice"


async def test_going_on_after_a_failure_keeps_the_outputs(world: World) -> None:
    task_id = await ended_with_outputs(world, causes.exited(1))
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    epoch = (await world.claim(task_id)).epoch
    await world.record(task_id, epoch, "scalar", title="loss", series="train", i=2, v=0.4)
    await world.store.tasks.apply(task_id, Finish(epoch, causes.exited(0)), BY)
    points = (await world.store.results.scalars(task_id))["loss"]["train"]
    assert points.iterations == [1, 2]
    assert [a.name for a in await world.store.artifacts.list(task_id)] == ["model"]


async def test_deleting_a_task_removes_everything_but_the_word_that_it_was_deleted(
    world: World,
) -> None:
    task_id = await ended_with_outputs(world, causes.exited(0))
    await world.store.tasks.delete(task_id, BY)
    assert await no_outputs(world, task_id)
    with pytest.raises(NotFound):
        await world.store.tasks.get(task_id)
    assert await world.events(task_id) == ["delete"]


async def test_a_deleted_pending_task_waits_in_no_queue(world: World) -> None:
    task_id = await world.pending()
    await world.store.tasks.delete(task_id, BY)
    assert await world.store.queues.count("gpu") == 0


@pytest.mark.parametrize("state", [State.RUNNING, State.PUBLISHED])
async def test_deleting_what_runs_or_is_published_needs_force(world: World, state: State) -> None:
    task_id = await world.in_state(state)
    with pytest.raises(Conflict, match="force"):
        await world.store.tasks.delete(task_id, BY)
    await world.store.tasks.delete(task_id, BY, force=True)
    with pytest.raises(NotFound):
        await world.store.tasks.delete(task_id, BY)


async def test_a_whole_task_can_be_made_again_from_its_json(world: World) -> None:
    task = await world.draft(**FULL)
    again = await world.store.tasks.create(Task(**{**vars(task), "id": ""}), BY)
    assert again.execution == task.execution


async def test_a_clone_as_resolved_installs_what_the_last_attempt_ran_with(world: World) -> None:
    task_id, epoch = await world.running()
    report = EnvironmentReport("key", True, 1.5, "3.11.7", ["numpy==2.1"], manager="uv")
    await world.store.attempts.set_environment(task_id, epoch, report)
    clone = await world.store.tasks.clone(task_id, CloneRequest(packages="resolved"), BY)
    assert (clone.execution.packages, clone.execution.packages_from) == (["numpy==2.1"], "task")
    assert clone.execution.python_version == "3.11.7"
    asked = await world.store.tasks.clone(task_id, CloneRequest(), BY)
    assert asked.execution == (await world.store.tasks.get(task_id)).execution


@pytest.mark.parametrize(
    ("packages", "message"), [("resolved", "was never prepared"), ("newest", "neither requested")]
)
async def test_packages_that_nobody_resolved_are_refused(
    world: World, packages: str, message: str
) -> None:
    source = await world.draft()
    with pytest.raises(InvalidInput, match=message) as refused:
        await world.store.tasks.clone(source.id, CloneRequest(packages=packages), BY)
    assert refused.value.details["field"] == "packages"
