"""A copy of the repository in which code is changed and tests are run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dray.runtime.strays import end_strays
from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.oven import RUN_OF

#: A test that waits for what a mutant keeps from happening is ended; otherwise it takes seconds.
TEST_TIMEOUT_S = 10
#: Tests write files and wait for the disk; in memory that costs nothing.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)


class Verdict(str, Enum):
    """What became of a mutant.

    Attributes:
        NOTICED: a test failed.
        SURVIVED: all tests passed, so nothing keeps the protection where it is.
        ERROR: the tests did not run, which says nothing.
    """

    NOTICED = "noticed"
    SURVIVED = "SURVIVED"
    ERROR = "ERROR"


#: pytest's exit status says whether tests failed or could not be run.
_VERDICTS = {0: Verdict.SURVIVED, 1: Verdict.NOTICED}


@dataclass(frozen=True)
class Outcome:
    """A run of some tests.

    Attributes:
        first: the first test that failed; empty when none did.
        output: all that pytest printed.
    """

    verdict: Verdict
    first: str
    seconds: float
    output: str


class Workplace:
    """The copy; what is imported in it is the copy."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="dray-mutants-", dir=_MEMORY))
        self._tree = self.root / "repository"
        (self.root / "tmp").mkdir()
        self._environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "DRAY_"))},
            "PYTHONPATH": str(self._tree / "src"),
            "TMPDIR": str(self.root / "tmp"),
        }
        _copy(self._tree)
        # By hash, not by time: a file that is changed and put back within a second is seen.
        compile_all = ["compileall", "-q", "--invalidation-mode", "checked-hash", "src/dray"]
        self._python("-m", *compile_all)
        found = self._python("-c", "import dray.runtime as r; print(r.__file__)").strip()
        if not found.startswith(str(self._tree)):
            raise RuntimeError(f"tests would run {found}, which is not in the copy {self._tree}")
        self._oven = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.oven"],
            cwd=self._tree,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """Delete the copy."""
        self._oven.communicate()
        end_strays("PYTHONPATH", self._environ["PYTHONPATH"])
        shutil.rmtree(self.root, ignore_errors=True)

    def run(self, tests: Iterable[str], *, all_of_them: bool = False) -> Outcome:
        """Run tests in the copy as it is, up to the first failure or all of them."""
        began = time.monotonic()
        options = ["-q", "--no-header", "--tb=short", "--assert=plain", "-p", "no:cacheprovider"]
        options += ["-p", "no:randomly", "--hypothesis-seed=0", f"--timeout={TEST_TIMEOUT_S}"]
        output = self.root / "output"
        arguments = [*options, *([] if all_of_them else ["-x"]), *tests]
        status = self._bake(json.dumps([str(output), *arguments]))
        end_strays(RUN_OF, str(output))  # a protection may be gone that would have ended them
        printed = output.read_text("utf-8", "replace")
        failed = _FAILED.search(printed)
        return Outcome(
            _VERDICTS.get(status, Verdict.ERROR),
            failed.group(1) if failed else "",
            time.monotonic() - began,
            printed,
        )

    def judge(self, mutant: Mutant) -> Outcome:
        """Run the tests of a mutant with its protection gone; then put it back."""
        source = mutant.apply(self._tree)
        try:
            return self.run(mutant.tests)
        finally:
            (self._tree / mutant.file).write_text(source, "utf-8")

    def _bake(self, order: str) -> int:
        assert self._oven.stdin is not None
        assert self._oven.stdout is not None
        self._oven.stdin.write(f"{order}\n")
        self._oven.stdin.flush()
        return int(self._oven.stdout.readline())

    def _python(self, *args: str) -> str:
        done = subprocess.run(
            [sys.executable, *args], cwd=self._tree, env=self._environ, capture_output=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"python {' '.join(args)} failed: {done.stderr.decode()}")
        return done.stdout.decode()


def _copy(tree: Path) -> None:
    """What git knows, and what it would be given, with links as links."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in dict.fromkeys(os.fsdecode(one) for one in listed.split(b"\0") if one):
        source, target = ROOT / name, tree / name
        if source.is_symlink() or source.is_file():  # not: deleted, and git not told yet
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
