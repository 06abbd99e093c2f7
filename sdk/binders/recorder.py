"""What binders have in common: values found before or after ``Task.init``, and stored ones.

Part of the child's path.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping

from dray.sdk import hooks, session
from dray.sdk.hooks.watch import tell_once
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import values as parameters
from dray.sdk.parameters.argument_watch import SECTION, State

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

    Records = dict[str, dict[str, str]]

#: What waits for ``Task.init``: (library, what to do with the attempt).
_waiting: list[tuple[str, Callable[[Session], None]]] = []
#: More than a script's own few command lines are a library's.
_REMEMBERED = 64


def put(library: str, values: Mapping[str, dict[str, str]], section: str = SECTION) -> None:
    """Record parameters by name, now or when ``Task.init`` is called.

    Under an agent a stored value stands: only what is new to the task is added.

    Args:
        library: whose they are.
        values: members of ``models.Parameter`` by name.
        section: of the parameters.
    """

    def record(attempt: Session) -> None:
        stored = attempt.parameters(section) if attempt.is_remote else {}
        news = {
            f"{section}/{name}": members
            for name, members in values.items()
            if name not in stored and is_wanted(library, name)
        }
        attempt.put_parameters(news)

    when_recording(library, record)


def when_recording(library: str, record: Callable[[Session], None]) -> None:
    """Call ``record`` with the attempt of this process, now or when ``Task.init`` is called."""
    attempt = session.current()
    if attempt is not None and State.is_recording:
        if attempt.is_master:
            record(attempt)
    else:
        _waiting.append((library, record))
        del _waiting[:-_REMEMBERED]


def record_earlier() -> None:
    """Record what was found before ``Task.init``."""
    attempt = session.current()
    waiting = list(_waiting)
    _waiting.clear()
    if attempt is None or not attempt.is_master:
        return
    for library, record in waiting:
        if is_wanted(library):
            guarded(library, record, attempt)


def forget_earlier() -> None:
    """Let go of what was found and never recorded."""
    _waiting.clear()


def stored(library: str, section: str = SECTION) -> Records:
    """Parameters that win over the command line of this process, by name; none by hand."""
    attempt = remote()
    if attempt is None or not is_wanted(library):
        return {}
    return {
        name: members
        for name, members in attempt.parameters(section).items()
        if is_wanted(library, name)
    }


def remote() -> Session | None:
    """The attempt, where an agent runs this process and stored values hold for it.

    They do for the process that began the attempt and for workers of ``multiprocessing``; a
    program it starts has a command line of its own.
    """
    attempt = session.current()
    if attempt is None or not attempt.is_remote:
        return None
    process = sys.modules.get("multiprocessing.process")
    is_worker = process is not None and process.parent_process() is not None
    return attempt if attempt.is_master or is_worker else None


def is_wanted(library: str, name: str = "") -> bool:
    """Whether ``Task.init`` asked for a library, and for one of its arguments."""
    key = _SWITCHES.get(library)
    if key is not None:
        return hooks.is_wanted(State.frameworks, key)
    wanted = State.wanted
    if not isinstance(wanted, Mapping):
        return bool(wanted)
    return bool(wanted) and (not name or wanted.get(name, wanted.get("*", True)))


def members(
    value: Any, description: str | None = None, type_name: str | None = None
) -> dict[str, str]:
    """Members of ``models.Parameter`` for a value of a command line."""
    name = getattr(value, "name", None)
    if isinstance(name, str) and hasattr(value, "read"):
        value = name  # an open file is known by its path
    if not parameters.is_storable(value):
        value = repr(value)
    record = parameters.as_record(value, description or "")
    return record if type_name is None else {**record, "type": type_name}


def cannot_use(flat: str, text: str, exc: BaseException | str) -> None:
    """Say that a stored value is left out."""
    session.say(f"warning: parameter {flat} = {text!r} cannot be used ({exc})")


def guarded(library: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What ``call`` gives; None, and one line on stderr, where it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as exc:
        tell_once(
            f"binder {library}",
            f"the command line of {library} is not recorded: {type(exc).__name__}: {exc}",
        )
        return None


def replace(
    owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Put ``make(original)`` in the place of ``owner.name``, once."""
    original = getattr(owner, name)
    if getattr(original, "__dray_binder__", False):
        return
    wrapper = functools.wraps(original)(make(original))
    cast("Any", wrapper).__dray_binder__ = True
    setattr(owner, name, wrapper)


#: Libraries that ``auto_connect_frameworks`` switches, by its keys; all others are switched by
#: ``auto_connect_arg_parser``.
_SWITCHES = {"hydra": "hydra", "absl": "tfdefines"}
