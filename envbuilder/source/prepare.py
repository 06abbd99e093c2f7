"""A task's code in a folder: its snapshot where it has one, else commit and diff from git."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.cache.progress import RememberingLog
from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.options import GitOptions
from dray.envbuilder.source.blobs import BlobFetcher, fetch_missing
from dray.envbuilder.source.checkout import check_out, lay_alone
from dray.envbuilder.source.layout import lay_out
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import finish_in_thread, within
from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from dray.runtime.snapshots import decode_manifest


@dataclass(frozen=True)
class PreparedSource:
    """What was laid out.

    Attributes:
        origin: ``snapshot``, ``git``, or ``diff`` for code that is in no repository.
        commit: full id of the commit it stands on, which may have been asked for by branch; empty
            where a snapshot has none.
    """

    origin: str
    commit: str


async def prepare_source(
    execution: Execution,
    target: Path,
    node: NodePaths,
    blobs: BlobFetcher,
    log: LogWriter,
    *,
    git: GitOptions | None = None,
) -> PreparedSource:
    """Lay the code of ``execution`` out in ``target``, replacing what is there.

    After a failure or a cancellation ``target`` does not exist.

    Args:
        git: how to get code from git; its limit of time is that of all code.

    Raises:
        PreparationFailed: of kind ``source_failed``, with the last lines of what failed.
    """
    options, told = git or GitOptions(), RememberingLog(log)
    await finish_in_thread(asyncio.to_thread(shutil.rmtree, target, ignore_errors=True))
    try:
        return await within(options.limit_s, _lay(execution, target, node, blobs, told, options))
    except BaseException as exc:
        await finish_in_thread(asyncio.to_thread(shutil.rmtree, target, ignore_errors=True))
        if isinstance(exc, TimeoutError):
            message = f"the code of this task was not there after {options.limit_s:g} s"
            raise source_failed(message, told.tail or str(exc)) from exc
        if isinstance(exc, (InvalidInput, OSError)):
            raise source_failed(f"the code of this task: {exc}", str(exc)) from exc
        raise


async def _lay(
    execution: Execution,
    target: Path,
    node: NodePaths,
    blobs: BlobFetcher,
    log: LogWriter,
    options: GitOptions,
) -> PreparedSource:
    if execution.snapshot:
        await _lay_snapshot(execution.snapshot, target, node, blobs, log)
        return PreparedSource("snapshot", execution.commit)
    if execution.repository:
        commit = await check_out(execution, target, node, log, options)
        say(log, f"code is commit {commit[:12]}" + (" with changes" if execution.diff else ""))
        return PreparedSource("git", commit)
    if execution.diff.strip():
        await lay_alone(execution, target, log)
        say(log, "code is the script that the task was recorded with")
        return PreparedSource("diff", "")
    raise source_failed(
        "the task has neither a snapshot nor a repository, so there is no code to run; run its "
        "script once with Task.init, or set execution.repository",
        field="execution.repository",
    )


async def _lay_snapshot(
    snapshot: str, target: Path, node: NodePaths, blobs: BlobFetcher, log: LogWriter
) -> None:
    manifest = (await fetch_missing({snapshot: "the snapshot's manifest"}, node, blobs))[snapshot]
    entries = decode_manifest(await asyncio.to_thread(manifest.read_bytes))
    names = {entry.sha256: entry.path for entry in entries if not entry.link}
    sizes = {entry.sha256: entry.n_bytes for entry in entries if not entry.link}
    content = await fetch_missing(names, node, blobs, sizes)
    damaged = await finish_in_thread(asyncio.to_thread(lay_out, entries, content, target))
    if damaged:
        say(log, f"{len(damaged)} files were damaged on this node's disk; fetching them again")
        await finish_in_thread(asyncio.to_thread(_forget, target, [content[s] for s in damaged]))
        content = await fetch_missing(names, node, blobs, sizes)
        damaged = await finish_in_thread(asyncio.to_thread(lay_out, entries, content, target))
    if damaged:
        raise source_failed(
            f"{names[min(damaged)]} is damaged on this node's disk each time it is written; "
            f"look at the disk of {node.root}"
        )
    say(log, f"code is snapshot {snapshot[:12]}, {len(entries)} files")


def _forget(target: Path, blobs: list[Path]) -> None:
    shutil.rmtree(target)
    for blob in blobs:
        blob.unlink(missing_ok=True)
