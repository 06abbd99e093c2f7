"""Rules that leave files out of the code, in the syntax of ``.gitignore``; pure decisions.

Git itself cannot be asked: it knows one file of rules per folder, its own, applies none across the
border of a submodule, and may not be installed. A test holds these rules against a real git.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": b" \\t",
    b"cntrl": b"\\x00-\\x1f\\x7f",
    b"digit": b"0-9",
    b"graph": b"!-~",
    b"lower": b"a-z",
    b"print": b" -~",
    b"punct": b"!-/:-@\\[-`{-~",
    b"space": b" \\t\\n\\r\\f\\v",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}


@dataclass(frozen=True)
class Pattern:
    """One line of a file of rules.

    Attributes:
        regex: of a path below the file's folder, or of a last name where ``by_name``.
        takes: ``!``: it brings back what an earlier line left out.
        by_name: it says a name and no path, so it holds in every folder.
        folders_only: it ended with ``/``.
        text: without ``!`` and the last ``/``.
    """

    regex: re.Pattern[bytes]
    takes: bool
    by_name: bool
    folders_only: bool
    text: str


class Rules:
    """The rules of a tree: files of patterns, by the folder they lie in.

    Args:
        files: folder relative to the root (empty: the root itself) → content of its file.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._by_folder = {folder: parse(content) for folder, content in files.items()}

    def __bool__(self) -> bool:
        return any(self._by_folder.values())

    def match(self, path: str, *, is_folder: bool) -> Pattern | None:
        """The line that decides about ``path`` itself, whatever was decided of its folders.

        A folder's own file goes before those above it, and in a file the last line.
        """
        name = path.encode("utf-8", "surrogateescape")
        last = name.rpartition(b"/")[2]
        for folder in _folders_of(path):
            patterns = self._by_folder.get(folder)
            if not patterns:
                continue
            below = name[len(folder.encode("utf-8", "surrogateescape")) + 1 :] if folder else name
            for pattern in reversed(patterns):
                if pattern.folders_only and not is_folder:
                    continue
                if pattern.regex.fullmatch(last if pattern.by_name else below):
                    return pattern
        return None

    def brought_in(self) -> Iterator[tuple[str, Pattern]]:
        """Lines with ``!`` and a path, which other rules than these may have left out."""
        for folder, patterns in self._by_folder.items():
            yield from ((folder, one) for one in patterns if one.takes and not one.by_name)


class Verdicts:
    """Whether files belong to the code, by one set of rules; remembers what it said of folders."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        #: folder → left out, or explicitly taken by a line with a path, or neither (None)
        self._folders: dict[str, bool | None] = {"": None}

    def leaves_out(self, path: str) -> bool:
        """Whether the file ``path`` is left out, itself or with a folder above it."""
        return self._of(path, is_folder=False) is True

    def brings_in(self, path: str) -> bool:
        """Whether a line with ``!`` and a path takes it, whatever git ignores."""
        return self._of(path, is_folder=False) is False

    def _of(self, path: str, *, is_folder: bool) -> bool | None:
        above = self._folder(path.rpartition("/")[0])
        if above is True:
            return True
        found = self._rules.match(path, is_folder=is_folder)
        if found is None:
            return above
        if not found.takes:
            return True
        return above if found.by_name else False

    def _folder(self, folder: str) -> bool | None:
        if folder not in self._folders:
            self._folders[folder] = self._of(folder, is_folder=True)
        return self._folders[folder]


def parse(content: bytes) -> list[Pattern]:
    """The patterns of a file of rules, in order; blank lines and comments are none."""
    found: list[Pattern] = []
    for raw in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = _without_spaces_at_end(raw.removesuffix(b"\r"))
        if line.startswith(b"#") or not line:
            continue
        takes = line.startswith(b"!")
        line = line[1:] if takes else line
        folders_only = line.endswith(b"/")
        line = line[:-1] if folders_only else line
        by_name = b"/" not in line
        regex = _regex(line if by_name else line.removeprefix(b"/"), paths=not by_name)
        if regex is not None:
            text = line.decode("utf-8", "surrogateescape")
            found.append(Pattern(re.compile(regex, re.DOTALL), takes, by_name, folders_only, text))
    return found


def _folders_of(path: str) -> Iterator[str]:
    """The folders ``path`` lies in, the nearest first, the root (empty) last."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder


def _without_spaces_at_end(line: bytes) -> bytes:
    kept = line.rstrip(b" ")
    if len(kept) == len(line):
        return line
    n_escapes = len(kept) - len(kept.rstrip(b"\\"))
    return kept + b" " if n_escapes % 2 else kept


def _regex(pattern: bytes, *, paths: bool) -> bytes | None:
    """What ``pattern`` matches as a whole; None when it can match nothing.

    Args:
        paths: ``*``, ``?`` and sets do not match ``/``, and ``**`` spans folders.
    """
    any_one, any_many = (b"[^/]", b"[^/]*") if paths else (b".", b".*")
    out: list[bytes] = []
    at = 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        at += 1
        if char == b"\\":
            if at == len(pattern):
                return None
            out.append(re.escape(pattern[at : at + 1]))
            at += 1
        elif char == b"?":
            out.append(any_one)
        elif char == b"*":
            begin = at - 1
            while pattern[at : at + 1] == b"*":
                at += 1
            starts = begin == 0 or pattern[begin - 1 : begin] == b"/"
            if not paths or at - begin == 1 or not starts:
                out.append(any_many)
            elif at == len(pattern):
                out.append(b".*")
            elif pattern[at : at + 1] == b"/":
                out.append(b"(?:.*/)?")
                at += 1
            else:
                out.append(any_many)
        elif char == b"[":
            found = _set(pattern, at, paths=paths)
            if found is None:
                return None
            text, at = found
            out.append(text)
        else:
            out.append(re.escape(char))
    return b"".join(out)


def _set(pattern: bytes, at: int, *, paths: bool) -> tuple[bytes, int] | None:
    """The set in brackets that begins after ``[``, and where it ends; None when it never does."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: list[bytes] = []
    previous, is_first = -1, True
    while True:
        char = pattern[at : at + 1]
        if not char:
            return None
        if char == b"]" and not is_first:
            at += 1
            break
        is_first = False
        if char == b"[" and pattern[at + 1 : at + 2] == b":":
            end = pattern.find(b"]", at + 2)
            if end < 0:
                return None
            if pattern[end - 1 : end] == b":" and end > at + 2:
                name = pattern[at + 2 : end - 1]
                if name not in _CLASSES:
                    return None
                members.append(_CLASSES[name])
                at, previous = end + 1, -1
                continue
            members.append(rb"\[")
            previous = ord("[")
            at += 1
            continue
        follows = pattern[at + 1 : at + 2]
        if char == b"-" and previous >= 0 and follows and follows != b"]":
            at += 1
            if follows == b"\\":
                at += 1
                follows = pattern[at : at + 1]
                if not follows:
                    return None
            if previous <= ord(follows):
                members.append(re.escape(bytes([previous])) + b"-" + re.escape(follows))
            at, previous = at + 1, -1
            continue
        if char == b"\\":
            at += 1
            char = pattern[at : at + 1]
            if not char:
                return None
        members.append(re.escape(char))
        at, previous = at + 1, ord(char)
    if not members:  # a range that runs backwards holds nothing
        inside = b"[^\x00-\xff]" if not negated else b"[\x00-\xff]"
    else:
        inside = b"[" + (b"^" if negated else b"") + b"".join(members) + b"]"
    return (b"(?!/)" if paths else b"") + inside, at
