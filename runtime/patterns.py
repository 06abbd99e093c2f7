"""Regular expressions that users send: matched in bounded time, whatever the pattern and the text.

Python's own engine tries one way after the other, which some patterns make last for ever, and it
does not let other threads run meanwhile. So it is used where the number of its steps is known to
be small; for the rest the ways are followed all at once, one character after the other. The
syntax is Python's, without references back to groups.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from dray.runtime.errors import InvalidInput

#: Longest pattern, in characters.
PATTERN_LIMIT = 1000
#: Most steps of Python's engine for one text: some twenty milliseconds.
_STEPS = 4_000_000
_NODE_LIMIT = 5000
_MEMO_LIMIT = 20_000
_LOOK_AT_CLOCK_EVERY = 4096
_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_SINGLE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})
_LOOKS = frozenset({"ASSERT", "ASSERT_NOT"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


class OutOfTime(Exception):
    """The time for the whole question is over."""


def compiled(text: str, *, ignore_case: bool = False) -> Pattern:
    """The pattern in ``text``.

    Raises:
        InvalidInput: it is no regular expression, too long, or of a kind that cannot be bounded.
    """
    if len(text) > PATTERN_LIMIT:
        raise InvalidInput(
            f"a pattern of {len(text)} characters is over the limit of {PATTERN_LIMIT}",
            field="pattern",
        )
    flags = re.IGNORECASE if ignore_case else 0
    try:
        native = re.compile(text, flags)
        tree = _parser.parse(text, flags)
    except (re.error, RecursionError, OverflowError) as exc:
        raise InvalidInput(
            f"pattern {text!r} is no regular expression: {exc}; re.escape() takes a text literally",
            field="pattern",
            value=text,
        ) from exc
    return Pattern(text, native, tree)


@dataclass(frozen=True)
class Literal:
    """A pattern that is a plain text.

    Attributes:
        is_prefix: it is anchored at the beginning.
        is_whole: also at the end.
    """

    text: str
    is_prefix: bool = False
    is_whole: bool = False


def literal(text: str) -> Literal | None:
    """The plain text that a pattern stands for; None where it is a real pattern."""
    try:
        parsed = _parser.parse(text, 0)
        tree = [(str(op), argument) for op, argument in parsed]
        if parsed.state.flags & re.IGNORECASE:
            return None
    except (re.error, RecursionError, OverflowError):
        return None
    starts = bool(tree) and tree[0][0] == "AT" and str(tree[0][1]).startswith("AT_BEGINNING")
    ends = len(tree) > starts and tree[-1][0] == "AT" and str(tree[-1][1]).startswith("AT_END")
    middle = tree[starts : len(tree) - ends]
    if any(op != "LITERAL" for op, _ in middle) or (ends and not starts):
        return None
    return Literal("".join(chr(code) for _, code in middle), starts, starts and ends)


class Pattern:
    """A pattern that can be looked for, by one thread at a time."""

    def __init__(self, text: str, native: re.Pattern[str], tree: Any) -> None:
        self._text = text
        self._native = native
        self._degree = _Degree.of(tree)
        self._automaton: _Automaton | None = None
        if self._degree.is_wild:
            raise InvalidInput(
                f"pattern {text!r} refers back to a group, is atomic, or looks ahead among "
                "repeated groups, which cannot be matched in bounded time; write it without",
                field="pattern",
                value=text,
            )
        if not self._degree.has_looks:
            self._automaton = _Builder(text).automaton(tree, native.flags)

    def found_in(self, text: str, deadline: float | None = None) -> bool:
        """Whether the pattern matches somewhere in ``text``.

        Args:
            text: looked through.
            deadline: of ``time.monotonic()``.

        Raises:
            OutOfTime: the deadline has passed.
            InvalidInput: it looks ahead or behind, and the text is too long for that.
        """
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfTime
        if self._automaton is None or self._takes_few_steps(len(text)):
            if not self._takes_few_steps(len(text)):
                raise InvalidInput(
                    f"pattern {self._text!r} looks ahead or behind, which takes too long in a text "
                    f"of {len(text)} characters; write it without (?=…), (?!…), (?<…)",
                    field="pattern",
                    value=self._text,
                )
            return self.found_natively(text)
        return self._automaton.found_in(text, deadline)

    def found_natively(self, text: str) -> bool:
        """The same by Python's own engine, however long that takes."""
        return self._native.search(text) is not None

    def _takes_few_steps(self, n_characters: int) -> bool:
        if self._degree.is_unbounded or self._degree.has_references:
            return False
        return max(n_characters, 2) ** (self._degree.n_repeats + 1) <= _STEPS


