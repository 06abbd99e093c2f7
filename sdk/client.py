"""Typed calls to a Dray server: one method for each route of its HTTP API."""

from __future__ import annotations

import sys

from dray.runtime.config import Settings
from dray.sdk.client_admin import AdminCalls
from dray.sdk.client_attempts import AttemptCalls
from dray.sdk.client_models import ModelCalls
from dray.sdk.client_results import ResultCalls
from dray.sdk.client_tasks import TaskCalls
from dray.sdk.server_address import NOT_CONFIGURED, find_server
from dray.sdk.transport import Transport

__all__ = ["NOT_CONFIGURED", "Client", "find_server"]


class Client(TaskCalls, AttemptCalls, ResultCalls, ModelCalls, AdminCalls):
    """Speaks to one server with one token; safe to share between threads.

    A server's refusal is raised as the same class the server raised
    (:mod:`dray.runtime.errors`). Wherever a method takes a task id, a unique prefix will do.

    Args:
        url: of the server, such as ``http://127.0.0.1:8262``.
        token: the server's token, or one that may write for a single task.
        retries: how often a request that may safely be repeated is, when no server answers.
        timeout_s: seconds without a byte after which a server counts as silent.
    """

    def __init__(
        self, url: str, token: str = "", *, retries: int = 4, timeout_s: float = 30.0
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._http = Transport(self.url, token, retries=retries, timeout_s=timeout_s)

    @classmethod
    def from_settings(cls, settings: Settings, *, retries: int = 4) -> Client:
        """A client of the configured server, else of the one ``dray up`` started here.

        Raises:
            ServerUnreachable: neither is there.
        """
        companions = sys.modules.get("dray.sdk.companion")
        if companions is not None:  # runs were closed here: what they recorded is asked for too
            companions.settle()
        url, token = find_server(settings)
        return cls(url, token, retries=retries)

    def close(self) -> None:
        """Close idle connections; the client can still be used afterwards."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
