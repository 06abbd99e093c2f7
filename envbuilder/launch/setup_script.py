"""Setup scripts: shell lines that run before a task, in its process, where it runs.

They are sourced by the shell that then becomes the task (``exec``), so that what they export, and
limits they set, count for it, and its signals and exit codes are its own. What they say is told
apart from the task's output by two marks that nobody else can know.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dray.envbuilder.failures import redact
from dray.runtime.causes import EVIDENCE_LIMIT_BYTES
from dray.runtime.ids import new_id

if TYPE_CHECKING:
    from dray.envbuilder.launch.plan import LaunchPlan

#: A line longer than this is passed on in pieces.
_LINE_LIMIT_BYTES = 16 << 10
#: Users write bash; an image may have no more than sh.
_SHELL = 'if command -v bash >/dev/null 2>&1; then exec bash "$0"; else exec /bin/sh "$0"; fi'
_BEFORE = """\
_dray_cwd=$PWD
_dray_pythonpath=${{PYTHONPATH-}}
{save}
exec 9>&1 1>&2
printf '%s-%s\\n' {mark} begin
"""
_BETWEEN = """\
set -e
. {script}
cd "$_dray_cwd"
"""
_AFTER = """\
{ set +aeux; } 2>/dev/null
case "${PYTHONPATH-}" in
    "$_dray_pythonpath"*) ;;
    *) PYTHONPATH=$_dray_pythonpath${PYTHONPATH:+:$PYTHONPATH} ;;
esac
export PYTHONPATH
unset _dray_cwd _dray_pythonpath
trap - HUP INT QUIT TERM EXIT
"""
_START = """\
printf '%s-%s\\n' {mark} end
exec 1>&9 9>&-
exec {program}
"""


@dataclass(frozen=True)
class SetupPlan:
    """A process that runs setup scripts first, and who listens to them."""

    plan: LaunchPlan
    output: SetupOutput


def with_setup(
    plan: LaunchPlan, scripts: Iterable[str], reserved: Sequence[str], folder: Path
) -> SetupPlan | None:
    """``plan`` with ``scripts`` before it; None when none of them has anything to run.

    Args:
        scripts: shell lines each, run in this order in the working directory. The first command
            that fails ends them all, and the task.
        reserved: variables that the task gets as they are in ``plan``, whatever scripts set.
        folder: of the attempt, not yet there; for a thread, because files are written to it.
    """
    lines = [script for script in scripts if script.strip()]
    if not lines:
        return None
    mark = f"dray-setup-{new_id()}"
    folder.mkdir(mode=0o700)
    start = folder / "start.sh"
    text = _start(lines, reserved, mark, folder) + _START.format(
        # In the file: a script may do as it likes with the shell's own arguments.
        mark=mark,
        program=shlex.join(plan.argv),
    )
    start.write_text(text, "utf-8", "surrogateescape")
    argv = ["/bin/sh", "-c", _SHELL, str(start)]
    return SetupPlan(replace(plan, argv=argv), SetupOutput(mark))


def _start(scripts: list[str], reserved: Sequence[str], mark: str, folder: Path) -> str:
    saved = "\n".join(f"_dray_{name}=${{{name}-}}" for name in reserved)
    restored = "\n".join(
        f"{name}=$_dray_{name}; export {name}; unset _dray_{name}" for name in reserved
    )
    parts = [_BEFORE.format(save=saved, mark=mark)]
    for number, script in enumerate(scripts, 1):
        file = folder / f"setup-{number}.sh"
        file.write_text(script if script.endswith("\n") else f"{script}\n", "utf-8")
        parts.append(_BETWEEN.format(script=shlex.quote(str(file))))
    return "".join([*parts, _AFTER, restored, "\n"])


class SetupOutput:
    """Parts the stderr of a process into what its setup scripts said and what is its own.

    Attributes:
        began: the scripts have begun.
        passed: they are over, and the process is the task.
    """

    def __init__(self, mark: str) -> None:
        self.began = False
        self.passed = False
        self._marks = [f"{mark}-begin\n".encode(), f"{mark}-end\n".encode()]
        self._held = b""
        self._line = b""
        self._tail = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of ``data``, and of what was held back, the scripts said, and what is the task's."""
        said, own = b"", b""
        self._held += data
        while not self.passed:
            mark = self._marks[self.began]
            before, found, after = self._held.partition(mark)
            if not found:
                kept = len(self._held) - _overlap(self._held, mark)
                before, after = self._held[:kept], self._held[kept:]
            said, own = (said + before, own) if self.began else (said, own + before)
            self._held = after
            if not found:
                return self._lines(said), own
            self.began, self.passed = True, self.began
        rest, self._held = self._held, b""
        return self._lines(said), own + rest

    def close(self) -> tuple[bytes, bytes]:
        """What is left when the process has ended."""
        rest, self._held = self._held, b""
        if not self.began or self.passed:
            return b"", rest
        said = self._lines(rest)
        line, self._line = self._line, b""
        return said + self._clean(line + b"\n" if line else b""), b""

    def tail(self) -> str:
        """The last lines that the scripts said, without credentials of URLs."""
        return self._tail.decode("utf-8", "replace").strip()

    def _lines(self, said: bytes) -> bytes:
        """Whole lines of what scripts said; a line that is not at its end is held back."""
        *lines, rest = (self._line + said).split(b"\n")
        if self.passed or len(rest) > _LINE_LIMIT_BYTES:
            lines, rest = [*lines, rest] if rest else lines, b""
        self._line = rest
        return b"".join(self._clean(line + b"\n") for line in lines)

    def _clean(self, line: bytes) -> bytes:
        clean = redact(line.decode("utf-8", "replace")).encode()
        self._tail = (self._tail + clean)[-EVIDENCE_LIMIT_BYTES:]
        return clean


def _overlap(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of ``data`` may be the beginning of ``mark``."""
    longest = min(len(data), len(mark) - 1)
    return next((n for n in range(longest, 0, -1) if data.endswith(mark[:n])), 0)
