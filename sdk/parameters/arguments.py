"""Command-line arguments as parameters: ``argparse`` records here, and an agent's values win.

Importing this patches nothing; ``argument_watch`` does, once, when ``Task`` is imported, so that
arguments parsed before ``Task.init`` are found too. On the path of children that use argparse.
"""

from __future__ import annotations

import argparse
import sys
from _thread import get_ident
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager

from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import values as parameters
from dray.sdk.parameters.argument_watch import SECTION, State
from dray.sdk.session import Session

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from dray.sdk.parameters.connect import Target

#: Parsers remembered until ``Task.init``; more than one is rare, a library's may be among them.
REMEMBERED = 8

Parser = argparse.ArgumentParser
_parse_known_args: Callable[..., Any] = argparse.ArgumentParser.parse_known_args
_parsed: list[tuple[Parser, argparse.Namespace]] = []
#: The latest command lines and what came of them, recorded or not.
_latest: list[tuple[Parser, argparse.Namespace]] = []
#: Parsers whose stored values are left alone, see ``ignore_remote_overrides``.
_unbound: list[Parser] = []
#: Packages that parse a command line of their own with ``argparse``: their binders know better.
_FOREIGN = frozenset({"hydra", "fire", "absl", "jsonargparse", "IPython"})
#: Threads that are parsing, so that the parsers of sub-commands are told from the outer one.
_parsing: set[int] = set()


def patch() -> None:
    """Have ``argparse`` come here with every command line."""
    cast("Any", Parser).parse_known_args = _watched


def record_earlier() -> None:
    """Record what was parsed before ``Task.init``, if that is wanted."""
    attempt = session.current()
    if attempt is not None and State.wanted is not False:
        for parser, namespace in _parsed:
            record(attempt, parser, namespace)
    _parsed.clear()


def forget_earlier() -> None:
    """Let go of what was parsed and never recorded."""
    _parsed.clear()


def bind(parser: Parser, target: Target, *, ignore: bool = False) -> None:
    """Connect the arguments of ``parser``: what it parsed last, else the command line, parsed now.

    Args:
        parser: of the user's.
        target: the task.
        ignore: leave stored values alone under an agent too.
    """
    from dray.sdk.parameters.connect import IGNORE, is_ignoring

    is_left_alone = is_ignoring(target, f"{SECTION}/{IGNORE}", ignore)
    if is_left_alone:
        _unbound.append(parser)
    known = next((known for other, known in reversed(_latest) if other is parser), None)
    if known is None or (is_left_alone and target.is_remote):
        known, _ = parser.parse_known_args()
    record(target, parser, known, is_overridden=not is_left_alone)


def record(
    target: Target, parser: Parser, namespace: argparse.Namespace, *, is_overridden: bool = True
) -> None:
    """Store the arguments of ``namespace`` the task has no value for yet, or a new one.

    Under an agent a stored value stands: only arguments that are new to the task are added.
    """
    stored = target.parameters(SECTION) if target.is_remote and is_overridden else {}
    standing: dict[str, dict[str, str]] = target.task.get("parameters") or {}
    values: dict[str, dict[str, str]] = {}
    for action in _connected(_all_actions(parser, namespace)):
        if hasattr(namespace, action.dest) and action.dest not in stored:
            flat = f"{SECTION}/{action.dest}"
            value = getattr(namespace, action.dest)
            values[flat] = _as_record(parser, action, value, standing.get(flat))
    if values:
        target.put_parameters(values)


def _watched(self: Parser, args: Any = None, namespace: Any = None) -> Any:
    thread = get_ident()
    # The parser of a sub-command, or one that is not the user's.
    if thread in _parsing or _is_foreign(self):
        return _parse_known_args(self, args, namespace)
    _parsing.add(thread)
    try:
        attempt = session.current() if State.wanted is not False else None
        is_bound = attempt is not None and attempt.is_remote and _is_bound(attempt)
        if attempt is not None and is_bound and not any(self is other for other in _unbound):
            stored = attempt.parameters(SECTION)
            known, rest = _overridden(self, args, namespace, stored)
        else:
            known, rest = _parse_known_args(self, args, namespace)
    finally:
        _parsing.discard(thread)
    _latest.append((self, known))
    del _latest[:-REMEMBERED]
    if attempt is not None and attempt.is_master and State.is_recording:
        record(attempt, self, known)
    elif not State.is_recording and State.wanted is not False:
        _parsed.append((self, known))
        del _parsed[:-REMEMBERED]
    return known, rest


