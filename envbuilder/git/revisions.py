"""Which commit a task means: a hash, a branch, a tag, a pull request, or the remote's own head."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FULL_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HASH = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Revision:
    """What is asked for.

    Attributes:
        name: as the task says it; empty: the remote's head.
        noun: the field that says it, ``commit`` or ``branch``.
        refs: names of refs that it can mean, the likeliest first.
        hash: it can mean the commit with this id, or one whose id begins so; empty: it cannot.
    """

    name: str
    noun: str
    refs: tuple[str, ...]
    hash: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether it is one commit, whatever becomes of any branch."""
        return _FULL_HASH.fullmatch(self.hash) is not None


def read_revision(commit: str, branch: str) -> Revision:
    """What ``commit`` says, else ``branch``, which may also be a tag or a pull request's ref."""
    commit, branch = commit.strip(), branch.strip()
    name, noun = (commit, "commit") if commit else (branch, "branch")
    if not name:
        return Revision("", "branch", ("HEAD",))
    lower = name.lower()
    refs = _refs_of(name, prefer_tags=bool(commit))
    return Revision(name, noun, refs, lower if _HASH.fullmatch(lower) else "")


def _refs_of(name: str, *, prefer_tags: bool) -> tuple[str, ...]:
    if name == "HEAD":
        return ("HEAD",)
    if name.startswith("refs/"):
        return (name,)
    kinds = ("tags", "heads") if prefer_tags else ("heads", "tags")
    refs = [f"refs/{kind}/{name}" for kind in kinds]
    if "/" in name:  # pull/12/head, merge-requests/12/head, tags/v1, heads/main
        refs.append(f"refs/{name}")
        first, _, rest = name.partition("/")
        if first in ("origin", "remotes"):
            refs.append(f"refs/heads/{rest.removeprefix('origin/')}")
    return tuple(refs)


def found_in(listing: str, refs: tuple[str, ...]) -> tuple[str, str]:
    """Name and commit of the first of ``refs`` in what ``git ls-remote`` printed; else empty.

    An annotated tag is an object of its own; the commit it is about has ``^{}`` after its name.
    """
    ids: dict[str, str] = {}
    for line in listing.splitlines():
        id_, _, name = line.partition("\t")
        ids[name.strip()] = id_
    for ref in refs:
        if ref in ids:
            return ref, ids.get(f"{ref}^{{}}", ids[ref])
    return "", ""
