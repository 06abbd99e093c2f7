"""What the examples about tasks do to tasks, seen from outside."""

from __future__ import annotations

import re

from dray import Task
from tests.integration.conftest import PATIENCE_S
from tests.integration.examples import LOCAL, Recorded, example


def said(run: Recorded) -> dict[str, str]:
    """What the script printed, by what stands before the first colon."""
    lines = [line.split(": ", 1) for line in run.console.splitlines() if ": " in line]
    return dict(lines)


def ended(run: Recorded, task_id: str) -> Task:
    run.cluster.client.wait(task_id, timeout=PATIENCE_S)
    task = Task.get_task(task_id)
    assert task is not None
    return task


@example("tasks/query_and_filter.py")
def test_tasks_are_found_by_what_they_are(run: Recorded) -> None:
    assert said(run) == {
        "pattern": "['tree 1', 'tree 2']",
        "any": "['net 10', 'tree 2']",
        "all": "['tree 2']",
        "without": "['tree 1']",
        "drafts": "3",
        "in name or tag": "['net 10']",
        "largest": "net 10 10",
        "by name": "['small', 'best']",
        "nobody": "None",
    }
    assert run.task.get_reported_single_value("tasks on the shelf") == 3


@example("tasks/clone_edit_enqueue.py")
def test_clones_run_with_their_own_values(run: Recorded) -> None:
    clones = re.findall(r"enqueued 1 (\w{32})", run.console)
    losses = []
    for task_id in clones:
        clone = ended(run, task_id)
        assert (clone.status, clone.parent) == ("completed", run.task.id)
        losses.append(clone.get_reported_single_value("loss"))
    assert losses == [0.75, 0.5]
    assert Task.query_tasks(task_filter={"parent": [run.task.id], "status": ["completed"]})
    if run.where == LOCAL:
        mine = Task.clone(run.task)  # outside git its script was recorded with it
        mine.set_packages([])
        mine.update_parameters({"Args/role": "worker", "Args/lr": 0.75})
        Task.enqueue(mine, "default")
        assert ended(run, mine.id).get_reported_single_value("loss") == 0.25


@example("tasks/export_and_import.py")
def test_an_exported_task_is_imported_and_updated(run: Recorded) -> None:
    assert said(run) == {
        "branch": "main",
        "lr": "0.1",
        "imported": "imported next 0.5",
        "packages": "numpy==2.1.0",
        "updated": "['edited'] {'Args/lr': '0.5', 'Args/epochs': '9'}",
        "data": "next 9",
    }
    copy_id = str(run.task.get_user_properties(value_only=True)["copied"])
    copy = Task.get_task(copy_id)
    assert copy is not None
    assert copy.get_configuration_object("net") == "layers: 3"
    assert copy.data.script.repository == "https://example.org/team/vision.git"


@example("tasks/tags_and_archive.py")
def test_what_is_archived_is_found_only_when_asked_for(run: Recorded) -> None:
    assert said(run) == {
        "tags": "['second', 'third']",
        "archived": "True ['archived', 'generated']",
        "shown": "0",
        "there": "1",
        "not the archived one": "True",
        "taken out": "False True",
        "clone": "['generated']",
    }
    assert run.task.get_tags() == ["second", "third"]
    assert run.task.comment == "what was learned from it"


@example("tasks/create_from_script.py")
def test_a_task_made_of_a_script_runs(run: Recorded) -> None:
    lines = run.console.splitlines()
    assert "type: inference created" in lines
    assert "runs: made_for_this.py" in lines
    assert "needs: tqdm>=4" in lines
    assert "arguments: {'Args/lr': '0.1', 'Args/epochs': '3'}" in lines
    assert "container: python:3.12-slim --ipc=host -e A=1" in lines
    assert "container: None" in lines
    assert "on top: 0.5 True" in lines
    (task_id,) = re.findall(r"enqueued 1 (\w{32})", run.console)
    made = ended(run, task_id)
    assert made.status == "completed", made.get_status_message()
    assert "hello from a script" in "".join(made.get_reported_console_output(10))


@example("tasks/publish_on_completion.py")
def test_a_task_is_published_with_its_completion(run: Recorded) -> None:
    assert [line for line in run.console.splitlines() if ": " in line] == [
        "status: in_progress",
        "status: published all numbers were checked",
        "refused: NotEditable",
        "tags: ['kept']",
        "status: failed",
        "deleted: True False",
    ]


@example("tasks/states_and_waiting.py")
def test_states_go_by_the_words_programs_know(run: Recorded) -> None:
    found = said(run)
    assert found.pop("waited").endswith("is failed: out of data: line 7")
    assert found == {
        "mine": "in_progress True",
        "made": "created draft",
        "started": "in_progress True",
        "message": "out of data: line 7",
        "reset": "created",
        "stopped": "stopped True",
    }
    assert "not in time" in run.console


@example("tasks/projects.py")
def test_tasks_move_between_projects(run: Recorded) -> None:
    assert said(run) == {
        "name": "True",
        "id": "True None",
        "moved": "True",
        "back": "True",
        "projects": "['', '/a', '/b', '/b/c']",
        "clone": "/b",
        "alone": "['leaf']",
        "below": "2",
    }
