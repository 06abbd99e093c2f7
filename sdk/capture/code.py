"""The code of a run started by hand: what is to be captured, now or in a process beside it.

Reading a repository and what is installed takes longer than everything else ``Task.init`` does,
so ``sdk/capture/code_beside.py`` does it while the script runs on. Whoever cannot wait captures
here.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from dray.sdk.capture.entry import Entry, Wishes
from dray.sdk.capture.python_path import importable
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from dray.sdk.capture.captured import Captured

#: Names below the spool's folder: what is to be captured, and the members that were.
CODE_FILE = "code.json"
CAPTURED_FILE = "captured.json"
#: The file that leaves parts of a folder out of the code, or brings some in.
IGNORE_FILE = ".drayignore"


class Code:
    """What is to be captured, as it was when the run began.

    Attributes:
        path: where the script imports from.
    """

    def __init__(self, entry: Entry, cwd: str, wishes: Wishes, path: list[str]) -> None:
        self.entry = entry
        self.cwd = cwd
        self.wishes = wishes
        self.path = path
        self._captured: Captured | None = None

    @classmethod
    def of_process(cls, entry: Entry, wishes: Wishes) -> Code:
        """The code of this process, which began at ``entry``."""
        return cls(entry, os.getcwd(), wishes, importable())

    @property
    def captured(self) -> Captured:
        """What was found; looked for when it is first asked for."""
        if self._captured is None:
            from dray.sdk.capture.captured import capture

            self._captured = capture(self.entry, Path(self.cwd), self.wishes, self.path)
        return self._captured

    def write(self, spool: str) -> None:
        """Say in the spool what is to be captured."""
        from dray.sdk.session import write_file

        script = None if self.entry.script is None else str(self.entry.script)
        document = {
            "script": script,
            "module": self.entry.module,
            "arguments": self.entry.arguments,
            "cwd": self.cwd,
            "wishes": asdict(self.wishes),
            "path": self.path,
        }
        write_file(os.path.join(spool, CODE_FILE), document)

    @classmethod
    def read(cls, spool: str) -> Code:
        """What :meth:`write` said.

        Raises:
            FileNotFoundError: nothing was said.
        """
        with open(os.path.join(spool, CODE_FILE), encoding="utf-8") as file:
            document = json.load(file)
        script = document["script"]
        entry = Entry(
            Path(script) if script else None, document["module"], tuple(document["arguments"])
        )
        return cls(entry, document["cwd"], Wishes(**document["wishes"]), document["path"])


def project_of(script: Path | None) -> str:
    """A name for the project of ``script``: its repository's, else its folder's.

    Read from the files of git themselves: starting git for it would hold up the script.
    """
    if script is None:
        return "Untitled"
    top = top_of(script)
    assert top is not None  # noqa: S101  (there is a script)
    return _remote_name(top / ".git") or top.name or "Untitled"


def top_of(script: Path | None) -> Path | None:
    """The top of the repository ``script`` lies in, else of the folder marked as code, else its."""
    if script is None:
        return None
    folder = script.parent.resolve()
    for top in (folder, *folder.parents):
        if (top / ".git").exists():
            return top
    return marked_root(folder) or folder


def marked_root(folder: Path) -> Path | None:
    """Outside git: the uppermost folder with a ``.drayignore`` from ``folder`` upwards.

    One in a home folder, a file system or the folder for temporary files marks nothing.
    """
    found: Path | None = None
    home = os.path.expanduser("~")
    for above in (folder, *folder.parents):
        if os.fspath(above) in (home, "/tmp", above.anchor):  # noqa: S108
            break
        if (above / IGNORE_FILE).is_file():
            found = above
    return found


def place(entry: Entry, cwd: Path, root: Path | None) -> dict[str, str]:
    """Working directory and entry point, both below ``root`` and as an agent will use them."""
    if entry.script is None or root is None:
        return {}
    top, here = root.resolve(), cwd.resolve()
    base = here if here.is_relative_to(top) else top
    working_dir = base.relative_to(top).as_posix()
    if entry.module:
        return {"working_dir": working_dir, "entry_point": f"-m {entry.module}"}
    script = entry.script.parent.resolve() / entry.script.name
    relative = Path(os.path.relpath(script, base)).as_posix()
    return {"working_dir": working_dir, "entry_point": relative}


def _remote_name(git: Path) -> str:
    """The last part of the URL of ``origin``, else of the first remote; empty without one."""
    try:
        if git.is_file():  # a worktree or a submodule: it names its folder, that the common one
            git = git.parent / git.read_text("utf-8").partition(":")[2].strip()
            common = git / "commondir"
            git = git / common.read_text("utf-8").strip() if common.is_file() else git
        lines = (git / "config").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    urls: dict[str, str] = {}
    section = ""
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line
        elif section.startswith("[remote ") and line.partition("=")[0].strip() == "url":
            urls.setdefault(section, line.partition("=")[2].strip().strip('"'))
    url = urls.get('[remote "origin"]') or next(iter(urls.values()), "")
    return url.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
