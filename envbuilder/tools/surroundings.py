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
_KEPT_PREFIXES = ("SSL_", "XDG_", "GIT_")
#: How packages are reached. What else installers read from variables (targets, constraints, another
#: interpreter …) would make another environment than the task asks for.
_KEPT_OF_PIP = frozenset(
    {
        *("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "TRUSTED_HOST"),
        *("CERT", "CLIENT_CERT", "PROXY", "RETRIES", "TIMEOUT", "DEFAULT_TIMEOUT"),
        *("CACHE_DIR", "KEYRING_PROVIDER", "ONLY_BINARY", "NO_BINARY", "USE_FEATURE"),
        "CONFIG_FILE",  # of the operator; what of it counts is for whoever runs pip
    }
)
_KEPT_OF_UV = frozenset(
    {
        *("DEFAULT_INDEX", "INDEX", "INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX"),
        *("INDEX_STRATEGY", "INSECURE_HOST", "KEYRING_PROVIDER", "NATIVE_TLS", "SYSTEM_CERTS"),
        *("OFFLINE", "CACHE_DIR", "NO_CACHE", "CONFIG_FILE", "NO_CONFIG", "NO_PROGRESS"),
        *("LINK_MODE", "LOCK_TIMEOUT", "NO_BINARY", "NO_BUILD", "ONLY_BINARY"),
        *("PYTHON_INSTALL_DIR", "PYTHON_PREFERENCE", "MANAGED_PYTHON", "NO_MANAGED_PYTHON"),
    }
)
#: ``UV_INDEX_name_USERNAME``, ``UV_HTTP_TIMEOUT``, ``UV_CONCURRENT_DOWNLOADS`` …
_KEPT_OF_UV_PREFIXES = ("INDEX_", "HTTP_", "REQUEST_", "CONCURRENT_")
#: Variables that would point git at another repository than ours.
_MISLEADING = frozenset(
    {
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
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR"),
        *("PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONCASEOK"),
        *("PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONPYCACHEPREFIX", "PYTHONBREAKPOINT"),
        *("__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "_CE_CONDA", "_CE_M"),
    }
)
#: An installer's are also where passwords of indexes are.
#: Where agents of ClearML have the credentials of a git host.
CLEARML_GIT = ("CLEARML_AGENT_GIT_", "TRAINS_AGENT_GIT_")
_AGENTS_OWN_PREFIXES = (
    "RAY_",
    "DRAY_",
    "CONDA_",
    *CLEARML_GIT,
    "MAMBA_",
    "PIP_",
    "UV_",
    "POETRY_",
    "PDM_",
)


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
    """What a child inherits: everything but Ray's, Dray's, installers' and the agent's Python's.

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
    tool, _, rest = name.partition("_")
    if tool == "UV":
        return rest in _KEPT_OF_UV or rest.startswith(_KEPT_OF_UV_PREFIXES)
    if tool == "PIP":
        return rest in _KEPT_OF_PIP
    if name in _MISLEADING:
        return False
    return name.upper() in _KEPT or name.startswith(_KEPT_PREFIXES)
