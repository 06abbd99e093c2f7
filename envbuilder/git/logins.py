"""Requirements from git: their URLs without any secret, and variables that let git in.

An installer hands a git URL on to git as an argument, which every user of a machine can list. So
credentials are taken out of the URL, or are those that the node has for that host, and git is told
them by ``GIT_CONFIG_…`` variables, for that host alone.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

from dray.envbuilder.failures import never_show
from dray.envbuilder.git.credentials import access_to, node_secret
from dray.envbuilder.git.remotes import read_remote
from dray.envbuilder.tools.secrets import Secrets, names_in

_GIT_URL = re.compile(r"git\+(?P<url>(?:https?|ssh)://\S+)")


async def git_logins(
    lines: Iterable[str], secrets: Secrets, env: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """``lines`` for an installer, and the variables that its git needs.

    A host that the node has a token for (see ``credentials``) is asked over https also where a line
    says ssh, as it is for the code of tasks.

    Args:
        secrets: those that the lines refer to.
        env: what the installer has already.

    Raises:
        PreparationFailed: a secret that cannot be read, or would be sent unencrypted.
    """
    given = list(lines)
    if not any(_GIT_URL.search(line) for line in given):
        return given, {}
    headers: dict[str, str] = {}
    plain = await asyncio.to_thread(
        lambda: [_without_login(line, secrets, headers) for line in given]
    )
    return plain, _configured(headers, env)


async def lock_logins(urls: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """Variables that let git in to the repositories of a lock, which names them itself."""
    given = list(urls)
    if not given:
        return {}
    settings: dict[str, str] = {}
    lines = [f"git+{url}" for url in given]
    plain = await asyncio.to_thread(
        lambda: [_without_login(line, Secrets(), settings) for line in lines]
    )
    for before, after in zip(given, plain, strict=True):
        if after != f"git+{before}":
            settings[f"url.{after.removeprefix('git+')}.insteadOf"] = before
    return _configured(settings, env)


def _configured(settings: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """``settings`` of git as variables, after those that are in ``env``."""
    begin = int(env.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_CONFIG_COUNT": str(begin + len(settings))} if settings else {}
    for number, (setting, value) in enumerate(settings.items(), begin):
        variables[f"GIT_CONFIG_KEY_{number}"] = setting
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _without_login(line: str, secrets: Secrets, headers: dict[str, str]) -> str:
    found = _GIT_URL.search(line)
    if found is None:
        return line
    url = found["url"]
    if names_in([url]) and not url.startswith("ssh:"):
        login, site, plain = _told(url, secrets)
    else:
        access = access_to(read_remote(url), {}, node_secret)
        if "DRAY_GIT_TOKEN" not in access.variables:
            return line  # git's own ways in: keys, ~/.netrc, helpers
        login = f"{access.variables['DRAY_GIT_USER']}:{access.variables['DRAY_GIT_TOKEN']}"
        site, plain = f"{access.remote.scheme}://{access.remote.address}", access.remote.url
    encoded = base64.b64encode(login.encode()).decode()
    never_show(encoded)
    headers[f"http.{site}/.extraHeader"] = f"Authorization: Basic {encoded}"
    return f"{line[: found.start('url')]}{plain}{line[found.end('url') :]}"


def _told(url: str, secrets: Secrets) -> tuple[str, str, str]:
    """User and password, their site, and the URL without them, of one that refers to secrets."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = (unquote(part) for part in secrets.in_url(user).partition(":"))
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    return f"{name}:{password}", f"{parts.scheme}://{host}", plain
