"""What is installed beside an interpreter: a script for any Python, given as text to ``-c``.

It imports the standard library only and keeps to a syntax that an old Python can read.
"""

from __future__ import annotations

import json
import os
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def lines() -> list[str]:
    """Requirement lines of everything on the path, by name; what came from a URL says so.

    Packages of conda are as conda names them, and what pip added to them is marked ``pip:``.
    """
    found, of_conda = _conda(os.path.join(sys.prefix, "conda-meta"))
    marked = "pip: " if found else ""
    for folder in sys.path:
        try:
            names = os.listdir(folder)
        except OSError:
            continue  # an archive, or not there
        for name in sorted(names):
            if name.endswith((".dist-info", ".egg-info")) and name not in of_conda:
                project, line = _line(os.path.join(folder, name))
                if project:
                    found.setdefault(project, marked + line)  # the first on the path is imported
    return [found[project] for project in sorted(found)]


def _conda(records: str) -> tuple[dict[str, str], set[str]]:
    """``CHANNEL::NAME=VERSION=BUILD`` by name, and the metadata folders that conda installed."""
    found: dict[str, str] = {}
    folders: set[str] = set()
    for name in sorted(os.listdir(records)) if os.path.isdir(records) else []:
        if not name.endswith(".json"):
            continue
        with open(os.path.join(records, name), encoding="utf-8") as file:
            facts: dict[str, Any] = json.load(file)
        channel = str(facts.get("channel") or "").rstrip("/")
        for ending in ("/" + str(facts.get("subdir")), "/noarch"):
            if channel.endswith(ending):
                channel = channel[: -len(ending)]
        channel = channel.replace("https://conda.anaconda.org/", "")
        spec = "{}={}={}".format(facts["name"], facts["version"], facts["build"])
        found[str(facts["name"])] = f"{channel}::{spec}" if channel else spec
        files: list[str] = facts.get("files") or []
        for path in files:
            info = os.path.basename(os.path.dirname(path))
            if info.endswith((".dist-info", ".egg-info")):
                folders.add(info)
    return found, folders


def _line(info: str) -> tuple[str, str]:
    """Normalised name and requirement line of the distribution with this metadata."""
    facts = _metadata(info)
    name, version = facts.get("name", ""), facts.get("version", "")
    url = _origin(info)
    line = f"{name} @ {url}" if url else f"{name}=={version}"
    return name.lower().replace("_", "-").replace(".", "-"), line


def _metadata(info: str) -> dict[str, str]:
    """Name and version, from the head of the first file that has them."""
    for file in (os.path.join(info, "METADATA"), os.path.join(info, "PKG-INFO"), info):
        try:
            with open(file, encoding="utf-8") as rows:
                return _head(rows)
        except (OSError, ValueError):
            continue  # then the next
    return {}


def _head(rows: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        if not row.strip():
            break  # the description follows
        key, _, value = row.partition(":")
        if key.lower() in ("name", "version"):
            found.setdefault(key.lower(), value.strip())
    return found


def _origin(info: str) -> str:
    """The exact URL it was installed from (PEP 610); empty: it came from an index."""
    try:
        with open(os.path.join(info, "direct_url.json"), encoding="utf-8") as file:
            facts: dict[str, Any] = json.load(file)
        url = str(facts["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    vcs = facts.get("vcs_info")
    if vcs:
        url = f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}"
    archive: dict[str, Any] = facts.get("archive_info") or {}
    hashes: dict[str, str] = archive.get("hashes") or {}
    fragments: list[str] = [f"sha256={hashes['sha256']}"] if "sha256" in hashes else []
    if facts.get("subdirectory"):
        fragments.append(f"subdirectory={facts['subdirectory']}")
    return url + ("#" + "&".join(fragments) if fragments and "#" not in url else "")


if __name__ == "__main__":
    facts = {
        "version": sys.version.split()[0],  # as ``platform`` has it, which takes long to import
        "installed": lines(),
        "folders": site.getsitepackages(),
    }
    print(json.dumps(facts))
