"""What git knows of the user's code: root, remote, commit, branch, diff, files."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: The diff as ``git apply`` wants it, whatever the user's git is configured to print.
DIFF_OPTIONS = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--unified=3",
    "--inter-hunk-context=0",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "--binary",
)

#: English messages, no question on the terminal, no lock taken for a look.
_ENVIRONMENT = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


class GitFailed(Exception):
    """A git command failed; the message is its own last words."""


@dataclass(frozen=True)
class Checkout:
    """A working tree.

    Attributes:
        root: its top folder.
        url: of the remote the branch follows, else of ``origin``, else of the first one,
            without credentials; empty when there is none.
        commit: empty before the first commit.
        branch: the branch it follows at the remote, else its own name; empty when detached.
    """

    root: Path
    url: str = ""
    commit: str = ""
    branch: str = ""


def open_at(folder: Path) -> Checkout | None:
    """The working tree ``folder`` lies in; None when it lies in none.

    Raises:
        GitFailed: git is missing, or refuses this folder.
    """
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
    except GitFailed as exc:
        if "not a git repository" in str(exc).lower() or "work tree" in str(exc).lower():
            return None
        raise
    root = Path(top)
    branch = _asked(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    remote, merge = "", ""
    if branch:
        remote = _asked(root, "config", "--get", f"branch.{branch}.remote")
        merge = _asked(root, "config", "--get", f"branch.{branch}.merge")
    if remote in ("", "."):
        remotes = _asked(root, "remote").split()
        remote = "origin" if "origin" in remotes else next(iter(remotes), "")
        merge = ""
    url = _asked(root, "remote", "get-url", remote) if remote else ""
    return Checkout(
        root=root,
        url=without_credentials(url),
        commit=_asked(root, "rev-parse", "--verify", "--quiet", "HEAD"),
        branch=merge.removeprefix("refs/heads/") or branch,
    )


def diff(checkout: Checkout) -> str:
    """Uncommitted changes of tracked files against the commit (or nothing, before the first).

    Files whose text is not UTF-8 are given as binary patches, so that the diff is text.

    Raises:
        GitFailed: git could not make it.
    """
    base = checkout.commit or _git(checkout.root, "hash-object", "-t", "tree", os.devnull)
    arguments = ("diff", *DIFF_OPTIONS, base)
    try:
        return _git_bytes(checkout.root, *arguments).decode()
    except UnicodeDecodeError:
        with tempfile.TemporaryDirectory(prefix="dray-git-") as folder:
            attributes = Path(folder, "attributes")
            attributes.write_text("* -diff\n", "utf-8")
            output = _git_bytes(
                checkout.root, "-c", f"core.attributesFile={attributes}", *arguments
            )
        return output.decode("utf-8", "backslashreplace")


def is_published(checkout: Checkout) -> bool:
    """Whether a remote has the commit, as far as it was heard of, and nothing was changed since."""
    try:
        changed = _git(checkout.root, "status", "--porcelain", "--untracked-files=no")
        return not changed and bool(_git(checkout.root, "branch", "-r", "--contains", "HEAD"))
    except GitFailed:
        return False


def is_at_remote(checkout: Checkout) -> bool:
    """Whether a remote has the commit, as far as it was heard of."""
    try:
        ahead = _git(checkout.root, "rev-list", "-n", "1", "HEAD", "--not", "--remotes")
        return not ahead
    except GitFailed:
        return False


def tracked(root: Path) -> set[str]:
    """Names of the files that git tracks below ``root``, without those of submodules.

    Raises:
        GitFailed: git could not list them.
    """
    listed = _git_bytes(root, "ls-files", "-z", "-c")
    return {os.fsdecode(raw) for raw in listed.split(b"\0")}


def files(root: Path) -> list[str]:
    """Tracked files and untracked ones git does not ignore, relative to ``root``, with ``/``.

    Submodules and repositories nested in the tree are listed with their own files.

    Raises:
        GitFailed: git could not list them.
    """
    listed = _git_bytes(root, "ls-files", "-z", "-c", "-o", "--exclude-standard")
    top = os.fsdecode(root)
    found: dict[str, None] = {}
    for raw in listed.split(b"\0"):
        name = os.fsdecode(raw).rstrip("/")
        if not name:
            continue
        try:
            mode = os.lstat(f"{top}/{name}").st_mode
        except OSError:
            continue  # tracked, and deleted here
        if not stat.S_ISDIR(mode):
            found[name] = None
        elif os.path.exists(f"{top}/{name}/.git"):
            found.update(dict.fromkeys(f"{name}/{inner}" for inner in files(root / name)))
    return list(found)


def ignored_files(root: Path, pathspecs: list[str]) -> list[str]:
    """Untracked files below ``root`` that ``pathspecs`` name, whether git ignores them or not.

    Raises:
        GitFailed: git could not list them.
    """
    listed = _git_bytes(root, "ls-files", "-z", "-o", "--", *pathspecs)
    names = (os.fsdecode(raw) for raw in listed.split(b"\0"))
    return [name for name in names if name and not name.endswith("/")]


def without_credentials(url: str) -> str:
    """``url`` without password or token; the user name of ssh stays, ssh needs it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    user, at, address = host.rpartition("@")
    if at and scheme.lower() in ("ssh", "git+ssh"):
        address = f"{user.partition(':')[0]}@{address}"
    return f"{scheme}://{address}{slash}{path}"


def _git(folder: Path, *arguments: str) -> str:
    return os.fsdecode(_git_bytes(folder, *arguments)).strip()


def _asked(folder: Path, *arguments: str) -> str:
    """The answer to a question git may answer with "no": empty then."""
    try:
        return _git(folder, *arguments)
    except GitFailed:
        return ""


def _git_bytes(folder: Path, *arguments: str) -> bytes:
    # The program itself: importing gitpython for this costs more than all commands together.
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as exc:
        raise GitFailed(f"git is not usable here ({exc.strerror or exc})") from exc
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitFailed(said[0] if said else f"git {arguments[0]} exited with {done.returncode}")
    return done.stdout
