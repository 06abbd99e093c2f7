"""A repository as users name it: the URL of a remote, or the folder of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.sdk.capture import checkout


def members_of(repo: str | None, branch: str | None, commit: str | None) -> dict[str, Any]:
    """Members of ``Execution`` for a repository; what is None is not in it.

    Args:
        repo: URL, folder of a checkout, or empty for none.
        branch: of a remote.
        commit: of a remote.

    Raises:
        InvalidInput: the folder is no checkout, or has no remote.
    """
    if repo and is_folder(repo):
        return _of_folder(Path(repo).expanduser())
    given = {"repository": repo, "branch": branch, "commit": commit}
    return {name: str(value) for name, value in given.items() if value is not None}


def is_folder(repo: str) -> bool:
    """Whether ``repo`` is a folder here, and no URL."""
    return "://" not in repo and Path(repo).expanduser().is_dir()


def _of_folder(folder: Path) -> dict[str, Any]:
    try:
        found = checkout.open_at(folder.resolve())
        changes = checkout.diff(found) if found is not None else ""
    except checkout.GitFailed as exc:
        raise InvalidInput(f"git cannot read {folder}: {exc}", field="repo") from exc
    if found is None or not found.url:
        problem = "is no git checkout" if found is None else "has no remote"
        raise InvalidInput(
            f"{folder} {problem}; give the URL of a repository", field="repo", value=str(folder)
        )
    return {
        "repository": found.url,
        "branch": found.branch,
        "commit": found.commit,
        "diff": changes,
    }