def _is_foreign(parser: Parser) -> bool:
    if any(kind.__module__.partition(".")[0] in _FOREIGN for kind in type(parser).__mro__):
        return True
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_globals.get("__name__") in ("argparse", __name__):
        frame = frame.f_back
    caller = "" if frame is None else str(frame.f_globals.get("__name__"))
    return caller.partition(".")[0] in _FOREIGN


def _is_bound(attempt: Session) -> bool:
    """Whether stored values hold for this process.

    They do for the one that began the attempt and for workers of ``multiprocessing``, which run
    the same command line; a program it starts has arguments of its own.
    """
    if attempt.is_master:
        return True
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _overridden(
    parser: Parser, args: Any, namespace: Any, stored: Mapping[str, Mapping[str, str]]
) -> Any:
    given = list(sys.argv[1:] if args is None else args)
    given = _with_stored_command(parser, given, stored)
    with _relaxed(parser, stored):
        known, rest = _parse_known_args(parser, given, namespace)
    for action in _connected(_all_actions(parser, known)):
        if action.dest in stored and not isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            _override(known, action, stored[action.dest])
    return known, rest


def _override(known: Any, action: argparse.Action, stored: Mapping[str, str]) -> None:
    text = stored["value"]
    current = getattr(known, action.dest, None)
    if hasattr(known, action.dest) and parameters.to_text(current)[0] == text:
        return  # as parsed: an open file, say, is not opened again
    try:
        value = _cast(action, text, stored.get("type", ""))
    except (ValueError, TypeError, ArithmeticError, argparse.ArgumentTypeError) as exc:
        session.say(
            f"warning: parameter {SECTION}/{action.dest} = {text!r} cannot be used ({exc}); "
            f"going on with {current!r}"
        )
        return
    setattr(known, action.dest, value)


def _cast(action: argparse.Action, text: str, type_name: str) -> Any:
    if action.nargs == 0:
        return _flag(action, text)
    if _holds_list(action):
        if text == "":
            return None
        return [_checked(action, _element(action, v)) for v in parameters.from_text(text, [])]
    if text == "" and (action.default is None or type_name == ""):
        return None
    kind: Any = action.type
    if kind is None:
        default = None if action.default is argparse.SUPPRESS else action.default
        is_text = default is None or isinstance(default, str)
        return _checked(action, text if is_text else parameters.from_text(text, default))
    return _checked(action, _element(action, text))


def _holds_list(action: argparse.Action) -> bool:
    is_append = type(action).__name__ in ("_AppendAction", "_ExtendAction")
    return is_append or (action.nargs is not None and action.nargs != argparse.OPTIONAL)


def _element(action: argparse.Action, value: Any) -> Any:
    if isinstance(value, list):  # ``append`` of an option that takes several values
        return [_element(action, inner) for inner in cast("list[Any]", value)]
    kind: Any = action.type
    if kind is None:
        return value
    if kind is bool:  # ``bool("False")`` is True, which nobody means
        return parameters.to_bool(str(value))
    text = value if isinstance(value, str) else parameters.to_text(value)[0]
    try:
        return kind(text)
    except ValueError:
        if kind is int:
            return parameters.to_number(text)
        raise


def _flag(action: argparse.Action, text: str) -> Any:
    kind = type(action).__name__
    if kind == "_CountAction":
        return None if text == "" else int(text)
    if kind == "_AppendConstAction":
        return None if text == "" else parameters.from_text(text, [])
    if kind == "_StoreConstAction":
        for value in (action.const, action.default):
            if parameters.to_text(value)[0] == text:
                return value
        raise ValueError(f"neither {action.const!r} nor {action.default!r}")
    return None if text == "" and action.default is None else parameters.to_bool(text)


