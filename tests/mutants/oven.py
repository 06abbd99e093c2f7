"""Runs pytest again and again in forks of a process that has imported all but Dray: one is warm.

``python -m tests.mutants.oven`` reads a JSON list of arguments a line, answers an exit status.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
import traceback

#: Set for all that a run of pytest starts.
RUN_OF = "MUTANT_RUN"
#: What most tests import; what is not there will be missed by those that need it.
_LIBRARIES = (
    "aiosqlite",
    "anyio._backends._asyncio",
    "concurrent.futures.thread",
    "fastapi.testclient",
    "httpx2",
    "hypothesis.stateful",
    "psutil",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "tarfile",
    "typer",
    "uvicorn",
    "uvloop",
    "xdist.plugin",
)


def main() -> None:
    """Serve until the input ends."""
    import pytest

    for name in _LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    ours = [name for name in sys.modules if name.partition(".")[0] == "dray"]
    assert not ours, f"these are to be imported as they are changed: {ours}"
    gc.freeze()
    for line in sys.stdin:
        output, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 3
            try:
                os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
                os.dup2(1, 2)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.environ[RUN_OF] = output
                status = int(pytest.main(arguments))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
