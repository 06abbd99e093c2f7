"""What building ahead takes for certain, and what it leaves to the run itself."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dray.actors import ahead_process
from dray.actors.ahead_process import command, refused_cause, report_of, start_cause
from dray.actors.orders import AheadOrder
from dray.envbuilder.failures import environment_failed, source_failed
from dray.runtime.causes import CauseKind
from dray.runtime.config import Settings
from dray.runtime.execution import Execution

SOLVER = """  x No solution found when resolving dependencies:
  ╰─▶ Because only six<=1.17.0 is available and you require six==99, we can
      conclude that your requirements are unsatisfiable."""


def test_what_the_solver_refuses_is_certain() -> None:
    cause = refused_cause(
        environment_failed("no set of packages is what the task asks for", SOLVER)
    )
    assert cause is not None
    assert cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "you require six==99" in (cause.evidence or "")


@pytest.mark.parametrize(
    "failure",
    [
        environment_failed("uv failed", f"{SOLVER}\nhint: Packages were unavailable, offline"),
        environment_failed("uv failed", "error: Failed to fetch: `http://127.0.0.1:1/simple/six/`"),
        environment_failed(
            "uv failed", f"{SOLVER}\nhint: lack of valid authentication credentials"
        ),
        environment_failed("uv failed", f"{SOLVER} the current Python version (3.11.7) does not"),
        environment_failed("Python 3.9 was asked for and is not on this node"),
        source_failed("the repository cannot be reached", "Permission denied (publickey)"),
        OSError(28, "No space left on device"),
    ],
)
def test_what_another_node_may_be_able_to_do_is_not(failure: Exception) -> None:
    assert refused_cause(failure) is None


def test_a_task_whose_own_words_name_no_script_is_certain_to_fail() -> None:
    no_script = source_failed("'train.py' is not a file", field="execution.entry_point")
    cause = start_cause(no_script)
    assert cause is not None
    assert cause.kind is CauseKind.SOURCE_FAILED
    of_the_node = environment_failed("agent_setup_script", field="agent_setup_script")
    assert start_cause(of_the_node) is None


def test_a_report_is_all_that_was_said_up_to_now() -> None:
    lines = [{"environment": {"key": "k", "reused": True, "seconds": 0.1}}, {"notes": ["a"]}]
    report = report_of("\n".join(map(json.dumps, lines)))
    assert report.environment is not None
    assert (report.environment.key, report.notes, report.looked_at) == ("k", ["a"], False)
    assert report_of("").environment is None


def test_the_token_is_in_a_file_of_its_owner_and_not_among_the_arguments(tmp_path: Path) -> None:
    order = AheadOrder("t" * 32, "c", "l", Execution(), "http://127.0.0.1:1", "dt_secret")
    argv = command(tmp_path, order, Settings(token="the-server's-own"))
    assert "secret" not in " ".join(argv)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert "dt_secret" in file.read_text()
    assert "the-server's-own" not in file.read_text()


async def test_a_build_that_a_task_waits_for_tries_nothing_more() -> None:
    is_wanted, ended = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    work = asyncio.ensure_future(ahead_process._unless(is_wanted, look()))
    await asyncio.sleep(0)
    is_wanted.set()
    await work
    assert ended.is_set()


def test_it_yields_with_everything_it_starts() -> None:
    """As its own process: niceness cannot be given back."""
    source = (
        "import asyncio, os\n"
        "from dray.actors.yielding import YieldingPlace, yield_to_tasks\n"
        "from dray.envbuilder.place import NODE\n"
        "yield_to_tasks()\n"
        "show = ['/bin/sh', '-c', 'cat /proc/self/stat']\n"
        "found = asyncio.run(YieldingPlace(NODE).run(show, env={}, keep_stdout=True))\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0), found.stdout.rpartition(')')[2].split()[16])\n"
        "try:\n"
        "    asyncio.run(YieldingPlace(NODE).run(['/no/such/tool'], env={}))\n"
        "except FileNotFoundError as exc:\n"
        "    print(exc.filename)\n"
    )
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["10", "10", "/no/such/tool"], run.stderr


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """A server that never answers does not keep it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        order = AheadOrder("t" * 32, "c", "l", Execution(snapshot="ab" * 32), url, "dt_secret")
        settings = Settings(cache=tmp_path / "cache", home=tmp_path / "home")
        folder = tmp_path / "build"
        folder.mkdir()
        child = subprocess.Popen(command(folder, order, settings), stdout=subprocess.PIPE)
        connection, _ = listener.accept()
        with connection:
            child.send_signal(signal.SIGTERM)
            output, _ = child.communicate(timeout=60)
    assert (child.returncode, output) == (0, b"")
