"""Code from git: an exact commit out of the node's mirror, its submodules, the uncommitted diff."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.credentials import access_to
from dray.envbuilder.git.failures import is_damage
from dray.envbuilder.git.lfs import bring_lfs
from dray.envbuilder.git.mirror import Mirror
from dray.envbuilder.git.options import GitOptions
from dray.envbuilder.git.program import Git
from dray.envbuilder.git.remotes import Remote, read_remote
from dray.envbuilder.git.revisions import Revision, read_revision
from dray.envbuilder.git.submodules import Submodule, folder_for, remote_of, submodules_of
from dray.envbuilder.source.applying import apply_changes
from dray.envbuilder.source.worktree import lay_out_commit, must
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import finish_in_thread
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths

#: Submodules of submodules; what is deeper contains itself.
_DEEPEST = 8


async def check_out(
    execution: Execution,
    target: Path,
    node: NodePaths,
    log: LogWriter,
    options: GitOptions | None = None,
) -> str:
    """Lay the commit that ``execution`` names out in ``target``, with its diff applied.

    Returns:
        The full id of the commit, which for a branch is the one it stands on now.

    Raises:
        PreparationFailed: of kind ``source_failed``.
    """
    for name in ("repository", "commit", "branch"):
        if str(getattr(execution, name)).startswith("-"):
            raise source_failed(
                f"execution.{name} begins with a dash, which git would take for an option",
                field=f"execution.{name}",
            )
    layer = _Layer(node, log, options or GitOptions(), _whose(target, node))
    remote = read_remote(execution.repository)
    revision = read_revision(execution.commit, execution.branch)
    if execution.commit and execution.branch:
        say(log, f"the commit counts, and branch {execution.branch} is where it was taken from")
    return await layer.lay(remote, revision, target, diff=execution.diff)


@dataclass(frozen=True)
class _Layer:
    """Lays repositories out, one in another."""

    node: NodePaths
    log: LogWriter
    options: GitOptions
    whose: str

    async def lay(
        self, remote: Remote, revision: Revision, target: Path, *, diff: str = "", depth: int = 0
    ) -> str:
        """Lay a repository out with all that is in it; its commit."""
        access = await asyncio.to_thread(access_to, remote, self.options.rules)
        mirror = Mirror(access, self.node, self.log, history=self.options.history, whose=self.whose)
        async with mirror.in_use():
            commit = await self._lay_commit(mirror, revision, target)
            if diff.strip():
                await apply_changes(diff, f"commit {commit[:12]}", target, self.log)
            for submodule in await submodules_of(target, self.log):
                await self._lay_submodule(submodule, remote, target, depth + 1)
            await bring_lfs(target, commit, mirror, self.options, self.log)
        return commit

    async def _lay_commit(self, mirror: Mirror, revision: Revision, target: Path) -> str:
        """Lay the commit out; out of a new mirror where this one turns out to be damaged."""
        commit = await mirror.commit_of(revision)
        try:
            await lay_out_commit(mirror.folder, mirror.url, commit, target, self.log)
        except PreparationFailed as exc:
            if not is_damage(str(exc.details.get("evidence", ""))):
                raise
            say(self.log, f"the mirror of {mirror.url} on this node is damaged; making it again")
            await _empty(target)
            await mirror.make_again()
            commit = await mirror.commit_of(revision)
            await lay_out_commit(mirror.folder, mirror.url, commit, target, self.log)
        return commit

    async def _lay_submodule(
        self, submodule: Submodule, parent: Remote, tree: Path, depth: int
    ) -> None:
        if depth > _DEEPEST:
            raise source_failed(
                f"submodule {submodule.path} is {depth} levels deep; does it contain itself?",
                field="execution.repository",
            )
        target = folder_for(submodule, tree)
        remote = remote_of(submodule, parent)
        try:
            await self.lay(remote, read_revision(submodule.commit, ""), target, depth=depth)
        except PreparationFailed as exc:
            raise source_failed(
                f"submodule {submodule.path}: {exc.message}",
                str(exc.details.get("evidence", "")),
                field="execution.repository",
            ) from exc
        git = Git(tree, self.log)
        key = f"submodule.{submodule.name}"
        await must(git.run("config", f"{key}.active", "true"), "a submodule cannot be registered")
        url = remote.url
        await must(git.run("config", f"{key}.url", url), "a submodule cannot be registered")


async def lay_alone(execution: Execution, target: Path, log: LogWriter) -> None:
    """Lay out code that is in no repository: the diff adds all of it, or is the script's text.

    Raises:
        PreparationFailed: the diff changes files that are not there.
    """
    await asyncio.to_thread(target.mkdir, parents=True)
    if execution.diff.lstrip().startswith("diff --git "):
        git = Git(target, log)
        made = git.run("init", "--quiet", "--template=")
        await must(made, "an empty repository could not be made")
        base = "an empty folder (the task names no repository)"
        await apply_changes(execution.diff, base, target, log)
        return
    await asyncio.to_thread(_write_script, execution, target)


def _write_script(execution: Execution, target: Path) -> None:
    root = target.resolve()
    script = (root / execution.working_dir / execution.entry_point).resolve()
    if not execution.entry_point.strip() or not script.is_relative_to(root):
        raise source_failed(
            f"execution.entry_point {execution.entry_point!r} names no script to write the task's "
            "code to",
            field="execution.entry_point",
        )
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(execution.diff, "utf-8")


async def _empty(folder: Path) -> None:
    await finish_in_thread(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def _whose(target: Path, node: NodePaths) -> str:
    """Who asks, for those who wait: the folder of an attempt is named after its task."""
    if target.is_relative_to(node.attempts):
        return f"task {target.relative_to(node.attempts).parts[0][:8]}"
    return target.name
