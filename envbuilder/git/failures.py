"""What git says when it cannot reach a repository, and what whoever runs the node can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dray.envbuilder.git.credentials import Access, secret_name
from dray.runtime.config import SECRET_PREFIX

_NO_LOGIN = re.compile(
    r"could not read (?:Username|Password)|terminal prompts disabled|Authentication failed"
    r"|HTTP Basic: Access denied|returned error: 40[13]|Invalid username or (?:password|token)",
    re.IGNORECASE,
)
_NO_KEY = re.compile(r"Permission denied \(|Too many authentication failures")
_CHANGED_HOST_KEY = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|Offending \w+ key")
_UNKNOWN_HOST_KEY = re.compile(r"Host key verification failed|No \w+ host key is known")
_NO_HOST = re.compile(
    r"Could not resolve host|Name or service not known|Temporary failure in name resolution"
)
_NO_ANSWER = re.compile(
    r"Connection refused|Connection timed out|Operation timed out|No route to host"
    r"|Network is unreachable|Failed to connect|Operation too slow|Connection reset",
    re.IGNORECASE,
)
_NO_REPOSITORY = re.compile(
    r"[Rr]epository .*not found|does not appear to be a git repository|returned error: 404"
    r"|not found: did you run git update-server-info|repository '.*' not found"
)
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded")
_NO_TRUST = re.compile(r"SSL certificate problem|server certificate verification failed")
_NO_SSH = re.compile(r"cannot run .*ssh|ssh: not found|ssh: command not found")
#: What git says of a repository on this disk whose files are damaged.
_DAMAGED = re.compile(
    r"is empty$|is corrupt|bad object|unable to read|bad config|inflate|not a git repository"
    r"|does not point to a valid object|missing (?:blob|tree|commit|object)|packfile|bad signature"
    r"|Could not read [0-9a-f]{40}|did not send all necessary objects|unable to find [0-9a-f]{40}"
    r"|invalid object|index file .* is too small|non-monotonic index|object file|unresolved deltas",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Case:
    seen: re.Pattern[str]
    sentence: str


_CASES = (
    _Case(
        _NO_ROOM,
        "{url}: the disk that has this node's cache (setting cache) is full; remove what nobody "
        "uses with `dray env prune`, or have the cache elsewhere",
    ),
    _Case(
        _NO_TRUST,
        "{url}: this node does not trust the certificate of {address}; give its agents "
        "GIT_SSL_CAINFO, a file with the certificate of whoever signed it",
    ),
    _Case(
        _CHANGED_HOST_KEY,
        "{url}: the ssh key of {address} is not the one in this node's known_hosts: somebody is in "
        "between, or the host has a new key; compare it with what the host publishes, then, as the "
        "agent's user, `ssh-keygen -R {known}` and `ssh-keyscan {scan} >> ~/.ssh/known_hosts`",
    ),
    _Case(
        _UNKNOWN_HOST_KEY,
        "{url}: this node does not know the ssh key of {address}; compare what "
        "`ssh-keyscan {scan}` prints with what the host publishes, and append it to "
        "~/.ssh/known_hosts of the agent's user",
    ),
    _Case(
        _NO_KEY,
        "{url}: {address} takes none of this node's ssh keys; give the agent's user a key that "
        "may read it (ssh-agent with SSH_AUTH_SOCK, or ~/.ssh), or a token in {variable}, which "
        "is then used over https",
    ),
    _Case(_NO_SSH, "{url}: ssh is not installed on this node; install it, or {token_way}"),
    _Case(_NO_LOGIN, "{login}"),
    _Case(_NO_HOST, "{url}: this node does not find {address}; see the address, and its DNS"),
    _Case(
        _NO_ANSWER,
        "{url}: {address} does not answer this node; see the address, a firewall or a proxy",
    ),
    _Case(_NO_REPOSITORY, "{absent}"),
)


def why_unreachable(access: Access, said: str) -> str:
    """One sentence for what git ``said`` when it could not fetch, with the way out."""
    remote = access.remote
    variable = f"{SECRET_PREFIX}{secret_name(remote)}" if remote.host else ""
    token_way = f"set {variable} to a token that may read it where the node's agents are started"
    if access.origin:
        login = f"{remote.address} refuses the credentials of {access.origin} for {remote.url}"
        absent = f"{remote.url} is not there, or the credentials of {access.origin} may not read it"
    else:
        login = (
            f"{remote.url} asks who wants to read it, and this node has no credentials for it; "
            f"{token_way} (token or user:token), or give their user a line in ~/.netrc"
        )
        absent = f"{remote.url} is not there, or not for this node"
        absent += f"; for a private one {token_way}" if remote.is_web else ""
    for case in _CASES:
        if case.seen.search(said):
            return case.sentence.format(
                address=remote.address,
                url=remote.url,
                known=f"'[{remote.host}]:{remote.port}'" if remote.port else remote.host,
                scan=f"-p {remote.port} {remote.host}" if remote.port else remote.host,
                variable=variable,
                token_way=token_way,
                login=login,
                absent=absent,
            )
    return (
        f"{remote.url} could not be fetched; see whether this node reaches it and has "
        "credentials that may read it"
    )


def is_damage(said: str) -> bool:
    """Whether git may be speaking of files on this disk that are broken.

    It can do so in passing, and fetch again what it cannot read.
    """
    ours = (line for line in said.splitlines() if line.startswith(("error:", "fatal:", "missing")))
    return any(_DAMAGED.search(line) for line in ours)