@dataclass
class _Degree:
    """How many ways Python's engine may have to try.

    Attributes:
        n_repeats: repetitions of one character that may be of any length: each one multiplies
            the steps by the length of the text.
        is_nested: a repetition of more than one character, or several choices.
        has_looks: it looks ahead or behind.
        has_references: it cannot be followed all ways at once.
    """

    n_repeats: int = 0
    n_choices: int = 0
    is_nested: bool = False
    has_looks: bool = False
    has_references: bool = False

    @classmethod
    def of(cls, tree: Any) -> _Degree:
        degree = cls()
        degree._count(tree)
        return degree

    @property
    def is_wild(self) -> bool:
        """Neither engine is bounded: only for what the other engine cannot do."""
        return self.has_references or (self.has_looks and self.is_unbounded)

    @property
    def is_unbounded(self) -> bool:
        """The number of ways may grow with powers of two."""
        return self.is_nested or self.n_choices > 1

    def _count(self, tree: Any) -> None:
        for op, argument in tree:
            name = str(op)
            if name in _REPEATS:
                self._count_repeat(*argument)
            elif name == "BRANCH":
                self.n_choices += 1
                for branch in argument[1]:
                    self._count(branch)
            elif name == "SUBPATTERN":
                self._count(argument[-1])
            elif name in _LOOKS:
                self.has_looks = True
                self._count(argument[1])
            elif name not in _SINGLE and name != "AT":
                self.has_references = True

    def _count_repeat(self, least: int, most: Any, tree: Any) -> None:
        inner = list(tree)
        if len(inner) != 1 or str(inner[0][0]) not in _SINGLE:
            self.is_nested = True
            self._count(tree)
        elif least != most:
            self.n_repeats += 1


@dataclass
class _Node:
    """One place in a pattern: takes a character, or leads on without one."""

    op: str = ""
    argument: Any = None
    flags: int = 0
    after: list[int] = field(default_factory=list[int])


class _Builder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._nodes: list[_Node] = []

    def automaton(self, tree: Any, flags: int) -> _Automaton:
        end = self._node("MATCH")
        return _Automaton(self._nodes, self._sequence(tree, flags, end))

    def _node(self, op: str, argument: Any = None, flags: int = 0, *after: int) -> int:
        if len(self._nodes) >= _NODE_LIMIT:
            raise InvalidInput(
                f"pattern {self._text!r} repeats too much: write smaller numbers of repetitions",
                field="pattern",
                value=self._text,
            )
        self._nodes.append(_Node(op, argument, flags, list(after)))
        return len(self._nodes) - 1

    def _sequence(self, tree: Any, flags: int, then: int) -> int:
        for op, argument in reversed(list(tree)):
            then = self._item(str(op), argument, flags, then)
        return then

    def _item(self, op: str, argument: Any, flags: int, then: int) -> int:
        if op in _REPEATS:
            least, most, tree = argument
            return self._repeat(least, most, tree, flags, then)
        if op == "BRANCH":
            starts = [self._sequence(branch, flags, then) for branch in argument[1]]
            return self._node("SPLIT", None, flags, *starts)
        if op == "SUBPATTERN":
            _, added, removed, tree = argument
            return self._sequence(tree, (flags | added) & ~removed, then)
        return self._node(op, argument, flags, then)

    def _repeat(self, least: int, most: Any, tree: Any, flags: int, then: int) -> int:
        if most == _parser.MAXREPEAT:
            loop = self._node("SPLIT", None, flags, then)
            self._nodes[loop].after.append(self._sequence(tree, flags, loop))
            then = loop
        else:
            for _ in range(int(most) - least):
                once = self._sequence(tree, flags, then)
                then = self._node("SPLIT", None, flags, then, once)
        for _ in range(least):
            then = self._sequence(tree, flags, then)
        return then


