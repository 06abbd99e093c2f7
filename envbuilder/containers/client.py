"""Run an engine's command-line client: within a limit, its failures told apart."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished, run_tool, within
from dray.envbuilder.tools.surroundings import agent_variables, child_variables
from dray.runtime.errors import PreparationFailed

#: An engine that takes longer to say what it has is as good as gone.
ASK_LIMIT_S = 30.0
#: What clients say when their engine is not there, or does not let them in.
_UNREACHABLE = (
    "cannot connect to the docker daemon",
    "is the docker daemon running",
    "permission denied while trying to connect",
    "error during connect",
    "cannot connect to podman",
    "unable to connect to podman",
    "connection reset by peer",
    "unexpected eof",
    "error waiting for container",
)


def client_variables() -> dict[str, str]:
    """What an engine's client runs with: the agent's, so that it finds its engine and logins."""
    return child_variables(agent_variables())


def is_unreachable(said: str) -> bool:
    """Whether a client said that its engine does not answer."""
    words = said.lower()
    return any(each in words for each in _UNREACHABLE)


async def ask(program: str, arguments: Sequence[str], limit_s: float = ASK_LIMIT_S) -> Finished:
    """What the client answers.

    Raises:
        PreparationFailed: there is no such program, or its engine does not answer.
    """
    try:
        finished = await within(
            limit_s, run_tool([program, *arguments], env=client_variables(), keep_stdout=True)
        )
    except FileNotFoundError as exc:
        raise absent(program) from exc
    except TimeoutError as exc:
        raise refused(program, f"no answer within {limit_s:g} s") from exc
    if finished.code != 0 and is_unreachable(finished.tail):
        raise refused(program, finished.tail)
    return finished


async def follow(program: str, arguments: Sequence[str], log: LogWriter) -> Finished:
    """Run the client with its output going to ``log``; for as long as it takes.

    Raises:
        PreparationFailed: there is no such program, or its engine does not answer.
    """
    try:
        finished = await run_tool([program, *arguments], env=client_variables(), log=log)
    except FileNotFoundError as exc:
        raise absent(program) from exc
    if finished.code != 0 and is_unreachable(finished.tail):
        raise refused(program, finished.tail)
    return finished


def is_there(program: str) -> bool:
    """Whether the program can be started here."""
    return shutil.which(program, path=client_variables().get("PATH")) is not None


def absent(program: str) -> PreparationFailed:
    """The failure of a node that has no such engine."""
    return environment_failed(
        f"the task asks for a container, and this node has no program {program!r}; install it "
        "there, or name another engine with the setting container_engine (docker, podman or "
        "apptainer) where agents are started",
        field="container_engine",
    )


def refused(program: str, evidence: str) -> PreparationFailed:
    """The failure of an engine that is there and does not serve the agent."""
    return environment_failed(
        f"the container engine of this node does not answer {program!r}; start it, or let the "
        "agent's user use it (for Docker: put the user into the group docker)",
        evidence,
        field="container_engine",
    )
