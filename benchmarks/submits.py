"""What sending code costs: 10,000 files that nobody changed, and laying them out on a node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from benchmarks.inits import Gateway, laptop_variables
from benchmarks.measure import Reading, in_turns, in_words, ratio
from benchmarks.stand import Stand
from dray.envbuilder.source.layout import lay_out
from dray.runtime.snapshots import FileEntry, digest

N_FILES = 10_000
N_ROUNDS = 8


def measure(stand: Stand) -> list[Reading]:
    """Submit a repository again and again beside a bare start, then lay its files out by hand."""
    root = stand.folder / "submits"
    _make_repository(root)
    with Gateway(stand.folder / "submits-server") as url_and_token:
        env = {**laptop_variables(stand.folder / "submits-home"), **url_and_token}
        dray = [sys.executable, "-m", "dray"]
        subprocess.run([*dray, "queue", "create", "q"], env=env, check=True, capture_output=True)
        first_ms = _run([*dray, "run", "train.py", "--queue", "q"], env, root)
        submit, bare = in_turns(
            N_ROUNDS,
            lambda: _run([*dray, "run", "train.py", "--queue", "q"], env, root),
            lambda: _run([*dray, "--version"], env, root),
        )
    against = f"`dray --version` {in_words(bare.median)} ms"
    first = f"the first time, when all of it travels, {in_words(first_ms)} ms"
    return [
        Reading("submit-unchanged", submit, against, ratio(submit, bare), note=first),
        _layout(stand, root),
    ]


def _layout(stand: Stand, root: Path) -> Reading:
    files = [path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts]
    hashes = {path: digest(path.read_bytes()) for path in files}
    content = {sha256: path for path, sha256 in hashes.items()}
    entries = [
        FileEntry(path.relative_to(root).as_posix(), sha256, path.stat().st_size)
        for path, sha256 in hashes.items()
    ]
    targets = (stand.folder / f"laid-out-{n}" for n in count())

    def ours() -> float:
        target = next(targets)
        began = time.perf_counter()
        lay_out(entries, content, target)
        milliseconds = (time.perf_counter() - began) * 1e3
        shutil.rmtree(target)
        return milliseconds

    def by_hand() -> float:
        target = next(targets)
        began = time.perf_counter()
        subprocess.run(["cp", "-r", str(root), str(target)], check=True)
        milliseconds = (time.perf_counter() - began) * 1e3
        shutil.rmtree(target)
        return milliseconds

    laid, copied = in_turns(3, ours, by_hand)
    against = f"`cp -r` {in_words(copied.median)} ms"
    return Reading("snapshot-layout", laid, against, ratio(laid, copied))


def _make_repository(root: Path) -> None:
    for n in range(N_FILES):
        path = root / f"package_{n // 100:03d}" / f"module_{n % 100:02d}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {n}\n" + f"VALUE = {n}\n" * (n % 60 + 1), "utf-8")
    (root / "train.py").write_text("print('hello')\n", "utf-8")
    old = time.time() - 60  # else they count as changed while they were read
    for path in root.rglob("*.py"):
        os.utime(path, (old, old))
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=root, check=True)


def _run(command: list[str], env: dict[str, str], cwd: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=env, cwd=cwd, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1e3
