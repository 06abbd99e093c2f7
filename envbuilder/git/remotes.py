"""Addresses of git repositories: read, and turned from ssh into https or back, host by host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from dray.runtime.errors import InvalidInput

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^/@]*(?:@[^/@]*)*)@)?"
    r"(?P<host>\[[^\]/]*\]|[^/:]*)(?::(?P<port>\d*))?(?P<path>/.*)?$",
    re.IGNORECASE,
)
#: ``git@host:group/name.git``: no slash before the colon, and more than a drive letter.
_SCP = re.compile(r"(?:(?P<user>[^/@:]+)@)?(?P<host>\[[^\]]+\]|[^/:@]{2,}):(?P<path>(?!//).*)$")

_SSH, _WEB = ("ssh", "git+ssh", "ssh+git"), ("https", "http")
#: Hosts whose ssh server has another name: {ssh name: name}.
_SSH_HOSTS = {
    "ssh.dev.azure.com": "dev.azure.com",
    "altssh.gitlab.com": "gitlab.com",
    "ssh.github.com": "github.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
_AZURE_WEB = re.compile(r"/(?P<org>[^/]+)/(?P<project>[^/]+)/_git/(?P<name>[^/]+?)/?$")
_AZURE_SSH = re.compile(r"/v3/(?P<org>[^/]+)/(?P<project>[^/]+)/(?P<name>[^/]+?)/?$")


@dataclass(frozen=True)
class Remote:
    """Where a repository is.

    Attributes:
        scheme: ``https``, ``http``, ``ssh``, ``git``, ``file`` …; empty: a path of this machine.
        host: in lower case; empty: this machine.
        port: empty: the scheme's own.
        user: to log in as.
        password: that was in the address, which it should not be.
        path: with a leading slash where there is a host.
        is_short: written as ``host:path``, whose path begins in the user's home.
    """

    scheme: str
    host: str
    path: str
    port: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    is_short: bool = False

    @property
    def is_ssh(self) -> bool:
        """Whether ssh is asked."""
        return self.scheme in _SSH

    @property
    def is_web(self) -> bool:
        """Whether a web server is asked."""
        return self.scheme in _WEB

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.scheme in ("", "file")

    @property
    def site(self) -> str:
        """The host as people call it: what rules and credentials are looked up by."""
        return _SSH_HOSTS.get(self.host, self.host)

    @property
    def address(self) -> str:
        """Host, and the port where one is given."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def url(self) -> str:
        """What git is given: without any secret, and with a user for ssh only."""
        if not self.scheme:
            return self.path
        user = f"{quote(self.user)}@" if self.user and self.is_ssh else ""
        if self.is_short:
            return f"{user}{self.host}:{self.path.removeprefix('/')}"
        return f"{self.scheme}://{user}{self.address}{self.path}"


def read_remote(text: str) -> Remote:
    """``text`` as git would understand it; what is neither URL nor ``host:path`` is a path."""
    text = text.strip()
    if found := _URL.match(text):
        user, _, password = (found["user"] or "").partition(":")
        return Remote(
            scheme=found["scheme"].lower(),
            host=found["host"].lower(),
            path=found["path"] or "",
            port=found["port"] or "",
            user=unquote(user),
            password=unquote(password),
        )
    if "::" not in text and not text.startswith(("/", ".")) and (found := _SCP.match(text)):
        path = found["path"]
        return Remote(
            scheme="ssh",
            host=found["host"].lower(),
            path=path if path.startswith("/") else f"/{path}",
            user=found["user"] or "",
            is_short=not path.startswith("/"),
        )
    return Remote(scheme="", host="", path=text)


def relative_to(parent: Remote, url: str) -> Remote:
    """The remote that a submodule's ``url`` means, which may be ``../other.git``.

    Raises:
        InvalidInput: it climbs past the parent's host.
    """
    if not url.startswith(("./", "../")):
        return read_remote(url)
    parts = parent.path.rstrip("/").split("/")
    for part in url.split("/"):
        if part == "..":
            if len(parts) < 2:
                raise InvalidInput(f"submodule URL {url!r} leads out of {parent.url}", field="url")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return replace(parent, path="/".join(parts))


def read_rules(text: str) -> dict[str, str]:
    """``{host: https, ssh, or the beginning of a URL}`` of the setting ``git_rewrite``.

    Raises:
        InvalidInput: a part that is no such rule.
    """
    rules: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        host, separator, target = (word.strip() for word in part.partition("="))
        known = target in ("https", "ssh") or read_remote(target).scheme in (*_SSH, *_WEB)
        if not (host and separator and known):
            raise InvalidInput(
                f"git_rewrite: {part!r} is no rule; write host=https, host=ssh, or "
                "host=ssh://git@host:2222",
                field="git_rewrite",
                value=part,
            )
        rules[host.lower()] = target
    return rules


def rewritten(remote: Remote, target: str) -> Remote:
    """``remote`` over ``https``, ``ssh``, or at the beginning of a URL that ``target`` is."""
    if remote.is_local or not target:
        return remote
    if target == "https":
        return remote if remote.is_web else _over_https(remote)
    if target == "ssh":
        return remote if remote.is_ssh else _over_ssh(remote)
    base = read_remote(target)
    turned = _over_ssh(remote) if base.is_ssh else _over_https(remote)
    return replace(
        turned,
        scheme=base.scheme,
        host=base.host,
        port=base.port,
        user=base.user or turned.user,
        path=base.path.rstrip("/") + turned.path,
        is_short=False,
    )


def _over_https(remote: Remote) -> Remote:
    if remote.is_web:
        return remote
    path = remote.path
    if remote.site == "dev.azure.com" and (found := _AZURE_SSH.match(path)):
        path = f"/{found['org']}/{found['project']}/_git/{found['name']}"
    return Remote(scheme="https", host=remote.site, path=path)


def _over_ssh(remote: Remote) -> Remote:
    if remote.is_ssh:
        return remote
    path, host = remote.path, remote.host
    if host == "dev.azure.com" and (found := _AZURE_WEB.match(path)):
        path, host = f"/v3/{found['org']}/{found['project']}/{found['name']}", "ssh.dev.azure.com"
    return Remote(scheme="ssh", host=host, path=path, user="git")
