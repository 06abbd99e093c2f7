"""What the examples of processes record, read back."""

from __future__ import annotations

import random

from dray import Task
from dray.sdk.client import Client
from tests.integration.conftest import PATIENCE_S
from tests.integration.examples import LOCAL, QUEUE, Recorded, example

Points = dict[str, dict[str, dict[str, list[float]]]]


@example("process/many_tasks.py", where=[LOCAL])
def test_each_task_of_one_process_has_its_own_record(run: Recorded) -> None:
    tasks = [Task.get_task(task_id) for task_id in run.task_ids]
    found = {task.name: task.get_reported_single_value("result") for task in tasks}
    assert found == {"rate 0.1": 1.0, "rate 0.2": 2.0, "rate 0.4": 4.0}
    assert [task.get_parameters()["General/rate"] for task in tasks] == ["0.1", "0.2", "0.4"]
    assert {task.status for task in tasks} == {"completed"}


@example("process/subprocesses.py")
def test_programs_it_started_report_to_the_same_task(run: Recorded) -> None:
    points = run.task.get_reported_scalars()["by process"]
    assert {name: series["y"] for name, series in points.items()} == {"one": [3.0], "three": [5.0]}
    assert "children ended with [0, 0]" in run.console
    printed = console(run)
    assert ("child one" in printed, "child three" in printed) == (True, True)


@example("process/pools.py")
def test_workers_report_however_they_were_started(run: Recorded) -> None:
    points = run.task.get_reported_scalars()["squares"]
    assert {name: sorted(series["y"]) for name, series in points.items()} == {
        "ForkPoolWorker": [0, 1, 4, 9],
        "SpawnPoolWorker": [0, 1, 4, 9],
    }
    assert run.task.get_reported_single_value("largest") == 9


@example("process/threads.py")
def test_threads_share_the_task(run: Recorded) -> None:
    points = run.task.get_reported_scalars()["progress"]
    assert sorted(points) == [f"thread {n}" for n in range(4)]
    assert all(series["x"] == list(range(50)) for series in points.values())


@example("process/function_task.py")
def test_a_function_runs_as_a_task_of_its_own(run: Recorded) -> None:
    made = run.console.split("made ")[1].split()[0]
    client: Client = run.cluster.client
    client.wait(made, timeout=PATIENCE_S)
    task = Task.get_task(made)
    assert (task.status, task.name, task.parent) == (
        "completed",
        f"{run.task.name} <count>",
        run.task.id,
    )
    assert task.get_reported_single_value("n words") == 12
    assert task.get_parameters()["Function/times"] == "2"


@example("process/offline_session.py", where=[LOCAL])
def test_an_offline_session_arrives_whole(run: Recorded) -> None:
    assert f"sent as {run.task.id}" in run.console
    assert run.task.get_reported_scalars()["loss"]["train"]["y"] == [0.25]
    assert run.task.artifacts["settings"].get() == {"rate": 0.1}


@example("process/offline_session.py", where=[QUEUE])
def test_in_a_queue_nothing_is_offline(run: Recorded) -> None:
    assert run.task.get_reported_scalars()["loss"]["train"]["y"] == [0.25]


@example("process/move_to_queue.py")
def test_the_run_goes_on_in_the_queue(run: Recorded) -> None:
    assert run.task.get_reported_scalars()["loss"]["train"]["y"] == [1.0, 0.5]
    assert "runs in the queue" in console(run)
    assert ("checked here" in run.console) == (run.where == LOCAL)


@example("process/untouched.py", arguments=["--lr", "0.3"], where=[LOCAL], DRAY_AUTO_INIT="1")
def test_an_untouched_script_is_recorded_by_a_variable(run: Recorded) -> None:
    assert (run.task.name, run.console) == ("untouched", "trained with 0.3\n")
    assert run.task.get_parameters()["Args/lr"] == "0.3"
    assert run.task.get_script()["entry_point"] == "untouched.py"


@example("process/going_on.py", where=[LOCAL])
def test_a_stopped_run_goes_on(run: Recorded) -> None:
    assert "goes on from iteration 3" in run.console
    points = run.task.get_reported_scalars()["loss"]["train"]
    assert points["x"] == [0, 1, 2, 3, 4, 5]


@example("process/seeds.py")
def test_a_seed_that_was_asked_for_counts(run: Recorded) -> None:
    first = run.task.get_reported_single_value("first random number")
    assert first == random.Random(42).random()
    assert "seed 42" in run.console


@example("process/pickled.py")
def test_a_task_travels_to_another_process(run: Recorded) -> None:
    assert run.task.get_reported_scalars()["by worker"]["worker"]["y"] == [1.0]
    assert "worker is the main task" in console(run)


def console(run: Recorded) -> str:
    """All that the task's processes printed, in the queue too."""
    return "".join(piece.text for piece in run.cluster.client.console(run.task.id).pieces)
