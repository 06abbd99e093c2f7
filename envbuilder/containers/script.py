"""The shell script that a container runs: variables, a dead man's switch, the command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from dray.envbuilder.launch.hooks import NAME

#: Standard input is open exactly as long as the engine's client lives, which is the process that
#: Dray keeps; at its end everything in the container is killed. Only below the container's own
#: init, which was started with this very script: elsewhere that line would end whatever its user
#: may signal.
_WATCH = """\
read -r init </proc/1/cmdline
case "$PPID $init" in
"1 "*"$0"*)
    exec 3<&0
    (trap '' HUP INT QUIT TERM; while read -r line; do :; done; kill -KILL -1) \\
        <&3 >/dev/null 2>&1 &
    exec 3<&- ;;
esac
"""


def start_script(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, marker: Path, *, watches: bool
) -> str:
    """What ``/bin/sh`` runs in the container: it becomes ``argv``.

    Variables come in this file, which only their user may read, and not as arguments or as the
    container's configuration, which others can. Names that no shell takes are left out.

    Args:
        marker: file that is made when the container has come this far: whatever its exit code is
            from then on, it is the command's own.
        watches: the container is the engine's, and has to notice when its client is gone.
    """
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n"
        for name, value in env.items()
        if NAME.fullmatch(name)
    )
    return "".join(
        [
            _WATCH if watches else "",
            "exec 0</dev/null\n",
            f": >{shlex.quote(str(marker))} || exit 126\n",
            exports,
            f"cd {shlex.quote(str(cwd))} || exit 126\n",
            f"exec {shlex.join(argv)}\n",
        ]
    )
