"""``DRAY_AUTO_INIT=1 python script.py``: record a script that knows nothing of Dray.

Imported by ``dray-auto-init.pth`` when the variable is set, as Python starts and before there is a
script. The run begins when the interpreter says that it is about to run one (its audit event).
"""

from __future__ import annotations

import os
import sys

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class _State:
    is_done = False


def watch() -> None:
    """Begin a run as soon as a script or module of the user's is about to run."""
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if _State.is_done or not event.startswith("cpython.run_"):
        return
    _State.is_done = True
    try:
        if event == "cpython.run_file":
            _begin(str(arguments[0]), "")
        elif event == "cpython.run_module":
            _begin("", str(arguments[0]))
    except Exception as exc:  # whatever it is, the script runs
        sys.stderr.write(f"dray: DRAY_AUTO_INIT: not recorded: {type(exc).__name__}: {exc}\n")


def _begin(script: str, module: str) -> None:
    if module == "__main__":  # a folder or a zip
        script, module = os.path.join(sys.path[0], "__main__.py"), ""
    if module.partition(".")[0] == "dray" or _is_installed(script):
        return
    from dray.sdk import bootstrap

    path = bootstrap.file_of(module) if module else os.path.abspath(script)
    bootstrap.record(path, module, sys.argv[1:], {})


def _is_installed(script: str) -> bool:
    """Whether it is a command that came with a package, such as ``pip``: nobody's experiment."""
    folders = {os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")}
    return bool(script) and os.path.dirname(os.path.abspath(script)) in folders


if os.environ.get("DRAY_AUTO_INIT", "").lower() not in ("", "0", "false", "no", "off"):
    watch()
