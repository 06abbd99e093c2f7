"""Requirements files and lines, read as pip reads them, into what an environment is made of."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from dray.envbuilder.failures import environment_failed

#: Long names of short options; pip takes ``--name=value``, ``--name value`` and ``-nvalue``.
_SHORT = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-i": "--index-url",
    "-f": "--find-links",
}
_WITH_VALUE = frozenset(
    {*_SHORT.values(), "--extra-index-url", "--no-binary", "--only-binary", "--trusted-host"}
)
#: Options that are handed on to the installer.
_FLAGS = frozenset({"--pre", "--no-index", "--require-hashes", "--prefer-binary"})
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<extras>\[[^\]]*\])?\s*@\s*(?P<url>\S.*)")
_EXTRAS = re.compile(r"(?P<path>.*?)\[(?P<extras>[\w.,\s-]*)\]$")
_SCP = re.compile(r"git\+(?P<user>[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/\d:].*)")
_DRAY = re.compile(r"dray\s*($|[\[=<>!~;@\s])", re.IGNORECASE)


@dataclass
class Wanted:
    """What lines and files ask for, in their order.

    Attributes:
        requirements: lines for the installer, without comments.
        constraints: lines that limit them.
        default_index: in the place of the node's; empty: not named.
        extra_indexes: searched besides.
        find_links: pages, and folders of the code as ``./folder``.
        flags: further options, in pip's words.
        local: ``{path relative to the root: extras}`` of packages of the code.
        read: files that were read, relative to the root.
    """

    requirements: list[str] = field(default_factory=list[str])
    constraints: list[str] = field(default_factory=list[str])
    default_index: str = ""
    extra_indexes: list[str] = field(default_factory=list[str])
    find_links: list[str] = field(default_factory=list[str])
    flags: list[str] = field(default_factory=list[str])
    local: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    read: list[str] = field(default_factory=list[str])

    @property
    def index_urls(self) -> list[str]:
        """As ``EnvironmentSpec`` has them: an empty first one stands for the node's default."""
        if self.default_index or self.extra_indexes:
            return [self.default_index, *self.extra_indexes]
        return []


@dataclass(frozen=True)
class Code:
    """The code that lines refer to.

    Attributes:
        read: text of a file by its path relative to the root; None: there is none.
        exists: whether there is a file or folder of that path.
        working_dir: relative to the root.
    """

    read: Callable[[str], str | None]
    exists: Callable[[str], bool]
    working_dir: str = "."


@dataclass(frozen=True)
class _Where:
    """Where a line stands: in a file of the code, or among the task's packages."""

    file: str = ""
    line: int = 0
    constrains: bool = False
    inside: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.file)

    def __str__(self) -> str:
        return f"line {self.line} of {self.file}" if self.file else "a package of the task"


def read_lines(lines: Iterable[str], code: Code) -> Wanted:
    """What the requirement lines of a task ask for.

    Raises:
        PreparationFailed: a file or folder that is not there, or an option nobody knows.
    """
    wanted = Wanted()
    _read("\n".join(lines), _Where(), code, wanted)
    return wanted


def read_files(paths: Iterable[str], code: Code) -> Wanted:
    """What requirements files of the code ask for, those that they name included.

    Raises:
        PreparationFailed: as :func:`read_lines`.
    """
    wanted = Wanted()
    for path in paths:
        _read_file(path, _Where(), code, wanted)
    return wanted


def _read_file(path: str, where: _Where, code: Code, wanted: Wanted) -> None:
    found = _found(path, where, code)
    if found in where.inside:
        return  # files that name each other: it is being read
    text = code.read(found)
    if text is None:
        raise environment_failed(f"{where} names {path}, which is no text file")
    wanted.read.append(found)
    inside = (*where.inside, found)
    _read(text, replace(where, file=found, inside=inside), code, wanted)


