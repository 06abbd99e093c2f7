"""What kind of thing an entry point is: Python, a notebook, a shell script or a program."""

from __future__ import annotations

import os
import stat
from enum import Enum
from pathlib import Path

#: Runs shell scripts that nobody named a program for.
SHELL = "/bin/bash"
_SHELL_SUFFIXES = frozenset({".sh", ".bash"})
_PYTHON_SUFFIXES = frozenset({".py", ".pyw", ".pyz", ".zip"})
#: ELF, and the ways of Mach-O.
_PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe")
_HEAD_BYTES = 256


class Kind(Enum):
    """How an entry point is run."""

    PYTHON = "python"
    NOTEBOOK = "notebook"
    SHELL = "shell"
    PROGRAM = "program"


def kind_of(file: Path) -> Kind:
    """How the file is run: by its name, else by how it begins and whether it may be executed.

    Raises:
        OSError: it cannot be read.
    """
    suffix = file.suffix.lower()
    if suffix == ".ipynb":
        return Kind.NOTEBOOK
    if suffix in _SHELL_SUFFIXES:
        return Kind.SHELL
    if suffix in _PYTHON_SUFFIXES:
        return Kind.PYTHON
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
        executable = bool(os.fstat(opened.fileno()).st_mode & stat.S_IXUSR)
    return kind_by_head(head, executable=executable)


def kind_by_head(head: bytes, *, executable: bool) -> Kind:
    """How a file without a telling name is run."""
    if head.startswith(_PROGRAMS):
        return Kind.PROGRAM if executable else Kind.PYTHON
    if not head.startswith(b"#!"):
        return Kind.PYTHON
    words = head[2:].partition(b"\n")[0].split()
    names = [word.rpartition(b"/")[2] for word in words]
    if any(name.startswith(b"python") for name in names):
        return Kind.PYTHON
    if executable:
        return Kind.PROGRAM
    return Kind.SHELL if any(name in (b"sh", b"bash") for name in names) else Kind.PYTHON
