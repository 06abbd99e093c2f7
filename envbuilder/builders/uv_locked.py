"""What a lock file says, exactly: ``uv.lock``, ``pylock.toml``, the lock of a script."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from dray.envbuilder.builders.uv_job import UvJob
from dray.envbuilder.choice.lockfiles import git_urls, registries
from dray.envbuilder.git.logins import lock_logins
from dray.envbuilder.tools.process import Finished

_UV_LOCK = "uv.lock"
#: Of the operator, when they replace where packages come from.
_DEFAULT_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")


def is_locked(job: UvJob) -> bool:
    """Whether the environment is what a lock file says."""
    return job.spec.origin.endswith(".lock") or posixpath.basename(job.spec.origin) == "pylock.toml"


async def install_locked(job: UvJob) -> Finished:
    """Install what the lock of ``job`` says; how the last tool ended.

    Packages come from where the lock says. Where the task or the operator names other indexes,
    the same versions come from there, each still checked by the hash that the lock has for it.
    """
    path = job.spec.origin
    if posixpath.basename(path) == "pylock.toml":
        return await _install(job, job.copy / path, ())
    logins = await lock_logins(git_urls(_text(job, path)), job.env)
    job = replace(job, env={**job.env, **logins})
    if posixpath.basename(path) != _UV_LOCK:
        return await _install_script(job, path)
    if _comes_from_elsewhere(job, path):
        return await _install_exported(job, path)
    return await _sync(job)


async def _sync(job: UvJob) -> Finished:
    own = replace(job, env={**job.env, "UV_PROJECT_ENVIRONMENT": str(job.folder)})
    options = ["--frozen", "--no-editable", "--no-progress", "--no-compile-bytecode"]
    project = job.copy / job.spec.project
    command = ["sync", *options, "--project", project, "--python", job.python, *_chosen(job)]
    return await own.offline_first(command, job.folder)


async def _install_exported(job: UvJob, path: str) -> Finished:
    """The versions and hashes of the lock, whose packages other indexes have."""
    root = job.copy / posixpath.dirname(path)
    options = ["--frozen", "--no-editable", "--no-header", "--no-annotate"]
    project = job.copy / job.spec.project
    exported = await job.run(
        ["export", *options, "--project", project, *_chosen(job)], root, job.log, keep_stdout=True
    )
    if exported.code != 0:
        return exported
    lines = [_absolute(line, root) for line in exported.stdout.splitlines()]
    listing = job.copy / ".exported.txt"
    await asyncio.to_thread(listing.write_text, "\n".join([*lines, ""]), "utf-8")
    return await _install(job, listing, ["--no-deps"])


def _absolute(line: str, root: Path) -> str:
    """Paths in what is exported are relative to the lock."""
    return f"{root}/{line}" if line.startswith(".") else line


async def _install_script(job: UvJob, path: str) -> Finished:
    exported = job.copy / "pylock.toml"
    script = job.copy / path.removesuffix(".lock")
    options = ["--frozen", "--quiet", "--format", "pylock.toml", "--output-file", exported]
    finished = await job.run(["export", "--script", script, *options], job.folder, job.log)
    return finished if finished.code != 0 else await _install(job, exported, ())


async def _install(job: UvJob, listing: Path, options: Iterable[str]) -> Finished:
    common = ["pip", "install", "--no-progress", "--no-compile-bytecode", "--python", job.python]
    return await job.offline_first(
        [*common, "--requirements", listing, *options, *job.flags()], job.folder
    )


def _chosen(job: UvJob) -> list[str]:
    """Extras and groups that the task asks for, besides what the project has by default."""
    extras = [word for name in job.spec.extras for word in ("--extra", name)]
    return extras + [word for name in job.spec.groups for word in ("--group", name)]


def _comes_from_elsewhere(job: UvJob, path: str) -> bool:
    if job.spec.find_links:
        return True
    given = [url for url in job.spec.index_urls if url] or [
        job.env[name] for name in _DEFAULT_INDEXES if job.env.get(name)
    ]
    known = {_place(url) for url in registries(_text(job, path))}
    return bool(given and known) and known.isdisjoint(map(_place, given))


def _text(job: UvJob, path: str) -> str:
    return next((file.text for file in job.spec.files if file.path == path), "")


def _place(url: str) -> str:
    """Where an index is, whoever asks for it."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}".lower()
