"""``Task.set_credentials``: the server a script names itself, where none is configured."""

from __future__ import annotations

import os

from dray.runtime import config
from dray.runtime.errors import ServerUnreachable
from dray.sdk import session
from dray.sdk.http.server_address import find_server


def set_default(url: str, token: str, *, store: bool = False) -> None:
    """Talk to ``url`` with ``token``, unless another server is configured.

    Args:
        store: keep both in the user's settings file, unless there is one.
    """
    try:
        configured, _ = find_server(config.load().settings)
    except ServerUnreachable:
        configured = ""
    if configured and configured.rstrip("/") != url.rstrip("/"):
        session.say(f"set_credentials: {configured} is configured here, so {url} is not used")
        return
    if url:
        os.environ["DRAY_URL"] = url
    if token:
        os.environ.setdefault("DRAY_TOKEN", token)
    if store:
        _store(url, token)


def _store(url: str, token: str) -> None:
    file = config.user_file()
    if file.exists():
        session.say(f"set_credentials: {file} is there already and was left as it is")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'{name} = "{value}"\n' for name, value in (("url", url), ("token", token)) if value]
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as written:
        written.writelines(lines)
