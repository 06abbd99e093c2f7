"""What of the node's configuration of pip an environment's pip may know."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.secrets import Secrets

#: How packages are reached. Everything else that a ``pip.conf`` or a variable may say (``target``,
#: ``user``, ``constraint``, ``no-deps`` …) would make another environment than the task asks for.
_ALLOWED = frozenset(
    {
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "trusted-host",
        "cert",
        "client-cert",
        "proxy",
        "retries",
        "timeout",
        "default-timeout",
        "cache-dir",
        "keyring-provider",
        "only-binary",
        "no-binary",
        "use-feature",
    }
)
_INDEXES = frozenset({"index-url", "extra-index-url", "no-index"})
#: Sections that count for ``pip install``, each over the one before; the last is pip's variables.
_SECTIONS = ("global", "install", ":env:")


def pip_variables(
    installer: Mapping[str, str], listing: str, spec: EnvironmentSpec, secrets: Secrets
) -> dict[str, str]:
    """Variables for ``pip install``: the installer's, and of pip's configuration what is allowed.

    As variables, because arguments are visible to every user of the machine and a URL may carry a
    password.

    Args:
        listing: what ``pip config list`` printed with the variables of ``installer``.
        spec: its indexes take the place of the node's own, its links come on top.
    """
    # An empty first one stands for the node's own.
    default, *extra = [secrets.in_url(url) for url in spec.index_urls] or [""]
    links = [secrets.in_url(_in_code(link, spec.code)) for link in spec.find_links]
    env = {name: value for name, value in installer.items() if not name.startswith("PIP_")}
    for key, value in _allowed(listing):
        if not (default and key in _INDEXES):
            env[f"PIP_{key.replace('-', '_').upper()}"] = value
    if default:
        env["PIP_INDEX_URL"] = default
    _add(env, "PIP_EXTRA_INDEX_URL", [*extra, *torch_indexes(spec.torch_backend)])
    _add(env, "PIP_FIND_LINKS", links)
    env["PIP_CONFIG_FILE"] = os.devnull  # then pip reads no file at all
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env["PIP_NO_INPUT"] = "1"
    return env


def _add(env: dict[str, str], name: str, values: list[str]) -> None:
    together = " ".join(filter(None, [env.get(name, ""), *values]))
    if together:
        env[name] = together


def torch_indexes(backend: str) -> list[str]:
    """Where the builds of PyTorch for ``backend`` are; pip, unlike uv, has to be told."""
    return [f"https://download.pytorch.org/whl/{backend}"] if backend else []


def _in_code(link: str, code: Path | None) -> str:
    """A folder of the code by its full path, anything else as it is."""
    if "://" not in link and code is not None:
        return str(code / link)
    return link


def _allowed(listing: str) -> Iterator[tuple[str, str]]:
    """The settings of ``listing`` that an environment's pip may know, those that win last."""
    found = [_parsed(line) for line in listing.splitlines() if "=" in line]
    for section in _SECTIONS:
        for name, value in found:
            place, _, key = name.rpartition(".")
            if place == section and key in _ALLOWED:
                yield key, value


def _parsed(line: str) -> tuple[str, str]:
    """``global.index-url='https://…'``, with the value as Python writes it."""
    name, _, written = line.partition("=")
    try:
        return name.strip(), str(ast.literal_eval(written.strip()))
    except (ValueError, SyntaxError):  # an older pip writes it plainly
        return name.strip(), written.strip()
