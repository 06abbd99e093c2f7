"""Where the server is, and the token for it, without asking anybody."""

from __future__ import annotations

import json
from typing import Any, cast

from dray.runtime.config import Settings
from dray.runtime.errors import ServerUnreachable
from dray.runtime.paths import HomePaths

NOT_CONFIGURED = "no server is configured: run `dray up` or set DRAY_URL and DRAY_TOKEN"


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
