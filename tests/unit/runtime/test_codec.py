"""Dataclasses to JSON and back, unchanged, and errors that name the member."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import codec
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.execution import Execution
from dray.runtime.models import (
    Artifact,
    Attempt,
    AuditEntry,
    Metric,
    Parameter,
    Policy,
    Task,
    TaskType,
)
from dray.runtime.resources import Resources
from dray.runtime.states import Event, Phase, State

texts = st.text(max_size=10)
numbers = st.floats(allow_nan=False, allow_infinity=False)
resources = st.builds(
    Resources, numbers, numbers, st.integers(0, 2**40), st.dictionaries(texts, numbers, max_size=2)
)
causes_ = st.none() | st.builds(
    Cause,
    st.sampled_from(CauseKind),
    texts,
    st.none() | st.integers(-255, 255),
    outcome=st.none() | st.sampled_from(Event),
)
tasks = st.builds(
    Task,
    id=texts,
    name=texts,
    project=texts,
    type=st.sampled_from(TaskType),
    state=st.sampled_from(State),
    phase=st.none() | st.sampled_from(Phase),
    cause=causes_,
    tags=st.lists(texts, max_size=3),
    ended_at=st.none() | numbers,
    priority=st.integers(-5, 5),
    policy=st.builds(Policy),
    execution=st.builds(Execution, resources=resources, arguments=st.lists(texts, max_size=2)),
    parameters=st.dictionaries(texts, st.builds(Parameter, texts, texts), max_size=3),
    artifacts=st.lists(
        st.builds(Artifact, texts, texts, n_bytes=st.integers(0, 2**50)), max_size=2
    ),
    attempt=st.none() | st.builds(Attempt, texts, st.integers(1, 9), texts),
    metrics=st.dictionaries(
        texts,
        st.dictionaries(
            texts, st.builds(Metric, numbers, st.integers(), numbers, numbers, st.integers())
        ),
        max_size=2,
    ),
)


@given(tasks)
def test_a_task_survives_json(task: Task) -> None:
    assert codec.from_json(Task, json.loads(json.dumps(codec.to_json(task)))) == task


def test_anything_may_be_a_detail() -> None:
    entry = AuditEntry(1, 2.0, "t", "edit", "draft", "draft", "me", details={"a": [1, None]})
    assert codec.from_json(AuditEntry, codec.to_json(entry)) == entry


def test_a_newer_server_may_say_more() -> None:
    assert codec.from_json(Parameter, {"value": "1", "colour": "red"}) == Parameter("1")


def test_a_whole_number_is_a_float_where_one_is_expected() -> None:
    cpus = codec.from_json(Resources, {"cpus": 2}).cpus
    assert (cpus, type(cpus)) == (2.0, float)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Parameter, {"value": 1}, "Parameter.value: expected str, got int"),
        (Parameter, {}, "value"),
        (Parameter, [], "Parameter: expected dict"),
        (Task, {"id": "a", "name": "b", "project": "c", "tags": [1]}, r"Task.tags\[\]"),
        (Task, {"id": "a", "name": "b", "project": "c", "priority": True}, "Task.priority"),
        (Task, {"id": "a", "name": "b", "project": "c", "state": "lost"}, "lost"),
        (Artifact, {"name": "a", "type": "b", "metadata": {"k": 1}}, "Artifact.metadata.k"),
    ],
)
def test_what_does_not_fit_is_refused_by_member(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.from_json(kind, value)
