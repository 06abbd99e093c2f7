"""Failures of a preparation: typed, with the tool's last lines, and without credentials."""

from __future__ import annotations

import re
from typing import Any

from dray.runtime.causes import EVIDENCE_LIMIT_BYTES, CauseKind
from dray.runtime.errors import PreparationFailed

_USER_INFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^/\s'\"]+)@", re.IGNORECASE)
_REFERENCE = re.compile(r"([\w.-]+:)?\$\{[A-Z0-9_]+\}(:[\w.-]*)?")

#: Values that this process was told and that nobody may read.
_hidden: set[str] = set()
#: Shorter ones are user names, and occur in every other word.
_SHORTEST_HIDDEN = 4


def never_show(*values: str) -> None:
    """Have :func:`redact` replace ``values`` from now on, wherever they occur."""
    _hidden.update(value for value in values if len(value) >= _SHORTEST_HIDDEN)


def redact(text: str) -> str:
    """``text`` with known secrets and the credentials of every URL replaced by ``***``.

    The user name of an ``ssh://`` URL stays: it is ``git``, and no secret. So does a reference to a
    secret, ``user:${NAME}``, which says how it is to be written.
    """
    for value in sorted(_hidden, key=len, reverse=True):  # one may be a part of another
        text = text.replace(value, "***")
    return _USER_INFO.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    is_ssh = match["scheme"].lower().endswith("ssh://")
    if (is_ssh and ":" not in match["user"]) or _REFERENCE.fullmatch(match["user"]):
        return match[0]
    return f"{match['scheme']}***@"


def without_credentials(url: str) -> str:
    """``url`` itself, as anybody may see it."""
    return _USER_INFO.sub(lambda m: _hide(m).replace("***@", ""), url)


def last_lines(text: str) -> str:
    """The end of ``text``, redacted, in at most the bytes that evidence may have."""
    tail = redact(text.strip()).encode("utf-8", "replace")[-EVIDENCE_LIMIT_BYTES:]
    return tail.decode("utf-8", "ignore")


def environment_failed(message: str, evidence: str = "", **details: Any) -> PreparationFailed:
    """The error of an environment that could not be made."""
    return _failed(CauseKind.ENVIRONMENT_FAILED, message, evidence, details)


def source_failed(message: str, evidence: str = "", **details: Any) -> PreparationFailed:
    """The error of code that could not be laid out."""
    return _failed(CauseKind.SOURCE_FAILED, message, evidence, details)


def _failed(
    kind: CauseKind, message: str, evidence: str, details: dict[str, Any]
) -> PreparationFailed:
    return PreparationFailed(
        redact(message), kind=kind.value, evidence=last_lines(evidence), **details
    )
