"""Which submodules a work tree has, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.program import Git
from dray.envbuilder.git.remotes import Remote, relative_to, rewritten
from dray.envbuilder.tools.log import LogWriter, say

_LINK_MODE = "160000"


@dataclass(frozen=True)
class Submodule:
    """A folder of a work tree that is a commit of another repository.

    Attributes:
        path: relative to the work tree.
        commit: its full id.
        name: in ``.gitmodules``.
        url: as it is written there.
    """

    path: str
    commit: str
    name: str
    url: str


async def submodules_of(tree: Path, log: LogWriter) -> list[Submodule]:
    """The submodules of ``tree`` as its index has them, so with what a diff made of them.

    Raises:
        PreparationFailed: ``.gitmodules`` cannot be read.
    """
    if not (tree / ".gitmodules").is_file():
        return []
    git = Git(tree, log)
    listed = await git.ask("ls-files", "--stage", "-z")
    links = _links(listed or "")
    if not links:
        return []
    said = await git.ask("config", "--file", ".gitmodules", "--null", "--list")
    if said is None:
        raise source_failed(".gitmodules cannot be read", field="execution.repository")
    by_path = _by_path(said)
    found: list[Submodule] = []
    for path, commit in links.items():
        section = by_path.get(path, {})
        if section.get("update") == "none":
            say(log, f"submodule {path} is not wanted, says .gitmodules (update = none)")
        elif not section.get("url"):
            say(log, f"submodule {path} has no URL in .gitmodules; its folder stays empty")
        else:
            found.append(Submodule(path, commit, section["name"], section["url"]))
    return found


def remote_of(submodule: Submodule, parent: Remote) -> Remote:
    """Where a submodule is; what let its parent in lets it in at the same host.

    Raises:
        PreparationFailed: it would read this machine's files on behalf of another.
        InvalidInput: its URL climbs past the host.
    """
    if submodule.url.startswith("-"):
        raise source_failed(
            f"the URL of submodule {submodule.path} begins with a dash, which git would take for "
            "an option",
            field="execution.repository",
        )
    remote = relative_to(parent, submodule.url)
    if remote.is_local and not parent.is_local:
        raise source_failed(
            f"submodule {submodule.path} is at {submodule.url}, a path of the machine it was added "
            f"on; give it a URL in .gitmodules, such as one relative to {parent.url}",
            field="execution.repository",
        )
    if parent.is_web and parent.password and not remote.password and remote.site == parent.site:
        if remote.is_ssh:
            remote = replace(rewritten(remote, "https"), scheme=parent.scheme, port=parent.port)
        if remote.host == parent.host:
            remote = replace(remote, user=parent.user, password=parent.password)
    return remote


def folder_for(submodule: Submodule, tree: Path) -> Path:
    """Where to lay it out.

    Raises:
        PreparationFailed: that is not inside of ``tree``.
    """
    folder = tree / submodule.path
    root = tree.resolve()
    if folder.is_symlink() or not folder.resolve().is_relative_to(root) or folder == tree:
        raise source_failed(
            f"submodule {submodule.path!r} would be laid out outside of the code",
            field="execution.repository",
        )
    return folder


def _links(listed: str) -> dict[str, str]:
    """``{path: commit}`` of what ``git ls-files --stage -z`` printed."""
    links: dict[str, str] = {}
    for entry in filter(None, listed.split("\0")):
        facts, _, path = entry.partition("\t")
        mode, commit, _ = facts.split(" ")
        if mode == _LINK_MODE:
            links[path] = commit
    return links


def _by_path(said: str) -> dict[str, dict[str, str]]:
    """``{path: {key: value}}`` of what ``git config --null --list`` printed, with ``name``."""
    sections: dict[str, dict[str, str]] = {}
    for entry in filter(None, said.split("\0")):
        key, _, value = entry.partition("\n")
        first, _, rest = key.partition(".")
        name, _, member = rest.rpartition(".")
        if first == "submodule" and name:
            sections.setdefault(name, {"name": name})[member] = value
    return {section["path"]: section for section in sections.values() if "path" in section}