def _read(text: str, where: _Where, code: Code, wanted: Wanted) -> None:
    for number, line in _logical_lines(text):
        here = replace(where, line=number)
        if line.startswith("-"):
            _option(line, here, code, wanted)
        else:
            _requirement(line, here, code, wanted)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that end in a backslash joined with the next."""
    joined, first = "", 0
    for number, whole in enumerate(text.splitlines(), 1):
        first = first or number
        line = re.sub(r"(^|\s+)#.*$", "", whole)
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        joined += line
        if joined.strip():
            yield first, joined.strip()
        joined, first = "", 0
    if joined.strip():
        yield first, joined.strip()


def _option(line: str, where: _Where, code: Code, wanted: Wanted) -> None:
    name, value = _name_and_value(line)
    if name in _WITH_VALUE and not value:
        raise environment_failed(f"{where}: {name} has no value")
    if name == "--requirement":
        _read_file(value, where, code, wanted)
    elif name == "--constraint":
        _read_file(value, replace(where, constrains=True), code, wanted)
    elif name == "--editable":
        _requirement(value, where, code, wanted)
    elif name == "--index-url":
        wanted.default_index = value
    elif name == "--extra-index-url":
        wanted.extra_indexes.append(value)
    elif name == "--find-links":
        wanted.find_links.append(_find_links(value, where, code))
    elif name in _FLAGS:
        wanted.flags.append(name)
    elif name in ("--no-binary", "--only-binary", "--trusted-host"):
        wanted.flags += [name, value]
    elif name != "--use-feature":  # of pip's own making, and about nothing that is installed
        raise environment_failed(
            f"{where} has {line!r}, an option that a requirements file cannot have here; Dray "
            f"knows {', '.join(sorted({*_WITH_VALUE, *_FLAGS}))}"
        )


def _name_and_value(line: str) -> tuple[str, str]:
    short = _SHORT.get(line[:2])
    if short and not line.startswith("--"):
        return short, _unquoted(line[2:])
    name, _, value = re.sub(r"[\s=]+", " ", line, count=1).partition(" ")
    return name, _unquoted(value)


def _unquoted(value: str) -> str:
    value = value.strip().removeprefix("=").strip()
    return value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] else value


def _find_links(value: str, where: _Where, code: Code) -> str:
    if "://" in value or posixpath.isabs(value):
        return value
    return f"./{_found(value, where, code)}"


def _requirement(line: str, where: _Where, code: Code, wanted: Wanted) -> None:
    if _DRAY.match(line):
        return  # the agent puts its own on the child's path
    local = _local(line)
    if local is None:
        into = wanted.constraints if where.constrains else wanted.requirements
        into.append(_with_plain_git(line))
        return
    path, extras = local
    found = _found(path, where, code)
    wanted.local[found] = tuple(sorted({*wanted.local.get(found, ()), *extras}))


def _local(line: str) -> tuple[str, tuple[str, ...]] | None:
    """Path and extras, when ``line`` asks for a package of the code."""
    named = _NAMED.match(line)
    text = named["url"] if named else line
    extras = named["extras"] if named else None
    text = text.partition(" ;")[0].partition("; ")[0].strip()
    own = _EXTRAS.match(text)
    if own and not named:
        text, extras = own["path"], f"[{own['extras']}]"
    path = _path_in(text)
    if path is None:
        return None
    names = (extras or "").strip("[]").split(",")
    return path, tuple(name.strip() for name in names if name.strip())


def _path_in(text: str) -> str | None:
    """The relative path that ``text`` is; None for a name, a URL or an absolute path."""
    text = text.partition("#")[0]
    for root in ("file://${PROJECT_ROOT}/", "${PROJECT_ROOT}/", "file://./"):
        if text.startswith(root):
            return unquote(text.removeprefix(root)) or "."
    if text.startswith("file:") and not text.startswith("file:/"):
        return unquote(text.removeprefix("file:"))
    if "://" in text or text.startswith(("/", "file:", "git+")):
        return None
    is_path = text.startswith(("./", "../")) or text in (".", "..")
    return text if is_path or text.endswith(_ARCHIVES) else None


def _found(path: str, where: _Where, code: Code) -> str:
    """``path`` relative to the root: beside its file, else in the working directory or the root.

    Raises:
        PreparationFailed: it is in none of these, or outside of the code.
    """
    folders = dict.fromkeys(
        [where.folder if where.file else code.working_dir, code.working_dir, ""]
    )
    tried = [posixpath.normpath(posixpath.join(folder, path)) for folder in folders]
    inside = [each for each in tried if not each.startswith(("..", "/"))]
    for each in inside:
        if code.exists(each):
            return each
    reason = (
        f"not in the code that came along (looked for {', '.join(dict.fromkeys(inside))}); commit "
        "it, or have it in the snapshot"
        if inside
        else "outside of the task's code, which does not come along"
    )
    raise environment_failed(f"{where} asks for {path}, which is {reason}")


def _with_plain_git(line: str) -> str:
    """A git URL as every installer knows it: named as PEP 508 does, without ``git@host:path``."""
    scp = _SCP.match(line.split(" @ ")[-1]) if "://" not in line and "git+" in line else None
    if scp is not None:
        line = line.replace(scp[0], f"git+ssh://{scp['user'] or 'git@'}{scp['host']}/{scp['path']}")
    if not line.startswith("git+"):
        return line
    url, _, fragment = line.partition("#")
    parts = [part for part in fragment.split("&") if part]
    name = next((part.removeprefix("egg=") for part in parts if part.startswith("egg=")), "")
    rest = "&".join(part for part in parts if not part.startswith("egg="))
    url = f"{url}#{rest}" if rest else url
    return f"{name} @ {url}" if name else url


def exists_in(root: str | os.PathLike[str]) -> Callable[[str], bool]:
    """Whether a path relative to ``root`` is there."""
    return lambda path: os.path.lexists(os.path.join(root, path))