def _checked(action: argparse.Action, value: Any) -> Any:
    if action.choices is not None and value not in action.choices:
        raise ValueError(f"not one of {', '.join(map(str, action.choices))}")
    return value


def _as_record(
    parser: Parser, action: argparse.Action, value: Any, standing: dict[str, str] | None
) -> dict[str, str]:
    name = getattr(value, "name", None)
    if isinstance(name, str) and callable(getattr(value, "read", None)):
        value = name  # an open file is known by its path
    if not parameters.is_storable(value):
        value = repr(value)
    members = parameters.as_record(value, _help(parser, action), standing)
    if value is None and action.type in (int, float, bool, str):
        members["type"] = getattr(action.type, "__name__", "")
    return members


def _help(parser: Parser, action: argparse.Action) -> str:
    if not action.help or action.help == argparse.SUPPRESS:
        return ""
    try:
        return parser._get_formatter()._expand_help(action)  # pyright: ignore[reportPrivateUsage]
    except (ValueError, TypeError, KeyError):  # a stray % in the user's text
        return action.help


def _actions(parser: Parser) -> list[argparse.Action]:
    return parser._actions  # pyright: ignore[reportPrivateUsage]


def _subcommands(parser: Parser) -> Iterator[Any]:
    """The actions of ``parser`` that choose a sub-command; Any: their class is private."""
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            yield action


def _all_actions(parser: Parser, known: Any) -> Iterator[argparse.Action]:
    """Actions of ``parser`` and of the sub-commands that were chosen."""
    yield from _actions(parser)
    for action in _subcommands(parser):
        chosen = action.choices.get(getattr(known, str(action.dest), None))
        if chosen is not None:
            yield from _all_actions(chosen, known)


def _connected(actions: Iterable[argparse.Action]) -> Iterator[argparse.Action]:
    wanted = State.wanted
    for action in actions:
        if action.dest in (argparse.SUPPRESS, "help") or type(action).__name__ in (
            "_HelpAction",
            "_VersionAction",
        ):
            continue
        if isinstance(wanted, Mapping) and not wanted.get(action.dest, wanted.get("*", True)):
            continue
        yield action


def _with_stored_command(
    parser: Parser, given: list[str], stored: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """``given`` with the stored sub-command in place of the one it names."""
    for action in _subcommands(parser):
        wanted = stored.get(str(action.dest), {}).get("value", "")
        if wanted not in action.choices:
            continue
        at = next((i for i, text in enumerate(given) if text in action.choices), len(given))
        if given[at : at + 1] == [wanted]:
            inner = _with_stored_command(action.choices[wanted], given[at + 1 :], stored)
            return [*given[: at + 1], *inner]
        # What follows belongs to the other command; this one's values are stored.
        return [*given[:at], *_with_stored_command(action.choices[wanted], [wanted], stored)]
    return given


@contextmanager
def _relaxed(
    parser: Parser, stored: Mapping[str, Mapping[str, str]]
) -> Generator[None, None, None]:
    """Let arguments with a stored value be missing from the command line."""
    undo: list[Callable[[], None]] = []

    def change(target: Any, name: str, value: Any) -> None:
        before = getattr(target, name)
        undo.append(lambda: setattr(target, name, before))
        setattr(target, name, value)

    def relax(parser: Parser) -> None:
        for action in _actions(parser):
            if action.dest not in stored:
                continue
            change(action, "required", False)
            if not action.option_strings and not isinstance(
                action,
                argparse._SubParsersAction,  # pyright: ignore[reportPrivateUsage]
            ):
                several = action.nargs is not None and action.nargs != argparse.OPTIONAL
                change(action, "nargs", argparse.ZERO_OR_MORE if several else argparse.OPTIONAL)
        groups: list[Any] = cast("Any", parser)._mutually_exclusive_groups
        for group in groups:
            if any(action.dest in stored for action in group._group_actions):
                change(group, "required", False)
        for action in _subcommands(parser):
            for inner in dict.fromkeys(action.choices.values()):
                relax(inner)

    try:
        relax(parser)
        yield
    finally:
        for step in reversed(undo):
            step()


if State.is_watching:
    patch()
