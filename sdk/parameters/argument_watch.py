"""Command lines, without importing what parses them: what is wanted of them, and who is told.

``dray.sdk.parameters.arguments`` serves ``argparse``, ``dray.sdk.binders`` other libraries, in
scripts that use them. Part of the child's path.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from dray.sdk import binders, session
from dray.sdk.hooks.watch import when_imported
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    Wanted = bool | Mapping[str, Any]


#: Section of the parameters that came from a command line.
SECTION = "Args"


class State:
    """What is switched on: one for the process, as the patches are."""

    is_watching = False
    #: What ``auto_connect_arg_parser`` said: argument → whether it is connected; ``*``: the rest.
    wanted: Wanted = True
    #: What ``auto_connect_frameworks`` said; it switches Hydra and absl.
    frameworks: Wanted = True
    #: Whether ``Task.init`` has been called, so that arguments are recorded as they are parsed.
    is_recording = False


def watch() -> None:
    """See every command line parsed from now on."""
    if State.is_watching:
        return
    State.is_watching = True
    when_imported("argparse", _patch)
    binders.watch_all()


def connect(wanted: Wanted, frameworks: Wanted = True) -> None:
    """Record arguments from now on, and those that were parsed before.

    Args:
        wanted: what ``auto_connect_arg_parser`` said; an empty mapping means False.
        frameworks: what ``auto_connect_frameworks`` said.
    """
    State.wanted = wanted if wanted else False
    State.frameworks = frameworks
    State.is_recording = True
    attempt = session.current()
    if attempt is not None and State.wanted is not False:
        from dray.sdk.binders import environment

        environment.connect(attempt)
    if "dray.sdk.parameters.arguments" in sys.modules:
        from dray.sdk.parameters import arguments

        arguments.record_earlier()
    if "dray.sdk.binders.recorder" in sys.modules:
        from dray.sdk.binders import recorder

        recorder.record_earlier()


def disconnect() -> None:
    """Record no more; the next ``Task.init`` begins anew."""
    State.is_recording = False
    State.wanted = State.frameworks = True
    if "dray.sdk.parameters.arguments" in sys.modules:
        from dray.sdk.parameters import arguments

        arguments.forget_earlier()
    if "dray.sdk.binders.recorder" in sys.modules:
        from dray.sdk.binders import recorder

        recorder.forget_earlier()


def _patch(argparse: ModuleType) -> None:
    del argparse
    from dray.sdk.parameters import arguments

    # While that module is the one that imports ``argparse``, it patches when it is complete.
    if hasattr(arguments, "patch"):
        arguments.patch()
