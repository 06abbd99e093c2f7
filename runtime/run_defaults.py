"""How a task runs where it does not say it itself: its queue's word, then its agent's."""

from __future__ import annotations

from dataclasses import replace

from dray.runtime.execution import Execution, RunDefaults


def with_defaults(execution: Execution, *defaults: RunDefaults) -> Execution:
    """``execution`` with what it leaves open taken from ``defaults``, the first that says it.

    A container is taken as a whole: another image's arguments or setup script would not fit. A
    task that names no image but a setup script keeps its script.
    """
    for given in defaults:
        if not execution.environment_manager:
            execution = replace(execution, environment_manager=given.environment_manager)
        if not execution.container.image and given.container.image:
            own = execution.container.setup_script
            container = replace(given.container, setup_script=own) if own else given.container
            execution = replace(execution, container=container)
    return execution
