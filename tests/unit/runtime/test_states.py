"""The transition table agrees with what is said about it."""

from __future__ import annotations

import pytest

from dray.runtime.states import TERMINAL, TRANSITIONS, Event, State, allowed_events, is_terminal


def test_every_state_can_be_reached_from_a_draft() -> None:
    reached = {State.DRAFT}
    for _ in State:
        reached |= {end for (start, _), end in TRANSITIONS.items() if start in reached}
    assert reached == set(State)


def test_no_two_events_lead_from_one_state_to_another() -> None:
    """So that the event of a step can be told by its two ends."""
    edges = [(start, end) for (start, _), end in TRANSITIONS.items()]
    assert len(edges) == len(set(edges))


def test_a_published_task_is_left_alone_for_ever() -> None:
    assert allowed_events(State.PUBLISHED) == ()


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_end_is_left_by_reset_publish_and_going_on_only(state: State) -> None:
    assert is_terminal(state)
    ways = {Event.RESET, Event.PUBLISH, Event.ENQUEUE, Event.START}
    assert set(allowed_events(state)) <= ways


def test_a_completed_task_does_not_go_on() -> None:
    assert Event.ENQUEUE not in allowed_events(State.COMPLETED)


def test_only_claim_and_start_make_a_task_run() -> None:
    makes = {event for (_, event), end in TRANSITIONS.items() if end is State.RUNNING}
    assert makes == {Event.CLAIM, Event.START}


def test_words_are_what_is_stored() -> None:
    assert [str(state) for state in State] == [
        "draft",
        "pending",
        "running",
        "completed",
        "failed",
        "aborted",
        "published",
    ]
