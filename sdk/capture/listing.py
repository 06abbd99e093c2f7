"""Which files are the code: what git knows of, or a folder's, without those left out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dray.sdk.capture import checkout
from dray.sdk.capture.code import IGNORE_FILE
from dray.sdk.capture.ignore import Rules, Verdicts

#: Of a folder that nobody said is the code: so much of it goes with the script in it.
FOLDER_LIMIT_FILES, FOLDER_LIMIT_BYTES = 1000, 20 << 20
#: Outside git there is nobody to say what is no code; a line with ``!`` brings it in.
_OUTSIDE_GIT = Rules({"": b".*\n!.drayignore\n__pycache__/\n*.pyc\nnode_modules/\n"})


def in_git(root: Path, imported: Iterable[str] = ()) -> list[str]:
    """The files git tracks or does not ignore below ``root``, and ``.drayignore`` does not either.

    What the script imports is code even where git ignores it, such as a generated
    ``_version.py``: give it as ``imported``. A line such as ``!data/small.csv``, with a path,
    brings in what git ignores.

    Raises:
        GitFailed: git could not list them.
    """
    names = list(dict.fromkeys([*checkout.files(root), *imported]))
    rules = _rules_among(root, names)
    if not rules:
        return names
    verdicts = Verdicts(rules)
    kept = [name for name in names if not verdicts.leaves_out(name)]
    wanted = list(dict.fromkeys(_pathspecs(rules)))
    if wanted:
        seen = set(kept)
        others = checkout.ignored_files(root, wanted)
        kept += [name for name in others if name not in seen and verdicts.brings_in(name)]
    return kept


def in_folder(root: Path) -> Iterator[str]:
    """The files of a folder outside git, one after another.

    Left out are hidden files, bytecode, ``node_modules``, virtual environments, and what a
    ``.gitignore`` or ``.drayignore`` of the folder says; the latter has the last word.
    """
    yield from _walk(os.fspath(root), "", _Rules.of({}, {}))


def whole_if_small(root: Path) -> list[str] | None:
    """The files of a folder, when they are few and small; None when they are not.

    A home folder, a file system or a folder for temporary files is nobody's code.
    """
    if root.resolve() in _nobodys():
        return None
    found: list[str] = []
    n_bytes = 0
    for name in in_folder(root):
        found.append(name)
        try:
            n_bytes += os.lstat(root / name).st_size
        except OSError:
            continue  # gone meanwhile
        if len(found) > FOLDER_LIMIT_FILES or n_bytes > FOLDER_LIMIT_BYTES:
            return None
    return found


def _nobodys() -> set[Path]:
    places = {Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path(Path.cwd().anchor)}  # noqa: S108
    try:
        home = Path.home().resolve()
    except RuntimeError:  # this user has none
        return places
    return places | {home, *(home / name for name in ("Desktop", "Documents", "Downloads"))}


def _rules_among(root: Path, names: Iterable[str]) -> Rules:
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == IGNORE_FILE}
    files: dict[str, bytes] = {}
    for folder in {"", *folders}:  # the root's even where git ignores it
        content = _content(root / folder / IGNORE_FILE)
        if content:
            files[folder] = content
    return Rules(files)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # not there, or no file
        return b""


def _pathspecs(rules: Rules) -> Iterator[str]:
    for folder, pattern in rules.brought_in():
        path = "/".join(filter(None, (folder, pattern.text.strip("/"))))
        yield f":(glob){path}"
        yield f":(glob){path}/**"


@dataclass(frozen=True)
class _Rules:
    """Those that hold in a folder, by what goes first."""

    ours: dict[str, bytes]
    git: dict[str, bytes]
    layers: tuple[Rules, ...]

    @classmethod
    def of(cls, ours: dict[str, bytes], git: dict[str, bytes]) -> _Rules:
        return cls(ours, git, (Rules(ours), Rules(git), _OUTSIDE_GIT))

    def within(self, below: str, folder: str, names: set[str]) -> _Rules:
        """These, with the files of rules of a folder further down."""
        ours, git = self.ours, self.git
        if IGNORE_FILE in names:
            ours = {**ours, below: _content(Path(folder, IGNORE_FILE))}
        if ".gitignore" in names:
            git = {**git, below: _content(Path(folder, ".gitignore"))}
        return self if ours is self.ours and git is self.git else _Rules.of(ours, git)

    def leave_out(self, path: str, *, is_folder: bool) -> bool:
        for rules in self.layers:
            found = rules.match(path, is_folder=is_folder)
            if found is not None:
                return not found.takes
        return False


def _walk(root: str, below: str, rules: _Rules) -> Iterator[str]:
    folder = os.path.join(root, below) if below else root
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # of somebody else, or gone
    names = {entry.name for entry in entries}
    if "pyvenv.cfg" in names and below:
        return
    rules = rules.within(below, folder, names)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if rules.leave_out(path, is_folder=is_folder):
            continue
        if is_folder:
            yield from _walk(root, path, rules)
        else:
            yield path
