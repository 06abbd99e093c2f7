"""The line of a queue: order, positions, and telling things twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import ordering
from dray.runtime.models import QueueEntry
from dray.runtime.ordering import Line
from dray.runtime.resources import Resources


def entry(rank: int, priority: int = 0, queue: str = "q") -> QueueEntry:
    return QueueEntry(f"t{rank}", queue, priority, rank, float(rank), Resources())


ENTRIES = st.lists(
    st.builds(entry, st.integers(0, 30), st.integers(-2, 2)), unique_by=lambda e: e.task_id
)


@given(ENTRIES)
def test_heads_come_by_priority_and_then_by_rank(entries: list[QueueEntry]) -> None:
    line = Line()
    for one in entries:
        line.add(one)
    assert line.heads(len(entries)) == sorted(entries, key=ordering.sort_key)


@given(ENTRIES)
def test_a_line_built_at_once_equals_one_built_step_by_step(entries: list[QueueEntry]) -> None:
    stepwise = Line()
    for one in entries:
        stepwise.add(one)
    assert Line(entries).heads(99) == stepwise.heads(99)


@given(ENTRIES, st.data())
def test_positions_count_what_stands_before(entries: list[QueueEntry], data: st.DataObject) -> None:
    line = Line(entries)
    for at, one in enumerate(line.heads(99)):
        assert line.position(one.task_id) == at
    if entries:
        gone = data.draw(st.sampled_from(entries))
        line.remove(gone.task_id)
        assert line.position(gone.task_id) is None
        assert len(line) == len(entries) - 1


def test_telling_an_arrival_twice_keeps_one_entry() -> None:
    line = Line([entry(1)])
    line.add(entry(1))
    assert len(line) == 1


def test_a_changed_priority_moves_the_entry() -> None:
    line = Line([entry(1), entry(2)])
    line.add(entry(2, priority=1))
    assert [e.task_id for e in line.heads(2)] == ["t2", "t1"]


def test_removing_what_is_not_there_is_harmless() -> None:
    assert Line().remove("t1") is None


def test_queues_merge_by_priority_then_by_who_came_first() -> None:
    merged = ordering.merge([[entry(1), entry(4)], [entry(2), entry(3, priority=1)]])
    assert [e.task_id for e in merged] == ["t3", "t1", "t2", "t4"]


def test_a_retry_rests_until_it_is_due_and_then_takes_its_place() -> None:
    line = Line([entry(1), replace(entry(0), not_before=100.0), entry(2)])
    assert line.wake(99.0) == 100.0
    assert [e.task_id for e in line.heads(3)] == ["t1", "t2"]
    assert (len(line), line.position("t0")) == (3, None)
    assert line.wake(100.0) is None
    assert [e.task_id for e in line.heads(3)] == ["t0", "t1", "t2"]


def test_a_retry_does_not_wait_for_a_clock_that_was_put_back() -> None:
    line = Line([replace(entry(0), not_before=90_000.0)])
    assert line.wake(90_000.0 - 86_400.0) is None
    assert line.position("t0") == 0


def test_what_fits_nowhere_hides_nothing_of_another_shape() -> None:
    large = [replace(entry(rank), resources=Resources(cpus=64)) for rank in range(100)]
    line = Line([*large, entry(100)])
    assert [e.task_id for e in line.heads(10)] == [*(f"t{i}" for i in range(10)), "t100"]
    line.remove("t100")
    assert len(line.heads(10)) == 10
