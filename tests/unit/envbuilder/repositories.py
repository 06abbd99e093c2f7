"""Real git repositories to take code from, and what a test needs to have it laid out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dray.envbuilder.git.options import GitOptions
from dray.envbuilder.source.blobs import BlobFetcher
from dray.envbuilder.source.prepare import PreparedSource, prepare_source
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log

AS_SOMEBODY = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class Repository:
    """A real repository; by itself it is fetched over ``file://``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch", "main")

    @property
    def url(self) -> str:
        return f"file://{self.root}"

    def git(self, *args: str) -> str:
        command = ["git", "-c", "protocol.file.allow=always", *args]
        ran = subprocess.run(
            command, cwd=self.root, env=AS_SOMEBODY, capture_output=True, check=True
        )
        return ran.stdout.decode("utf-8", "surrogateescape")

    def commit(self, **files: str | bytes) -> str:
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "step")
        return self.git("rev-parse", "HEAD").strip()

    def write(self, **files: str | bytes) -> None:
        for name, content in files.items():
            path = self.root / name.replace("__", ".")
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def add_submodule(self, url: str, path: str, commit: str) -> None:
        """What ``git submodule add`` does, without fetching ``url``."""
        for key, value in (("path", path), ("url", url)):
            self.git("config", "--file", ".gitmodules", f"submodule.{path}.{key}", value)
        self.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        self.git("add", ".gitmodules")
        self.git("commit", "--quiet", "--message", f"submodule {path}")


class NoBlobs(BlobFetcher):
    """Code from git needs none."""

    async def fetch(self, sha256: str, to: Path) -> None:
        raise AssertionError(f"{sha256} was fetched to {to}")

    async def read_many(self, sha256s: list[str]) -> dict[str, bytes]:
        raise AssertionError(f"{sha256s} were fetched")


async def prepare(
    execution: Execution,
    code: Path,
    node: NodePaths,
    log: Log,
    options: GitOptions | None = None,
) -> PreparedSource:
    return await prepare_source(execution, code, node, NoBlobs(), log, git=options)


async def fails(
    execution: Execution,
    code: Path,
    node: NodePaths,
    log: Log,
    options: GitOptions | None = None,
) -> PreparationFailed:
    """Why ``execution`` cannot be laid out; nothing of it is there."""
    with pytest.raises(PreparationFailed) as caught:
        await prepare(execution, code, node, log, options)
    assert caught.value.details["kind"] == "source_failed"
    assert not os.path.lexists(code)  # noqa: ASYNC240 - a test may
    return caught.value
