"""The captured code as a snapshot: which files belong to it, and sending those a server lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dray.runtime.config import Settings
from dray.runtime.errors import InvalidInput
from dray.runtime.paths import HomePaths
from dray.sdk import session
from dray.sdk.capture import checkout, listing, snapshot
from dray.sdk.capture.captured import Captured

#: A message names so many files, and says how many more there are.
_NAMED = 10


@dataclass(frozen=True)
class CodeFile:
    """One file of the code as it would be sent.

    Attributes:
        path: relative to the root of the code.
        n_bytes: size of its content.
        is_new: the server has no file of this content yet; None when no server was asked.
        executable: whether its owner may execute it; other modes are not kept.
        link: where it leads, when it is a symbolic link.
    """

    path: str
    n_bytes: int
    is_new: bool | None
    executable: bool = False
    link: str = ""


def send_code(client: snapshot.BlobStore, captured: Captured, settings: Settings) -> str:
    """Send a snapshot of the captured code; returns the name it is kept under.

    Raises:
        InvalidInput: there is no code, or git cannot list it.
        TooLarge: it is over the limit; the largest files are named.
    """
    taken = snapshot_of(captured, settings, settings.snapshot_limit_bytes)
    for sentence in _warnings(taken):
        session.say(f"warning: {sentence}")
    sent = snapshot.send(taken, client)
    if sent.changed:
        session.say(
            f"warning: {_some(sent.changed)} changed while the code was sent, and went as of then"
        )
    session.say(
        f"code: {taken.n_files} files, {size(taken.n_bytes)}; "
        f"sent {sent.n_files} files, {size(sent.n_bytes)}"
    )
    return sent.sha256


def files_to_send(
    client: snapshot.BlobStore | None, captured: Captured, settings: Settings
) -> list[CodeFile]:
    """What :func:`send_code` would send, in the order of the paths; nothing is sent.

    Raises:
        InvalidInput: there is no code, or git cannot list it.
        TooLarge: it is over the limit; the largest files are named.
    """
    taken = snapshot_of(captured, settings, settings.snapshot_limit_bytes)
    for sentence in _warnings(taken):
        session.say(f"warning: {sentence}")
    lacking = None if client is None else snapshot.missing(taken, client)
    return [
        CodeFile(
            entry.path,
            entry.n_bytes,
            None if lacking is None else not entry.link and entry.sha256 in lacking,
            entry.executable,
            entry.link,
        )
        for entry in sorted(taken.entries, key=lambda entry: entry.path)
    ]


def snapshot_of(captured: Captured, settings: Settings, limit_bytes: int) -> snapshot.Snapshot:
    """The snapshot of the captured code.

    Raises:
        InvalidInput: there is no code, or git cannot list it.
        TooLarge: it is over the limit; the largest files are named.
    """
    root = captured.root
    if root is None:
        raise InvalidInput(
            "no script is running, so there is no code to send: put it in a file", field="script"
        )
    try:
        names = names_of(captured, root)
    except checkout.GitFailed as exc:
        raise InvalidInput(f"git cannot list the code: {exc}", field="snapshot") from exc
    return snapshot.take(root, names, limit_bytes, HomePaths(settings.home).hashes)


def names_of(captured: Captured, root: Path) -> list[str]:
    """The files that are the code, relative to ``root``.

    In git: those it does not ignore, and what the script imports. Else a folder that was named or
    holds a ``.drayignore``: all of it. Else the script, what it imports, and its folder when that
    is small.

    Raises:
        GitFailed: git could not list them.
    """
    own = snapshot.relative_names(root, captured.files)
    if captured.in_git:
        return listing.in_git(root, own)
    if captured.is_whole:
        return list(listing.in_folder(root))
    if captured.is_alone:
        return own
    beside = listing.whole_if_small(root)
    if beside is None:
        session.say(
            f"the code is the script and what it imports: {root} holds too much to send it all. "
            "To send a folder with it: dray run --folder FOLDER, or put a .drayignore in it "
            "that names what to leave out"
        )
        return own
    return list(dict.fromkeys([*beside, *own]))


def is_recorded(captured: Captured) -> bool:
    """Whether what is recorded of the code suffices to run it elsewhere, without a snapshot.

    It does where a remote has the commit and the diff the rest, and for a script without anything
    beside it, which the diff holds whole.
    """
    root = captured.root
    if root is None:
        return True
    own = snapshot.relative_names(root, captured.files)
    if not captured.in_git:
        return bool(captured.execution.get("diff")) and set(names_of(captured, root)) <= set(own)
    try:
        work = checkout.open_at(root)
        if work is None or not work.url or not work.commit or "diff" not in captured.execution:
            return False
        return checkout.is_at_remote(work) and set(own) <= checkout.tracked(root)
    except checkout.GitFailed:
        return False


def size(n_bytes: int) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if n_bytes < 1024 or unit == "MiB":
            break
        n_bytes //= 1024
    return f"{n_bytes} {unit}"


def _warnings(taken: snapshot.Snapshot) -> Iterator[str]:
    for sentence in taken.left_out[:_NAMED]:
        yield f"left out of the snapshot: {sentence}"
    if len(taken.left_out) > _NAMED:
        yield f"left out of the snapshot: {len(taken.left_out) - _NAMED} files more"
    if taken.pointers:
        yield (
            f"{_some(taken.pointers)} travel as pointers of git-lfs, without their content; "
            "fetch it first: git lfs pull"
        )


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
