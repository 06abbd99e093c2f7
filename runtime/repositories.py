"""Addresses of repositories as tasks have them: readable for everybody, so without a secret."""

from __future__ import annotations

import re

from dray.runtime.errors import InvalidInput

_LOGIN = re.compile(r"https?://(?P<user>[^/:@]*)(?::(?P<password>[^/]*))?@", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{[A-Z0-9_]+\}")
#: The name of a user, or of an organisation at Azure, is shorter; a token is not.
_SHORTEST_TOKEN = 30


def check_repository(address: str) -> None:
    """Refuse an address that would show a password or token to everybody who sees the task.

    Raises:
        InvalidInput: says what to write in its place, and does not repeat it.
    """
    login = _LOGIN.match(address)
    if login is None:
        return
    user, password = login["user"], login["password"] or ""
    if not _is_secret(password) and (len(user) < _SHORTEST_TOKEN or _REFERENCE.fullmatch(user)):
        return
    raise InvalidInput(
        "the address of the repository contains a password or token, which everybody who sees the "
        "task could read; write the name of a secret of the nodes in its place, as in "
        "https://user:${NAME}@host/repository.git with DRAY_SECRET_NAME set for their agents, or "
        "leave it out and set DRAY_SECRET_GIT_<HOST>",
        field="execution.repository",
    )


def _is_secret(password: str) -> bool:
    return bool(password) and _REFERENCE.fullmatch(password) is None
