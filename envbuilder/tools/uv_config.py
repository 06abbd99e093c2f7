"""What of a node's ``uv.toml`` counts: how packages are reached, and nothing else.

``target = …`` or ``no-deps = true`` there would leave an environment empty, or half of it out,
without a word. So ``uv pip`` runs without configuration files, and with variables in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dray.envbuilder.choice.projects import read_toml

#: Variable for each setting, and what stands between several values.
_VARIABLES = {
    "index-url": ("UV_INDEX_URL", " "),
    "extra-index-url": ("UV_EXTRA_INDEX_URL", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "index-strategy": ("UV_INDEX_STRATEGY", ""),
    "keyring-provider": ("UV_KEYRING_PROVIDER", ""),
    "allow-insecure-host": ("UV_INSECURE_HOST", " "),
    "native-tls": ("UV_NATIVE_TLS", ""),
    "system-certs": ("UV_SYSTEM_CERTS", ""),
    "cache-dir": ("UV_CACHE_DIR", ""),
    "link-mode": ("UV_LINK_MODE", ""),
    "offline": ("UV_OFFLINE", ""),
}
_SYSTEM_FILE = Path("/etc/uv/uv.toml")


def with_node_config(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` with what the node's configuration files of uv say of reaching packages.

    Variables win over files, the user's file over the system's.

    Raises:
        PreparationFailed: one of them is not valid TOML.
    """
    if env.get("UV_NO_CONFIG"):
        return dict(env)
    found: dict[str, str] = {}
    for path in (_SYSTEM_FILE, _user_file(env)):
        try:
            text = path.read_text("utf-8")
        except OSError:
            continue  # there is none, or none for us
        found.update(_variables(read_toml(text, str(path))))
    return {**found, **env}


def without_config(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` for a run of uv that reads no configuration file at all."""
    rest = {name: value for name, value in env.items() if name != "UV_CONFIG_FILE"}
    return {**rest, "UV_NO_CONFIG": "1"}


def _user_file(env: Mapping[str, str]) -> Path:
    if named := env.get("UV_CONFIG_FILE"):
        return Path(named)
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "/")) / ".config")
    return Path(base) / "uv" / "uv.toml"


def _variables(table: Mapping[str, Any]) -> dict[str, str]:
    found = _indexes(table.get("index"))
    for settings in (table, table.get("pip")):
        if not isinstance(settings, dict):
            continue
        for name, value in cast("dict[str, Any]", settings).items():
            if name in _VARIABLES:
                variable, between = _VARIABLES[name]
                found[variable] = between.join(_texts(value))
    return found


def _indexes(tables: Any) -> dict[str, str]:
    """``[[index]]``: the default and the others; one for named packages alone is of a project."""
    default: list[str] = []
    others: list[str] = []
    for table in cast("list[dict[str, Any]]", tables if isinstance(tables, list) else []):
        if "url" in table and not table.get("explicit"):
            name = f"{table['name']}=" if table.get("name") else ""
            (default if table.get("default") else others).append(f"{name}{table['url']}")
    found = {"UV_DEFAULT_INDEX": default[0]} if default else {}
    return {**found, "UV_INDEX": " ".join(others)} if others else found


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in cast("list[Any]", value)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]
