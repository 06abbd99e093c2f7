"""Environment variables by pattern: recorded by hand, set under an agent. Section ``Environment``.

Part of the child's path.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator

from dray.runtime import aliases
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.parameters import values as parameters

if TYPE_CHECKING:
    from dray.sdk.session import Session

SECTION = "Environment"
#: What tells an attempt who it is; a stored value would make it another one.
_OWN = ("DRAY_", "CLEARML_", "TRAINS_")
#: Names that a pattern does not reach, so that ``*`` gives no secret away; the whole name does.
_SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|(^|_)(KEY|AUTH|COOKIE)($|_)|KEY$")


def connect(attempt: Session) -> None:
    """Record the variables that are asked for, or set those that are stored."""
    if attempt.is_remote:
        for name, members in attempt.parameters(SECTION).items():
            if not name.startswith(_OWN) and "=" not in name and "\0" not in members["value"]:
                os.environ[name] = members["value"]
    elif attempt.is_master:
        values = {
            f"{SECTION}/{name}": parameters.as_record(os.environ[name])
            for name in matching(_patterns(), os.environ)
        }
        attempt.put_parameters(values)


def matching(patterns: str, names: Iterable[str]) -> Iterator[str]:
    """Those of ``names`` that comma-separated patterns such as ``CUDA_*, *_DIR, HOME`` pick."""
    wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    for name in names:
        is_open = not name.startswith(_OWN) and not _SECRET.search(name.upper())
        if name in wanted or (is_open and any(_fits(name, pattern) for pattern in wanted)):
            yield name


def _fits(name: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return pattern.startswith("*") and name.endswith(pattern[1:])


def _patterns() -> str:
    given = aliases.variable("LOG_ENVIRONMENT")
    if given is not None:
        return given
    start = sys.modules.get("dray.sdk.tasks.start")
    run = None if start is None else start.current_run()
    return "" if run is None else run.settings.log_environment
