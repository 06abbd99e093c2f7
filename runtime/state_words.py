"""The two sets of words for a task's state: Dray's own, and those that ClearML's programs know."""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; the import is dear in a child
if TYPE_CHECKING:
    from dray.runtime.states import State

#: Stored state → the word programs compare with.
WORD_BY_STATE = {
    "draft": "created",
    "pending": "queued",
    "running": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "aborted": "stopped",
    "published": "published",
}
#: Every word that is understood → the stored state. What is published is closed for ever.
STATE_BY_WORD = {
    **{word: state for state, word in WORD_BY_STATE.items()},
    **{state: state for state in WORD_BY_STATE},
    "closed": "published",
    "publishing": "published",
}


def state_of(word: str, argument: str = "status") -> State:
    """The state that a word of either set stands for.

    Raises:
        InvalidInput: no such word.
    """
    from dray.runtime.errors import InvalidInput
    from dray.runtime.states import State

    state = STATE_BY_WORD.get(word.lower())
    if state is None:
        raise InvalidInput(
            f"{argument} {word!r} is no state; there are {', '.join(WORD_BY_STATE.values())} "
            f"(and {', '.join(WORD_BY_STATE)})",
            field=argument,
            value=word,
        )
    return State(state)
