"""Ways to make an environment, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable

from dray.envbuilder.builders.base import Builder
from dray.envbuilder.builders.conda import CondaBuilder
from dray.envbuilder.builders.pip import PipBuilder
from dray.envbuilder.builders.poetry import PoetryBuilder
from dray.envbuilder.builders.system import SystemBuilder
from dray.envbuilder.builders.uv import UvBuilder
from dray.envbuilder.failures import environment_failed

#: Every manager that ``Execution.environment_manager`` may name.
BUILDERS: dict[str, Callable[[], Builder]] = {
    "uv": UvBuilder,
    "pip": PipBuilder,
    "poetry": PoetryBuilder,
    "conda": CondaBuilder,
    "system": SystemBuilder,
}


def builder_of(manager: str) -> Builder:
    """The builder that ``manager`` names.

    Raises:
        PreparationFailed: there is none of that name; the message lists what there is.
    """
    try:
        return BUILDERS[manager]()
    except KeyError:
        raise environment_failed(
            f"environment_manager is {manager!r}, which Dray does not know; "
            f"it has: {', '.join(sorted(BUILDERS))}",
            field="execution.environment_manager",
            value=manager,
        ) from None
