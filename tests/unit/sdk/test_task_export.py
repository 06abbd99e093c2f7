"""A task as a document in ClearML's shape, and back: nothing that says how to run it is lost."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from dray.runtime.codec import from_json, to_json
from dray.runtime.errors import InvalidInput, WrongType
from dray.runtime.execution import Container, EnvironmentReport, Execution
from dray.runtime.models import (
    Attempt,
    ConfigObject,
    Metric,
    OnLost,
    Parameter,
    Policy,
    Task,
    TaskType,
)
from dray.runtime.resources import Resources
from dray.runtime.states import State
from dray.sdk.tasks import export as task_export
from dray.sdk.tasks.records import data_of
from dray.sdk.tasks.word_sets import TaskStatusEnum, TaskTypes

TASK = Task(
    id="a" * 32,
    name="train",
    project="vision/large",
    project_id="b" * 32,
    type=TaskType.TESTING,
    state=State.ABORTED,
    tags=["x", "y"],
    comment="first",
    parent_id="c" * 32,
    owner="mira",
    created_at=1.0,
    ended_at=5.0,
    queue="gpu",
    attempt=Attempt("a" * 32, 1, "agent-1"),
    execution=Execution(
        repository="https://example.org/r.git",
        commit="d" * 40,
        branch="main",
        diff="+x",
        entry_point="train.py",
        python_version="3.11",
        packages=["numpy==2", "torch"],
        container=Container("python:3.12", "-e A=1", "apt update"),
        output_uri="s3://bucket",
    ),
    parameters={"Args/lr": Parameter("0.1", "float", "rate"), "General/a/b": Parameter("1")},
    configuration={"net": ConfigObject("layers: 3", "yaml")},
    properties={"team": "vision"},
    labels={"cat": 1},
    metrics={"loss": {"train": Metric(0.5, 7, 0.1, 0.9, 8)}},
)


def test_members_go_by_the_names_that_programs_know() -> None:
    data = data_of(to_json(TASK))
    assert (data.status, data.type, data.user, data.parent) == (
        "stopped",
        "testing",
        "mira",
        "c" * 32,
    )
    assert (data.project, data.project_name) == ("b" * 32, "vision/large")
    assert (data.script.repository, data.script.version_num) == (
        "https://example.org/r.git",
        "d" * 40,
    )
    assert (data.script.binary, data.script.requirements["pip"]) == (
        "python3.11",
        "numpy==2\ntorch",
    )
    assert data.hyperparams["Args"]["lr"].value == "0.1"
    assert data.hyperparams["General"]["a/b"].name == "a/b"
    assert data.hyperparams["properties"]["team"].value == "vision"
    assert data.configuration["net"].value == "layers: 3"
    assert (data.container.image, data.container.setup_shell_script) == (
        "python:3.12",
        "apt update",
    )
    assert (data.execution.queue, data.execution.model_labels) == ("gpu", {"cat": 1})
    assert (data.last_worker, data.last_iteration, data.created.year) == ("agent-1", 7, 1970)
    (series,) = data.last_metrics.values()
    (summary,) = series.values()
    assert (summary.metric, summary.variant, summary.value, summary.max_value) == (
        "loss",
        "train",
        0.5,
        0.9,
    )


def test_members_go_by_drays_own_names_too() -> None:
    data = data_of(to_json(TASK))
    assert (data["state"], data["execution"]["commit"]) == ("aborted", "d" * 40)
    with pytest.raises(AttributeError, match="there is no 'colour'"):
        _ = data.colour


def test_an_export_is_json_without_results() -> None:
    document = task_export.exported(to_json(TASK))
    assert json.loads(json.dumps(document)) == document
    assert not {"last_metrics", "last_iteration", "status_message"} & set(document)
    assert document["created"] == "1970-01-01T00:00:01+00:00"


def any_text(rng: random.Random) -> str:
    return "".join(rng.choice('aB1 ./-_=é\n"') for _ in range(rng.randint(1, 8)))


def any_task(seed: int) -> Task:
    """A task with anything in the members that say how to run it."""
    rng = random.Random(seed)

    def text() -> str:
        return any_text(rng)

    def line() -> str:
        return text().replace("\n", "").strip() or "x"

    def some(make: Any) -> dict[str, Any]:
        return {text().replace("/", ""): make() for _ in range(rng.randint(0, 3))}

    return replace(
        TASK,
        name=text(),
        type=rng.choice(list(TaskType)),
        comment=text(),
        parent_id=rng.choice(["", "e" * 32]),
        tags=[text()],
        system_tags=[text()],
        priority=rng.randint(-5, 5),
        publish_on_completion=rng.random() < 0.5,
        policy=Policy(OnLost.WAIT, retries=rng.randint(0, 3), max_run_time_s=rng.choice([None, 9])),
        execution=Execution(
            repository=text(),
            commit=text(),
            branch=text(),
            diff=text(),
            snapshot=rng.choice(["", "f" * 64]),
            entry_point=text(),
            working_dir=text(),
            arguments=[text()],
            bootstrap=rng.random() < 0.5,
            python_version=rng.choice(["", "3.11", "3.12.1"]),
            packages=[line() for _ in range(rng.randint(0, 3))],
            index_urls=[text()],
            output_uri=text(),
            binary=rng.choice(["", "/bin/bash", "/bin/bash -e"]),
            container=rng.choice([Container(), Container(text(), text(), text())]),
            resources=Resources(cpus=rng.randint(1, 4), gpus=rng.choice([0.0, 0.5])),
        ),
        parameters={
            f"{section}/{name}": Parameter(text(), rng.choice(["", "int"]), text())
            for section in ("Args", "General")
            for name in some(text)
        },
        configuration=some(lambda: ConfigObject(text(), rng.choice(["", "yaml"]), text())),
        properties=some(text),
        labels=some(lambda: rng.randint(0, 9)),
    )


@pytest.mark.parametrize("seed", range(100))
def test_what_was_exported_is_imported_as_it_was(seed: int) -> None:
    task = any_task(seed)
    if task.execution.binary:  # a program of one's own has no version of Python
        task = replace(task, execution=replace(task.execution, python_version=""))
    document = json.loads(json.dumps(task_export.exported(to_json(task))))
    members = task_export.imported(document)
    again = from_json(Task, {**to_json(TASK), **members})
    for name in members:
        assert getattr(again, name) == getattr(task, name), name
    assert again.execution == task.execution


def test_a_document_that_was_changed_gives_what_it_says() -> None:
    task = replace(TASK, execution=replace(TASK.execution, snapshot="f" * 64))
    document = task_export.exported(to_json(task))
    document["script"]["branch"] = "other"
    document["hyperparams"]["Args"]["lr"]["value"] = 0.5
    document["script"]["requirements"] = {"pip": ["pandas", "# none"]}
    members = task_export.imported(document)
    assert members["execution"]["branch"] == "other"
    assert "snapshot" not in members["execution"], "it holds other code"
    assert members["execution"]["packages"] == ["pandas"]
    assert members["parameters"]["Args/lr"]["value"] == "0.5"


def test_a_part_of_a_document_says_a_part() -> None:
    assert task_export.imported({"tags": ["a"], "colour": "red"}) == {"tags": ["a"]}
    assert task_export.merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
    with pytest.raises(WrongType, match="'script'"):
        task_export.imported({"script": "train.py"})
    with pytest.raises(InvalidInput, match="is empty"):
        task_export.checked({})


def test_words_are_used_like_an_enum() -> None:
    assert TaskTypes.training == "training" == str(TaskTypes.training)
    assert TaskTypes.qc.value == TaskTypes.qc.name == "qc"
    assert TaskTypes("testing") is TaskTypes.testing is TaskTypes["testing"]
    assert "monitor" in TaskTypes
    assert isinstance(TaskTypes.monitor, TaskTypes)
    assert len(list(TaskTypes)) == len(TaskTypes) == 11
    assert TaskStatusEnum.completed in ("completed", "failed")
    with pytest.raises(InvalidInput, match="'nice' is no TaskTypes; there are training"):
        TaskTypes("nice")


BUILT = replace(
    TASK,
    attempt=Attempt(
        "a" * 32,
        1,
        "agent-1",
        environment=EnvironmentReport("k", False, 1.0, installed=["numpy==2.1.0", "torch==2.9.0"]),
    ),
)


def test_what_an_agent_built_is_there_beside_what_was_asked_for() -> None:
    requirements = data_of(to_json(BUILT)).script.requirements
    assert requirements["pip"] == "numpy==2.1.0\ntorch==2.9.0"
    assert requirements["org_pip"] == "numpy==2\ntorch"


def test_a_document_of_a_task_that_ran_asks_for_what_the_task_asked_for() -> None:
    document = task_export.exported(to_json(BUILT))
    assert task_export.imported(document)["execution"]["packages"] == ["numpy==2", "torch"]


@pytest.mark.parametrize("is_ours", [True, False])
def test_packages_that_somebody_edited_in_a_document_count(is_ours: bool) -> None:
    document = task_export.exported(to_json(BUILT))
    document["script"]["requirements"]["pip"] = "numpy==3"
    if not is_ours:  # as ClearML's own documents are
        del document["dray"]
    assert task_export.imported(document)["execution"]["packages"] == ["numpy==3"]
