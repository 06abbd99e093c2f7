"""Starting a process and seeing its first line: what everything here is compared with."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence

from dray.envbuilder.tools.surroundings import agent_variables, child_variables


def child_environment(**more: str) -> dict[str, str]:
    """The variables an agent's child inherits, and these."""
    return {**child_variables(agent_variables()), **more}


def start_to_first_line(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Milliseconds until a process that prints ``time.time_ns()`` first did so.

    The process' own clock counts, which is this machine's: what comes after the line, such as
    its way through a pipe, is no part of a start.
    """
    began = time.time_ns()
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {child.returncode}")
    return (int(line) - began) / 1e6
