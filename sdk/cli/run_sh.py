"""``run.sh`` of a reproduced task: its command, folder and variables, wherever it is put."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Below the folder of a reproduced task: its code, its environment, and what is only for run.sh.
CODE = "code"
ENVIRONMENT = "environment"
OWN = ".dray"
#: A node's secret in a variable of the task; where it is run by hand, its user's variable.
_SECRET = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)\}")
_HEAD = """\
#!/usr/bin/env {shell}
{comments}
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit
own="$here/{own}"
rm -rf -- "$own/spool" && mkdir -m 700 -- "$own/spool" || exit
cp -- "$own/task.json" "$own/attempt.json" "$own/spool/" || exit
unset DRAY_URL DRAY_TOKEN DRAY_MASTER_PID
"""


@dataclass(frozen=True)
class Run:
    """What a ``run.sh`` does.

    Attributes:
        root: the folder it lies in; paths below it are written so that it can be moved.
        argv: program and arguments; those given to ``run.sh`` come after them.
        cwd: where it runs.
        env: variables to set; ``PATH`` comes before the user's own where ``own_path`` is not set.
        setup: names of files in ``root/.dray`` with shell lines to run first.
        comments: what is worth saying on top.
        secrets: names of variables whose values may refer to secrets of a node.
        own_path: the task sets ``PATH`` itself.
    """

    root: Path
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    setup: Sequence[str] = ()
    comments: Sequence[str] = ()
    secrets: frozenset[str] = field(default_factory=frozenset[str])
    own_path: bool = False


def run_sh(run: Run) -> str:
    """The text of the script."""
    comments = "\n".join(f"# {_one_line(comment)}" for comment in run.comments)
    shell = "bash" if run.setup else "sh"  # setup scripts are written for bash
    lines = [_HEAD.format(shell=shell, comments=comments, own=OWN)]
    for name, value in sorted(run.env.items()):
        text = _quoted(value, run.root, is_open=name in run.secrets)
        if name == "PATH" and not run.own_path:
            text = f'{text}:"$PATH"'
        lines.append(f"export {name}={text}\n")
    lines.append(f"cd -- {_quoted(str(run.cwd), run.root)} || exit\n")
    if run.setup:
        lines.append("set -e\n")
        lines += [f'. "$own"/{shlex.quote(name)} >&2\n' for name in run.setup]
        lines.append(f"cd -- {_quoted(str(run.cwd), run.root)}\n")
    command = " ".join(_quoted(word, run.root) for word in run.argv)
    return "".join([*lines, f'exec {command} "$@"\n'])


def _quoted(text: str, root: Path, *, is_open: bool = False) -> str:
    """``text`` as one word of a shell, in which ``root`` is wherever the script lies."""
    parts = text.split(str(root))
    return '"$here"'.join(_secrets(part) if is_open else _plain(part) for part in parts) or "''"


def _plain(text: str) -> str:
    return shlex.quote(text) if text else ""


def _secrets(text: str) -> str:
    found: list[str] = []
    begin = 0
    for match in _SECRET.finditer(text):
        found.append(_plain(text[begin : match.start()]))
        variable = f"DRAY_SECRET_{match['name']}"
        found.append(f'"${{{variable}:?set it: it is a secret of the cluster}}"')
        begin = match.end()
    return "".join([*found, _plain(text[begin:])])


def _one_line(text: str) -> str:
    return " ".join(text.split())
