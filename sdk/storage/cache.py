"""Fetched files by their address, the least recently used of which go."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from dray.runtime.errors import InvalidInput

#: Files a context keeps unless told.
FILE_LIMIT = 100
GLOBAL = "global"
#: One used a moment ago is somebody's who has only just been given its path.
_FRESH_S = 60.0

#: {context: files it keeps}, as this process was told.
_limits: dict[str, int] = {}


def set_limit(context: str | None, limit: int) -> int:
    """Keep at most ``limit`` files in a context from now on, in this process."""
    if isinstance(limit, bool) or limit < 1:
        raise InvalidInput(
            f"cache_file_limit is {limit!r}; it must be a number of files, at least 1",
            field="cache_file_limit",
            value=limit,
        )
    _limits[context or GLOBAL] = int(limit)
    return int(limit)


def folder(context: str | None = None) -> Path:
    """Where the files of a context are."""
    from dray.runtime import config

    name = re.sub(r"[^A-Za-z0-9._-]", "_", context or GLOBAL).lstrip(".") or GLOBAL
    return config.load().settings.cache / "storage" / name


def entry(url: str, context: str | None = None) -> Path:
    """The file that ``url`` is kept in, there or not; beside it is what was made of it."""
    name = re.sub(r"[^\w.+ -]", "_", url.rstrip("/").rpartition("/")[2].partition("?")[0])
    digest = hashlib.sha256(url.encode()).hexdigest()[:32]
    return folder(context) / digest / (name[-150:].lstrip(".") or "file")


def fetched(
    url: str, context: str | None, bring: Callable[[Path], None], *, again: bool = False
) -> Path:
    """The file of ``url``, brought unless it is there; it appears only whole."""
    path = entry(url, context)
    if path.is_file() and not again:
        os.utime(path.parent)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    try:
        bring(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    for made in path.parent.iterdir():  # of the bytes that were there before
        if made.is_dir():
            shutil.rmtree(made, ignore_errors=True)
    os.utime(path.parent)
    _evict(path.parent, context or GLOBAL)
    return path


def _evict(kept: Path, context: str) -> None:
    limit = _limits.get(context, FILE_LIMIT)
    by_age: list[tuple[float, Path]] = []
    for found in kept.parent.iterdir():
        try:
            by_age.append((found.stat().st_mtime, found))
        except FileNotFoundError:
            continue  # another process was faster
    if len(by_age) <= limit:
        return
    newest_to_go = time.time() - _FRESH_S
    for used_at, path in sorted(by_age)[: len(by_age) - limit]:
        if path != kept and used_at < newest_to_go:
            shutil.rmtree(path, ignore_errors=True)
