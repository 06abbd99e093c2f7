"""Typed calls to a Dray server: one method for each route of its HTTP API."""

from __future__ import annotations

import json
from typing import Any, cast

from dray.runtime.config import Settings
from dray.runtime.errors import ServerUnreachable
from dray.runtime.paths import HomePaths
from dray.sdk.client_admin import AdminCalls
from dray.sdk.client_attempts import AttemptCalls
from dray.sdk.client_results import ResultCalls
from dray.sdk.client_tasks import TaskCalls
from dray.sdk.transport import Transport

NOT_CONFIGURED = "no server is configured: run `dray up` or set DRAY_URL and DRAY_TOKEN"


class Client(TaskCalls, AttemptCalls, ResultCalls, AdminCalls):
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
        url, token = find_server(settings)
        return cls(url, token, retries=retries)

    def close(self) -> None:
        """Close idle connections; the client can still be used afterwards."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_server(settings: Settings) -> tuple[str, str]:
    """The URL and token that ``settings`` lead to.

    A token that belongs to the server started here is not sent to another server: it is
    taken from ``settings.home`` only when the URL is found there, or is the same.

    Raises:
        ServerUnreachable: no URL is set and none was started here.
    """
    home = HomePaths(settings.home)
    local_url = _local_url(home)
    url = settings.url or local_url
    if not url:
        raise ServerUnreachable(NOT_CONFIGURED)
    token = settings.token
    if not token and url.rstrip("/") == local_url.rstrip("/") and home.token.is_file():
        token = home.token.read_text("utf-8").strip()
    return url, token


def _local_url(home: HomePaths) -> str:
    try:
        document = json.loads(home.cluster.read_text("utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise ServerUnreachable(
            f"{home.cluster} cannot be read ({exc}); run `dray up` again, or set DRAY_URL"
        ) from exc
    return str(cast("dict[str, Any]", document).get("url", ""))
