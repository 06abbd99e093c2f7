"""Which of the agent's environment variables an installer, git and a child may see."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

#: What a tool needs to find its home, its caches, its certificates and the user's keys.
_KEPT = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "TZ",
        "TMPDIR",
        "SSH_AUTH_SOCK",
        "NETRC",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "PYENV_ROOT",
    }
)
_KEPT_PREFIXES = ("PIP_", "UV_", "SSL_", "XDG_", "GIT_")
#: Variables that would point a tool at another project, interpreter or repository than ours.
_MISLEADING = frozenset(
    {
        "UV_PYTHON",
        "UV_PROJECT",
        "UV_PROJECT_ENVIRONMENT",
        "UV_SYSTEM_PYTHON",
        "UV_WORKING_DIR",
        "UV_CONSTRAINT",
        "UV_OVERRIDE",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    }
)
#: What belongs to the agent's own interpreter and would reach into the child's.
_AGENTS_OWN = frozenset(
    {
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONEXECUTABLE",
        "__PYVENV_LAUNCHER__",
        "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",
    }
)
_AGENTS_OWN_PREFIXES = ("RAY_", "DRAY_", "CONDA_")


def agent_variables() -> dict[str, str]:
    """Every variable of this process: the only place of the room that reads them."""
    return dict(os.environ)


def installer_variables(agent: Mapping[str, str]) -> dict[str, str]:
    """What an installer runs with: where home is, and how the network is reached."""
    return {name: value for name, value in agent.items() if _is_for_tools(name)}


def git_variables(agent: Mapping[str, str]) -> dict[str, str]:
    """What git runs with: the same, and nothing that would wait for a person."""
    variables = installer_variables(agent)
    variables["GIT_TERMINAL_PROMPT"] = "0"
    variables.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20")
    variables["LC_ALL"] = "C"  # its messages are read for file names
    return variables


def child_variables(agent: Mapping[str, str]) -> dict[str, str]:
    """What a child inherits: everything but Ray's, Dray's and the agent's interpreter's.

    The agent's own programs leave ``PATH``, so that ``python`` is never the agent's.
    """
    kept = {
        name: value
        for name, value in agent.items()
        if name not in _AGENTS_OWN and not name.startswith(_AGENTS_OWN_PREFIXES)
    }
    if sys.prefix != sys.base_prefix:
        own = Path(sys.prefix) / "bin"
        folders = kept.get("PATH", os.defpath).split(os.pathsep)
        kept["PATH"] = os.pathsep.join(f for f in folders if f and Path(f) != own)
    return kept


def _is_for_tools(name: str) -> bool:
    if name in _MISLEADING:
        return False
    return name.upper() in _KEPT or name.startswith(_KEPT_PREFIXES)
