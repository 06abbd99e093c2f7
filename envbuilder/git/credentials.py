"""Who a node is to a git host: a secret of the node, handed to git by variables alone.

What the node's git knows by itself (ssh keys and agent, ``~/.netrc``, credential helpers) is used
as it is; a secret named after the host goes before it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import quote

from dray.envbuilder.failures import never_show, source_failed
from dray.envbuilder.git.remotes import Remote, read_remote, rewritten
from dray.envbuilder.tools.secrets import secrets_folder
from dray.envbuilder.tools.surroundings import CLEARML_GIT, agent_variables
from dray.runtime.config import SECRET_PREFIX

#: What a host that takes tokens is told as user: most take any.
_ANY_USER = "git"
#: What stands as the user of an address and is this long is a token.
_SHORTEST_TOKEN = 20
_REFERENCE = re.compile(r"\$\{(\w+)\}")
_USER, _TOKEN = "DRAY_GIT_USER", "DRAY_GIT_TOKEN"
#: A credential helper in git's own words; what it says is in variables of the process alone.
_HELPER = (
    '!f() { test "$1" != get || '
    f"""printf 'username=%s\\npassword=%s\\n' "${_USER}" "${_TOKEN}"; }}; f"""
)

Secrets = Callable[[str], str]


@dataclass(frozen=True)
class Access:
    """How git is to reach one remote.

    Attributes:
        remote: where it is asked for, without any secret.
        variables: for the environment of git, and of nobody else.
        origin: what gave the credentials, as a person would set it; empty: git's own.
    """

    remote: Remote
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    origin: str = ""


def node_secret(name: str) -> str:
    """The secret ``name`` of this node, as ``${NAME}`` means it; empty: it has none.

    Raises:
        PreparationFailed: there is one that cannot be read.
    """
    agent = agent_variables()
    path = secrets_folder(agent) / name
    try:
        return agent.get(f"{SECRET_PREFIX}{name}", "").strip() or path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise source_failed(f"the secret {name} cannot be read: {path}: {exc}") from exc


def access_to(remote: Remote, rules: Mapping[str, str], secrets: Secrets = node_secret) -> Access:
    """How to reach ``remote``: over which protocol, and as whom.

    A host that has a token is asked over https also where the address says ssh, unless a rule
    says otherwise: that is what the token is for.

    Raises:
        PreparationFailed: the address names a secret that this node has not, or it has one and
            would have to send it unencrypted.
    """
    remote = _with_secrets(remote, secrets)
    target = rules.get(remote.host) or rules.get(remote.site, "")
    turned = rewritten(remote, target)
    if turned.is_ssh and not target and _secret_of(turned, secrets):
        turned = rewritten(turned, "https")
    if not turned.is_web:
        return Access(replace(turned, password=""))
    user, token, origin = turned.user, turned.password, "the address of the repository"
    if not token and (found := _secret_of(turned, secrets)):
        name, token, origin = found
        user = name or user or _ANY_USER
    clean = replace(turned, user="", password="")
    if not token:
        if len(user) >= _SHORTEST_TOKEN:
            never_show(user)
        return Access(clean, _user_variables(clean, user))
    if turned.scheme == "http" and not _is_loopback(turned.host):
        raise source_failed(
            f"{clean.url} would get the credentials of {origin} unencrypted; use https (setting "
            f"git_rewrite = {clean.site}=https)",
            field="execution.repository",
        )
    _hide(user, token)
    return Access(clean, _token_variables(clean, user, token), origin)


def secret_name(remote: Remote) -> str:
    """What the secret for a host is called: ``GIT_GITHUB_COM``."""
    return "GIT_" + re.sub(r"[^A-Z0-9]", "_", remote.site.upper())


def _with_secrets(remote: Remote, secrets: Secrets) -> Remote:
    """``remote`` with the values of the ``${NAME}`` in its user and password."""

    def value(match: re.Match[str]) -> str:
        found = secrets(match[1])
        if not found:
            raise source_failed(
                f"the address of the repository refers to the secret {match[0]}, which this node "
                f"does not have; set the variable {SECRET_PREFIX}{match[1]} where its agent is "
                f"started, or write the value into {secrets_folder(agent_variables()) / match[1]}",
                field="execution.repository",
            )
        return found

    if _REFERENCE.search(remote.host + remote.path):
        raise source_failed(
            "a secret can stand for the user or the password of a repository's address, as in "
            "https://${USER}:${TOKEN}@host/name.git, and for nothing else of it",
            field="execution.repository",
        )
    return replace(
        remote,
        user=_REFERENCE.sub(value, remote.user),
        password=_REFERENCE.sub(value, remote.password),
    )


def _secret_of(remote: Remote, secrets: Secrets) -> tuple[str, str, str] | None:
    """User, token and origin that the node has for a host; user may be empty."""
    name = secret_name(remote)
    for each in (f"{name}_{remote.port}", name) if remote.port else (name,):
        if found := secrets(each):
            user, colon, token = found.partition(":")
            origin = f"{SECRET_PREFIX}{each}"
            return (user, token, origin) if colon else ("", found, origin)
    agent = agent_variables()
    for prefix in CLEARML_GIT:
        host, token = agent.get(f"{prefix}HOST", ""), agent.get(f"{prefix}PASS", "")
        if token and host and read_remote(f"https://{host}").host in (remote.host, remote.site):
            return agent.get(f"{prefix}USER", ""), token, f"{prefix}PASS"
    return None


def _token_variables(remote: Remote, user: str, token: str) -> dict[str, str]:
    """The helpers of the node are left out: they would be told to keep the token."""
    key = f"credential.{remote.scheme}://{remote.address}.helper"
    return {_USER: user, _TOKEN: token, **_configured([(key, ""), (key, _HELPER)])}


def _user_variables(remote: Remote, user: str) -> dict[str, str]:
    key = f"credential.{remote.scheme}://{remote.address}.username"
    return _configured([(key, user)]) if user else {}


def _configured(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Settings of git as variables, after those that the agent may have there already."""
    before = agent_variables().get("GIT_CONFIG_COUNT", "")
    first = int(before) if before.isdigit() else 0
    variables = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for n, (key, value) in enumerate(settings, first):
        variables[f"GIT_CONFIG_KEY_{n}"] = key
        variables[f"GIT_CONFIG_VALUE_{n}"] = value
    return variables


def _hide(user: str, token: str) -> None:
    """Keep a token out of every log, in each form that it could be printed in."""
    basic = base64.b64encode(f"{user}:{token}".encode()).decode()
    never_show(token, quote(token, safe=""), basic)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
