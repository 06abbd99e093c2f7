"""Jupyter notebooks: the cells that ran are the script of the task, the notebook an artifact.

There is no file that the interpreter began with, so one is made, anew with each cell: it is what
an agent runs. A cell that ran again stands once, as it ran last; one that failed is left out.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dray.sdk.capture.captured import addition
from dray.sdk.capture.entry import Entry
from dray.sdk.hooks.watch import tell_once
from dray.sdk.session import Session, now

#: Over it a notebook holds more pictures than text, and is left to the user to upload.
NOTEBOOK_LIMIT_BYTES = 50 << 20
#: Editors save every now and then; more often than this it is not kept.
_KEEP_EVERY_S = 60.0
#: What IPython makes of magics, shell commands and questions.
_NOT_PYTHON = re.compile(r"\bget_ipython\(\)")
_DISPLAY = re.compile(r"^(\s*)display\(")
#: Magics of whole cells whose body is Python all the same.
_OF_PYTHON = frozenset({"time", "timeit", "capture", "prun", "python", "python3", "py"})


def shell() -> Any:
    """The shell of the Jupyter kernel this process is; None when it is none. Any: IPython's."""
    if "ipykernel" not in sys.modules:
        return None
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    found = get() if get is not None else None
    return found if getattr(found, "kernel", None) is not None else None


class Notebook:
    """The notebook whose kernel this process is.

    Attributes:
        path: of the ``.ipynb`` file; None where the editor does not tell.
        script: the file that its cells are written to.
    """

    def __init__(self, kernel_shell: Any) -> None:
        self._shell = kernel_shell
        self.path = _path_of(kernel_shell)
        stem = re.sub(r"[^\w.-]", "_", self.path.stem) if self.path else "notebook"
        # Below a folder of the notebook's own folder's name, which is a project's without another.
        above = Path(tempfile.mkdtemp(prefix="dray-notebook-"))
        self.script = above / (Path.cwd().name or "notebook") / f"{stem}.py"
        self.script.parent.mkdir()
        #: Cells by their id, or by a number where the editor gives none, in the order they ran.
        self._cells: dict[str, str] = {}
        self._attempt: Session | None = None
        self._kept: tuple[float, float] = (0.0, 0.0)
        self._said = ""
        ran = getattr(kernel_shell.history_manager, "input_hist_raw", [])
        for number, cell in enumerate(ran):
            self._cells[f"#{number}"] = str(cell)
        #: Cells that ran so far: numbers are not used again when one that failed is left out.
        self._n_ran = len(self._cells)
        self.write()
        atexit.register(shutil.rmtree, above, ignore_errors=True)

    def write(self) -> str:
        """Write the script as it is now; returns its text."""
        transform = self._shell.transform_cell
        cells = [as_python(cell, transform) for cell in self._cells.values()]
        text = "\n\n".join(filter(None, cells)) + "\n"
        self.script.write_text(text, encoding="utf-8")
        return text

    def follow(self, attempt: Session) -> None:
        """Keep the script of ``attempt`` up to date from now on."""
        self._attempt, self._said = attempt, ""
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        atexit.register(self._keep)
        self._say(self.write())
        self._keep()

    def leave(self) -> None:
        """Follow no more; the notebook is kept once more, as it is now."""
        if self._attempt is None:
            return
        self._keep()
        self._attempt = None
        atexit.unregister(self._keep)
        for event, function in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            if function in self._shell.events.callbacks.get(event, ()):
                self._shell.events.unregister(event, function)

    def _before(self, info: Any) -> None:
        # Before it runs: ``execute_remotely`` in this cell sends the script with the cell in it.
        self._cells[_id_of(info, self._n_ran)] = str(info.raw_cell)
        self._n_ran += 1
        self._guarded(self.write)

    def _after(self, result: Any) -> None:
        if not result.success:
            info = result.info
            self._cells = {k: v for k, v in self._cells.items() if v != str(info.raw_cell)}
        self._guarded(lambda: self._say(self.write()))
        if now() - self._kept[0] > _KEEP_EVERY_S:
            self._guarded(self._keep)

    def _say(self, text: str) -> None:
        attempt = self._attempt
        if attempt is None or text == self._said:
            return
        self._said = text
        name = self.script.name
        values = {"entry_point": name, "working_dir": ".", "diff": addition(name, text)}
        attempt.record("execution", values=values)
        attempt.task.setdefault("execution", {}).update(values)
        attempt.stated.update(values)

    def _keep(self) -> None:
        """Keep the notebook's file as an artifact, where it has changed."""
        attempt, path = self._attempt, self.path
        if attempt is None or path is None or not path.is_file():
            return
        status = path.stat()
        if status.st_mtime == self._kept[1] or status.st_size > NOTEBOOK_LIMIT_BYTES:
            return
        from dray.sdk.task import Task

        task = Task.current_task()
        if task is not None and task.id == attempt.task_id:
            task.upload_artifact("notebook", str(path))
            self._kept = (now(), status.st_mtime)

    def _guarded(self, step: Any) -> None:
        try:
            step()
        except Exception as exc:  # a notebook goes on, whatever becomes of its record
            tell_once("notebook", f"the notebook is not followed: {type(exc).__name__}: {exc}")


class _State:
    """The one notebook a process may be."""

    notebook: Notebook | None = None


def entry() -> Entry | None:
    """The script that stands for the notebook this process runs; None when it runs none."""
    found = shell()
    if found is None:
        return None
    if _State.notebook is None:
        _State.notebook = Notebook(found)
    return Entry(_State.notebook.script)


def follow(attempt: Session) -> None:
    """Keep the script of ``attempt`` up to date, where this process runs a notebook."""
    if _State.notebook is not None and attempt.is_master and not attempt.is_remote:
        _State.notebook.follow(attempt)


def leave() -> None:
    """Follow no more."""
    if _State.notebook is not None:
        _State.notebook.leave()


def as_python(cell: str, transform: Callable[[str], str]) -> str:
    """The text of a cell that Python itself can run: what it cannot is commented out.

    Args:
        cell: as the user wrote it.
        transform: IPython's own, which turns magics into calls.
    """
    head, _, body = cell.strip("\n").partition("\n")
    above: list[str] = []
    if head.startswith("%%"):
        name = (head[2:].split() or [""])[0]
        if name not in _OF_PYTHON:
            return "\n".join(f"# {line}" for line in (head, *body.split("\n")))
        above, cell = [f"# {head}"], body
    return "\n".join([*above, *map(_line, transform(cell).rstrip().split("\n"))])


def _line(line: str) -> str:
    if _NOT_PYTHON.search(line):
        # A block of nothing but such lines still needs a statement.
        text = line.lstrip()
        indent = line[: len(line) - len(text)]
        return f"{indent}pass  # {text}" if indent else f"# {text}"
    return _DISPLAY.sub(r"\1print(", line)


def _id_of(info: Any, number: int) -> str:
    return str(getattr(info, "cell_id", None) or f"#{number}")


def _path_of(kernel_shell: Any) -> Path | None:
    """The notebook's file, as Jupyter's server or VS Code tell their kernels."""
    told = kernel_shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not told:
        return None
    path = Path(str(told))
    # The server's name is relative to its own folder, which need not be the kernel's.
    candidates = (path, Path.cwd() / path, Path.cwd() / path.name)
    found = next((one for one in candidates if one.is_file()), None)
    return found.absolute() if found else None
