"""Models: made, found, edited until published, named by tasks, told of by records, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime import causes
from dray.runtime.errors import Conflict, InvalidInput, NotEditable, NotFound
from dray.runtime.ids import new_id
from dray.runtime.machine import Finish, Publish, Reset
from dray.runtime.models import ModelRef
from dray.runtime.records import Chunk, encode_record
from dray.runtime.registry import INPUT, OUTPUT, Metadatum, Model
from dray.runtime.store import CloneRequest
from dray.runtime.store.model_edit import ModelEdit
from dray.runtime.store.model_query import ModelQuery
from tests.contract.conftest import BY, World

FULL: dict[str, Any] = {
    "task_id": "a" * 32,
    "framework": "PyTorch",
    "uri": "s3://bucket/net.pt",
    "filename": "net.pt",
    "sha256": "e" * 64,
    "n_bytes": 7,
    "tags": ["b", "a"],
    "system_tags": ["package"],
    "comment": "first try",
    "labels": {"cat": 1},
    "config_text": "layers: 3",
    "config_type": "yaml",
    "metadata": {"acc": Metadatum("0.5", "float")},
    "iteration": 3,
    "owner": "mira",
}


async def make(world: World, **members: Any) -> Model:
    given: dict[str, Any] = {"id": "", "name": "net", "project": "vision", **members}
    return await world.store.models.create(Model(**given), BY)


async def names(world: World, **query: Any) -> list[str]:
    found = await world.store.models.list(ModelQuery(order="name", **query))
    return [model.name for model in found.items]


async def events(world: World, model_id: str) -> list[str]:
    return [event.event for event in await world.store.models.history(model_id)]


class TestKeeping:
    async def test_a_model_comes_back_as_it_was_made(self, world: World) -> None:
        model = await make(world, **FULL)
        assert model == await world.store.models.get(model.id)
        for name, value in FULL.items():
            assert getattr(model, name) == value
        assert await world.store.models.resolve(model.id[:8]) == model.id

    async def test_an_id_is_taken_once(self, world: World) -> None:
        model = await make(world)
        with pytest.raises(Conflict):
            await make(world, id=model.id)

    @pytest.mark.parametrize(
        "member",
        [
            {"id": "net"},
            {"name": " "},
            {"task_id": "x"},
            {"tags": [""]},
            {"n_bytes": -1},
            {"sha256": "abc"},
            {"labels": {"cat": 1 << 70}},
            {"config_text": "x" * (5 << 20)},
        ],
    )
    async def test_what_cannot_be_a_models_is_refused(
        self, world: World, member: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInput, match=next(iter(member))):
            await make(world, **member)

    async def test_an_edit_changes_what_it_names(self, world: World) -> None:
        model = await make(world, **FULL)
        edit = ModelEdit(tags=["c"], metadata={"acc": None, "n": Metadatum("2", "int")})
        world.clock.pass_s(5)
        changed = await world.store.models.edit(model.id, edit, BY)
        assert (changed.tags, changed.metadata) == (["c"], {"n": Metadatum("2", "int")})
        assert (changed.comment, changed.updated_at) == ("first try", world.clock.now())

    async def test_the_same_edit_again_changes_nothing(self, world: World) -> None:
        model = await make(world)
        for _ in range(2):
            await world.store.models.edit(model.id, ModelEdit(comment="new"), BY)
        assert await events(world, model.id) == ["create", "edit"]

    async def test_metadata_can_be_replaced_whole(self, world: World) -> None:
        model = await make(world, **FULL)
        edit = ModelEdit(metadata={"n": Metadatum("2")}, replace_metadata=True)
        changed = await world.store.models.edit(model.id, edit, BY)
        assert changed.metadata == {"n": Metadatum("2")}


class TestPublished:
    async def test_what_it_is_cannot_change(self, world: World) -> None:
        model = await make(world, **FULL)
        await world.store.models.publish(model.id, BY)
        for edit in (ModelEdit(uri="file:///x"), ModelEdit(labels={}), ModelEdit(config_text="")):
            with pytest.raises(NotEditable, match="make another one"):
                await world.store.models.edit(model.id, edit, BY)

    async def test_how_it_is_found_can_change(self, world: World) -> None:
        model = await make(world, **FULL)
        await world.store.models.publish(model.id, BY)
        edit = ModelEdit(name="best", tags=[], comment="", metadata={"stage": Metadatum("live")})
        changed = await world.store.models.edit(model.id, edit, BY)
        assert (changed.name, changed.tags, changed.published) == ("best", [], True)

    async def test_publishing_again_changes_nothing(self, world: World) -> None:
        model = await make(world)
        for _ in range(2):
            await world.store.models.publish(model.id, BY)
        assert await events(world, model.id) == ["create", "publish"]


class TestLists:
    async def test_filters(self, world: World) -> None:
        await make(world, name="a", tags=["x", "y"], metadata={"stage": Metadatum("live")})
        await make(world, name="b", tags=["y"], project="vision/sub", uri="s3://b")
        await make(world, name="c", tags=["z"], project="audio", published=True)
        assert await names(world) == ["a", "b", "c"]
        assert await names(world, project="vision") == ["a", "b"]
        assert await names(world, project="vision", project_only=True) == ["a"]
        assert await names(world, tags=["x", "z"]) == ["a", "c"]
        assert await names(world, tags=["__$all", "x", "y"]) == ["a"]
        assert await names(world, tags=["y", "-x"]) == ["b"]
        assert await names(world, metadata={"stage": "live"}) == ["a"]
        assert await names(world, metadata={"stage": "lives"}) == []
        assert await names(world, only_published=True) == ["c"]
        assert await names(world, uri="s3://b") == ["b"]
        assert await names(world, name="A") == ["a"]
        assert await names(world, name_exact="A") == []

    async def test_archived_models_are_left_out_until_asked_for(self, world: World) -> None:
        model = await make(world)
        for _ in range(2):
            await world.store.models.archive(model.id, BY)
        assert await names(world) == []
        assert await names(world, include_archived=True) == ["net"]
        await world.store.models.archive(model.id, BY, archived=False)
        assert await names(world) == ["net"]
        assert await events(world, model.id) == ["create", "archive", "unarchive"]

    @pytest.mark.parametrize("order", ["name", "-name", "created_at", "-updated_at"])
    async def test_pages_hold_each_model_once(self, world: World, order: str) -> None:
        for number in range(5):
            world.clock.pass_s(1)
            await make(world, name=f"n{number % 2}")
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await world.store.models.list(ModelQuery(order=order, limit=2, cursor=cursor))
            seen += [model.id for model in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 5

    async def test_a_strange_cursor_is_refused(self, world: World) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            await world.store.models.list(ModelQuery(cursor="xx"))


class TestTasks:
    async def test_a_task_names_its_models(self, world: World) -> None:
        task = await world.draft()
        first, second = await make(world), await make(world)
        for name, model in (("a", first), ("b", second), ("a", second)):
            await world.store.models.link(task.id, INPUT, name, model.id, BY)
        refs = [ModelRef(second.id, "a"), ModelRef(second.id, "b")]
        assert (await world.store.tasks.get(task.id)).models == {INPUT: refs}
        assert await names(world, task=task.id) == ["net"]
        await world.store.models.unlink(task.id, INPUT, second.id, BY)
        assert await world.store.models.of_task(task.id) == {}

    async def test_a_link_needs_both_ends(self, world: World) -> None:
        task, model = await world.draft(), await make(world)
        with pytest.raises(NotFound):
            await world.store.models.link(task.id, INPUT, "a", new_id(), BY)
        with pytest.raises(NotFound):
            await world.store.models.link(new_id(), INPUT, "a", model.id, BY)
        with pytest.raises(InvalidInput, match="kind"):
            await world.store.models.link(task.id, "side", "a", model.id, BY)

    async def test_a_clone_has_the_inputs_and_no_outputs(self, world: World) -> None:
        task, model = await world.draft(), await make(world)
        for kind in (INPUT, OUTPUT):
            await world.store.models.link(task.id, kind, "a", model.id, BY)
        clone = await world.store.tasks.clone(task.id, CloneRequest(), BY)
        assert clone.models == {INPUT: [ModelRef(model.id, "a")]}

    async def test_a_reset_drops_what_only_the_task_had(self, world: World) -> None:
        task_id = await world.ended(causes.exited(0))
        own, public, shared = [await make(world, task_id=task_id, name=n) for n in "abc"]
        for model in (own, public, shared):
            await world.store.models.link(task_id, OUTPUT, model.name, model.id, BY)
        await world.store.models.publish(public.id, BY)
        other = await world.draft()
        await world.store.models.link(other.id, INPUT, "x", shared.id, BY)
        await world.store.tasks.apply(task_id, Reset(), BY)
        assert await names(world) == ["b", "c"]
        assert await events(world, own.id) == ["create", "delete"]
        assert await world.store.models.of_task(task_id) == {}

    async def test_a_deleted_task_takes_its_models_along(self, world: World) -> None:
        task_id = await world.ended(causes.exited(0))
        model = await make(world, task_id=task_id)
        await world.store.models.link(task_id, OUTPUT, "a", model.id, BY)
        await world.store.tasks.delete(task_id, BY)
        assert await names(world) == []

    async def test_models_can_outlive_their_task(self, world: World) -> None:
        task_id = await world.ended(causes.exited(0))
        model = await make(world, task_id=task_id)
        await world.store.models.link(task_id, OUTPUT, "a", model.id, BY)
        await world.store.tasks.delete(task_id, BY, keep_models=True)
        assert (await world.store.models.get(model.id)).task_id == task_id

    async def test_the_last_model_is_published_with_its_task(self, world: World) -> None:
        task_id = await world.ended(causes.exited(0))
        first, last = [await make(world, task_id=task_id, name=name) for name in "ab"]
        for model in (first, last):
            await world.store.models.link(task_id, OUTPUT, model.name, model.id, BY)
        await world.store.tasks.apply(task_id, Publish(), BY)
        assert not (await world.store.models.get(first.id)).published
        assert (await world.store.models.get(last.id)).published


class TestDeleting:
    async def test_it_leaves_its_story(self, world: World) -> None:
        model = await make(world)
        assert await world.store.models.delete(model.id, BY) == model
        with pytest.raises(NotFound):
            await world.store.models.get(model.id)
        assert await events(world, model.id) == ["create", "delete"]

    async def test_a_published_model_is_deleted_by_force_alone(self, world: World) -> None:
        model = await make(world)
        await world.store.models.publish(model.id, BY)
        with pytest.raises(Conflict, match="force"):
            await world.store.models.delete(model.id, BY)
        await world.store.models.delete(model.id, BY, force=True)

    async def test_a_model_that_a_task_needs_is_deleted_by_force_alone(self, world: World) -> None:
        task_id, model = await world.ended(causes.exited(0)), await make(world)
        await world.store.models.link(task_id, INPUT, "a", model.id, BY)
        with pytest.raises(Conflict, match=f"input of task {task_id[:8]}"):
            await world.store.models.delete(model.id, BY)
        await world.store.models.delete(model.id, BY, force=True)
        assert await world.store.models.of_task(task_id) == {}

    async def test_what_a_published_task_made_stays(self, world: World) -> None:
        task_id = await world.ended(causes.exited(0))
        model = await make(world, task_id=task_id)
        for other in (model, await make(world)):
            await world.store.models.link(task_id, OUTPUT, other.id[:4], other.id, BY)
        await world.store.tasks.apply(task_id, Publish(), BY)
        with pytest.raises(Conflict, match="published task"):
            await world.store.models.delete(model.id, BY)
        with pytest.raises(Conflict, match="clone"):
            await world.store.models.unlink(task_id, OUTPUT, model.id, BY)


class TestRecords:
    async def test_a_run_tells_of_a_model_bit_by_bit(self, world: World) -> None:
        task_id, epoch = await world.running(owner="mira")
        model_id = new_id()
        said: list[dict[str, Any]] = [
            {"new": True, "own": True, "name": "best", "labels": {"cat": 1}},
            {"as": OUTPUT, "called": "net", "uri": "s3://b/net.pt", "iteration": 4},
            {"metadata": {"acc": {"value": "0.5", "type": "float"}}},
            {"metadata": {"n": {"value": "1", "type": "int"}}, "published": True},
        ]
        for members in said:
            await world.record(task_id, epoch, "model", id=model_id, **members)
        model = await world.store.models.get(model_id)
        assert (model.name, model.project, model.owner) == ("best", "vision", "mira")
        assert (model.task_id, model.uri, model.iteration) == (task_id, "s3://b/net.pt", 4)
        assert (set(model.metadata), model.published) == ({"acc", "n"}, True)
        task = await world.store.tasks.get(task_id)
        assert task.models == {OUTPUT: [ModelRef(model_id, "net")]}
        assert await events(world, model_id) == ["create", "publish"]

    async def test_a_repeated_frame_has_its_effect_once(self, world: World) -> None:
        task_id, epoch = await world.running()
        model_id = new_id()
        line = encode_record("model", 1.0, id=model_id, new=True, **{"as": OUTPUT, "called": "x"})
        for _ in range(2):
            await world.ship(task_id, epoch, Chunk("records", 0, line))
        assert await names(world) == ["train"]
        assert await events(world, model_id) == ["create"]

    async def test_what_was_deleted_meanwhile_does_not_come_back(self, world: World) -> None:
        task_id, epoch = await world.running()
        model_id = new_id()
        await world.record(task_id, epoch, "model", id=model_id, new=True, name="a")
        await world.store.models.delete(model_id, BY)
        members = {"as": OUTPUT, "called": "x"}
        await world.record(task_id, epoch, "model", id=model_id, name="b", **members)
        assert await names(world) == []
        assert (await world.store.tasks.get(task_id)).models == {}

    async def test_a_model_published_meanwhile_keeps_what_it_is(self, world: World) -> None:
        task_id, epoch = await world.running()
        model = await make(world)
        await world.store.models.publish(model.id, BY)
        await world.record(task_id, epoch, "model", id=model.id, uri="file:///other")
        assert (await world.store.models.get(model.id)).uri == ""

    async def test_an_imported_model_may_be_one_that_is_known(self, world: World) -> None:
        task_id, epoch = await world.running()
        known = await make(world, uri="file:///net.pt")
        members = {"as": INPUT, "called": "net", "uri": "file:///net.pt", "name": "net"}
        await world.record(
            task_id, epoch, "model", id=new_id(), new=True, may_be_known=True, **members
        )
        assert await names(world) == ["net"]
        task = await world.store.tasks.get(task_id)
        assert task.models == {INPUT: [ModelRef(known.id, "net")]}

    async def test_lines_that_cannot_be_a_models_are_counted(self, world: World) -> None:
        task_id, epoch = await world.running()
        for members in (
            {"id": "x", "new": True},
            {"id": new_id(), "labels": {"a": "b"}},
            {"id": new_id(), "as": "side", "called": "a"},
            {"id": new_id(), "comment": "x" * (5 << 20)},
        ):
            await world.record(task_id, epoch, "model", **members)
        assert await names(world) == []
        assert (await world.events(task_id)).count("records_malformed") == 4

    async def test_reports_of_a_model_are_the_models(self, world: World) -> None:
        task_id, epoch = await world.running()
        model = await make(world)
        scalar = {"k": "scalar", "title": "loss", "series": "val", "i": 1, "v": 2.0}
        for report in (scalar, {"k": "single", "name": "acc", "v": 0.5}):
            await world.record(task_id, epoch, "of_model", id=model.id, report=report)
        points = (await world.store.results.scalars(model.id))["loss"]["val"]
        assert (points.iterations, points.values) == ([1], [2.0])
        assert await world.store.results.single_values(model.id) == {"acc": 0.5}
        assert (await world.store.tasks.get(task_id)).metrics == {}

    async def test_a_models_reports_go_with_it(self, world: World) -> None:
        task_id, epoch = await world.running()
        model = await make(world)
        report = {"k": "scalar", "title": "loss", "series": "val", "i": 1, "v": 2.0}
        await world.record(task_id, epoch, "of_model", id=model.id, report=report)
        await world.store.models.delete(model.id, BY)
        await world.record(task_id, epoch, "of_model", id=model.id, report=report)
        assert await world.store.results.scalars(model.id) == {}

    async def test_classes_are_the_tasks(self, world: World) -> None:
        task_id, epoch = await world.running()
        for values in ({"cat": 1, "dog": 2}, {"cat": 3}):
            await world.record(task_id, epoch, "labels", values=values)
        assert (await world.store.tasks.get(task_id)).labels == {"cat": 3}
        await world.store.tasks.apply(task_id, Finish(epoch, causes.exited(0)), BY)
