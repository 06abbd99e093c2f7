"""Scripts that find their interpreter beside themselves, so that an environment can be renamed."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: What a shell and Python both understand: the shell starts the interpreter that lies beside the
#: script; for Python it is a string. uv writes the same into a relocatable environment.
_BESIDE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
"""


def relocate_scripts(folder: Path) -> None:
    """Make the console scripts of the environment in ``folder`` independent of where it lies.

    Installers other than uv write the interpreter's full path into them.
    """
    for entry in os.scandir(folder / "bin"):
        if entry.is_file(follow_symlinks=False):
            path = Path(entry.path)
            with path.open("rb") as file:
                is_script = file.read(2) == b"#!"
            if is_script:
                _rewrite(path, folder)


def _rewrite(path: Path, folder: Path) -> None:
    content = path.read_bytes()
    changed = relocated(content, folder)
    if changed != content:
        # Aside and renamed: the file may be a hard link into the installer's cache.
        aside = path.with_name(f".{path.name}.new")
        aside.write_bytes(changed)
        aside.chmod(path.stat().st_mode)
        aside.replace(path)


def relocated(script: bytes, folder: Path) -> bytes:
    """``script`` with the interpreter beside it, if its own is Python of ``folder``."""
    python = re.escape(os.fsencode(folder / "bin" / "python")) + rb"[\w.]*"
    direct = re.compile(rb'#![ \t]*"?' + python + rb'"?[^\n]*\n')
    # How pip, conda and others write an interpreter whose path is too long for a first line.
    by_shell = re.compile(
        rb"#![ \t]*/bin/sh[ \t]*\n'''exec'[ \t]+\"?" + python + rb"\"?[^\n]*\n[^\n]*'''[^\n]*\n"
    )
    for header in (direct, by_shell):
        found = header.match(script)
        if found is not None:
            return _BESIDE + script[found.end() :]
    return script
