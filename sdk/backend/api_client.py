"""``APIClient``: the services a script may ask for tasks, projects, queues, models and workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dray.runtime import config
from dray.runtime.errors import InvalidInput
from dray.sdk.backend.events import Events
from dray.sdk.backend.models import Models
from dray.sdk.backend.projects import Projects
from dray.sdk.backend.queues import Queues
from dray.sdk.backend.service import Service
from dray.sdk.backend.tasks import Tasks
from dray.sdk.backend.workers import Workers
from dray.sdk.client import Client

#: The services there are, by name.
SERVICES: Mapping[str, type[Service]] = {
    service.name: service for service in (Events, Models, Projects, Queues, Tasks, Workers)
}


class APIClient:
    """Services of the configured server, with ClearML's actions, arguments and answers.

    ``client.tasks.get_all(project=[id], status=["failed"])`` gives objects with attributes;
    actions of the service are their methods. For new scripts :class:`dray.Client` is the better
    choice: typed, and one method for each route.

    Args:
        client: to ask; the one of the configured server unless given.

    Raises:
        ServerUnreachable: no server is configured.
    """

    def __init__(self, client: Client | None = None, **others: Any) -> None:
        if others:
            raise InvalidInput(
                f"APIClient takes no {', '.join(others)}: the server is the configured one, or "
                "that of a dray.Client given as client",
                field=next(iter(others)),
            )
        asked = client or Client.from_settings(config.load().settings)
        self.tasks = Tasks(asked)
        self.projects = Projects(asked)
        self.queues = Queues(asked)
        self.models = Models(asked)
        self.workers = Workers(asked)
        self.events = Events(asked)

    def service(self, name: str) -> Service:
        """The service of that name.

        Raises:
            InvalidInput: there is none.
        """
        if name not in SERVICES:
            raise InvalidInput(
                f"there is no service {name!r}; there are: {', '.join(SERVICES)}",
                field="service",
                value=name,
            )
        return getattr(self, name)
