"""What an interpreter says of itself: imported by the agent, run as a script by any other Python.

It imports the standard library only and keeps to a syntax that an old Python can read.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig


def facts() -> dict[str, str]:
    """The members of ``interpreters.Interpreter``, as text."""
    return {
        "path": base_executable(),
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "cache_tag": sys.implementation.cache_tag or "",
        "abi": str(sysconfig.get_config_var("SOABI") or ""),
        "platform": sysconfig.get_platform(),
    }


def base_executable() -> str:
    """The interpreter outside of any environment.

    Not ``sys._base_executable`` at once: in an environment of Python 3.10 that is the
    environment's own.
    """
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    path = os.path.join(sys.base_prefix, "bin", name)
    if os.path.exists(path):
        return path
    return str(getattr(sys, "_base_executable", sys.executable))


if __name__ == "__main__":
    print(json.dumps(facts()))