#: What stands before a place in the text, as far as ``^``, ``$`` and ``\b`` ask.
_BEGIN, _LINE, _WORD, _OTHER = range(4)
#: What a step may find: everything is matched.
_FOUND = -1


class _Automaton:
    """All ways through a pattern followed at once; what was worked out is remembered."""

    def __init__(self, nodes: list[_Node], start: int) -> None:
        self._nodes = nodes
        self._start = start
        self._sets: list[frozenset[int]] = [frozenset()]
        self._numbers: dict[frozenset[int], int] = {frozenset(): 0}
        self._memo: dict[tuple[int, int, str], int] = {}

    def found_in(self, text: str, deadline: float | None) -> bool:
        state, before, last = 0, _BEGIN, len(text) - 1
        for i, character in enumerate(text):
            if deadline is not None and not i % _LOOK_AT_CLOCK_EVERY:
                _check(deadline)
            sign = "\n$" if character == "\n" and i == last else character
            state = self._step(state, before, sign, deadline)
            if state == _FOUND:
                return True
            before = _kind(character)
        return self._step(state, before, "", deadline) == _FOUND

    def _step(self, state: int, before: int, sign: str, deadline: float | None) -> int:
        key = (state, before, sign)
        known = self._memo.get(key)
        if known is None:
            if deadline is not None:
                _check(deadline)
            known = self._work_out(state, before, sign)
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[key] = known
        return known

    def _work_out(self, state: int, before: int, sign: str) -> int:
        reached: set[int] = set()
        waiting = [self._start, *self._sets[state]]
        next_nodes: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number in reached:
                continue
            reached.add(number)
            node = self._nodes[number]
            if node.op == "MATCH":
                return _FOUND
            if node.op == "SPLIT" or (node.op == "AT" and _stands(node, before, sign)):
                waiting.extend(node.after)
            elif node.op != "AT" and sign and _takes(node, sign[0]):
                next_nodes.update(node.after)
        return self._number(frozenset(next_nodes))

    def _number(self, nodes: frozenset[int]) -> int:
        number = self._numbers.get(nodes)
        if number is None:
            number = self._numbers[nodes] = len(self._sets)
            self._sets.append(nodes)
        return number


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise OutOfTime


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _kind(character: str) -> int:
    if character == "\n":
        return _LINE
    return _WORD if _is_word(character) else _OTHER


def _stands(node: _Node, before: int, sign: str) -> bool:
    """Whether a place is a beginning, an end or the edge of a word; an empty sign: the end."""
    where = str(node.argument)
    many_lines = bool(node.flags & re.MULTILINE)
    match where:
        case "AT_BEGINNING":
            return before == _BEGIN or (many_lines and before == _LINE)
        case "AT_BEGINNING_STRING":
            return before == _BEGIN
        case "AT_END":
            return sign in ("", "\n$") or (many_lines and sign[0] == "\n")
        case "AT_END_STRING":
            return not sign
        case _:
            is_edge = (before == _WORD) != (bool(sign) and _is_word(sign[0]))
            return is_edge == (where == "AT_BOUNDARY")


def _takes(node: _Node, character: str) -> bool:
    if node.op == "ANY":
        return character != "\n" or bool(node.flags & re.DOTALL)
    forms = {character}
    if node.flags & re.IGNORECASE:
        forms |= {form for form in (character.lower(), character.upper()) if len(form) == 1}
    codes = {ord(form) for form in forms}
    if node.op == "LITERAL":
        return node.argument in codes
    if node.op == "NOT_LITERAL":
        return node.argument not in codes
    return _is_in(node.argument, character, codes)


def _is_in(members: Any, character: str, codes: set[int]) -> bool:
    negated = False
    for op, argument in members:
        match str(op):
            case "NEGATE":
                negated = True
            case "LITERAL" if argument in codes:
                return not negated
            case "RANGE" if any(argument[0] <= code <= argument[1] for code in codes):
                return not negated
            case "CATEGORY" if _is_of(str(argument), character):
                return not negated
            case _:
                pass
    return negated


def _is_of(category: str, character: str) -> bool:
    is_not = "_NOT_" in category
    kind = category.rpartition("_")[2]
    match kind:
        case "DIGIT":
            found = character.isdecimal()
        case "SPACE":
            found = character.isspace()
        case _:
            found = _is_word(character)
    return found != is_not
