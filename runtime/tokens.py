"""Bearer tokens: the server's own, and tokens that stand for one attempt of one task."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from dray.runtime.errors import StoreUnusable
from dray.runtime.folders import sync_folder

_TASK_TOKEN = re.compile(r"dt_([0-9a-f]{32})\.(0|[1-9][0-9]{0,8})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class TaskScope:
    """What a task token stands for: writes for this attempt of this task."""

    task_id: str
    epoch: int


def mint_task_token(secret: str, task_id: str, epoch: int) -> str:
    """A token that anybody who has ``secret`` can check, and nobody else can make."""
    return f"dt_{task_id}.{epoch}.{_mac(secret, task_id, epoch)}"


def verify(secret: str, token: str) -> TaskScope | None:
    """The attempt a task token stands for; None when it was not minted with ``secret``."""
    match = _TASK_TOKEN.fullmatch(token)
    if match is None:
        return None
    task_id, epoch = match.group(1), int(match.group(2))
    if not hmac.compare_digest(match.group(3), _mac(secret, task_id, epoch)):
        return None
    return TaskScope(task_id, epoch)


def matches(secret: str, token: str) -> bool:
    """Whether ``token`` is the server's own, compared in constant time."""
    return hmac.compare_digest(secret.encode(), token.encode())


def read_or_create(path: Path) -> str:
    """The token kept in ``path``, made with mode 0600 when it is not there.

    Two processes that make it at once get the same one.

    Raises:
        StoreUnusable: the file cannot be read or made, or is empty.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path, secrets.token_urlsafe(32))
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise StoreUnusable(f"the token in {path} cannot be read or made: {exc}") from exc
    if not token:
        raise StoreUnusable(f"the token in {path} is empty; delete the file to get a new one")
    return token


def _create(path: Path, token: str) -> None:
    """Write aside, then link into place: whoever links first decides."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        aside.unlink()


def _mac(secret: str, task_id: str, epoch: int) -> str:
    text = f"dray task token {task_id}.{epoch}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
