"""What every service is: named actions on one kind of thing, over one client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.sdk.client import Client


class Service:
    """Actions on one kind of thing; derive one for each kind.

    Attributes:
        name: of the service, as in ``client.tasks``.
        entity: the argument that names one thing, as in ``get_by_id(task=…)``.
    """

    name = ""
    entity = ""

    def __init__(self, client: Client) -> None:
        self._client = client

    def action(self, name: str) -> Callable[..., Any]:
        """The action of that name.

        Raises:
            InvalidInput: there is none.
        """
        found = None if name.startswith("_") else getattr(self, name, None)
        if not callable(found):
            there = sorted(n for n in dir(type(self)) if not n.startswith("_") and n not in _OURS)
            raise InvalidInput(
                f"service {self.name} has no action {name!r}; there are: {', '.join(there)}",
                field="action",
                value=name,
            )
        return found


_OURS = ("action", "entity", "name")


def unknown(service: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that an action does not take.

    Raises:
        InvalidInput: there are some that are not None.
    """
    left = sorted(name for name, value in arguments.items() if value is not None)
    if left:
        raise InvalidInput(
            f"{service} does not take {', '.join(left)} here",
            field=left[0],
            value=arguments[left[0]],
        )
