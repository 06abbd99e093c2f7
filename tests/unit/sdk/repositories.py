"""Real git repositories in temporary folders, free of the machine's own git settings."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Repository:
    """A working tree whose files and commits a test sets up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def write(self, **files: str) -> Repository:
        """Write files; ``__`` in a keyword stands for a folder, ``_py`` for the ending."""
        for name, text in files.items():
            path = self.root / (name.replace("__", "/").removesuffix("_py") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")
