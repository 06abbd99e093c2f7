"""How a run started by hand ends, and what is kept of its console; no server needed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.causes import CauseKind
from dray.runtime.paths import SpoolPaths
from dray.sdk.runs import endings
from tests.unit.sdk.scripts import INIT, Machine, Ran, final


class TestEnd:
    """How a run started by hand ends; offline, so that the spool is all there is."""

    @pytest.mark.parametrize(
        ("last", "code", "expected"),
        [
            ("", 0, {"exit_code": 0}),
            ("import sys; sys.exit(3)", 3, {"exit_code": 3}),
            ("import sys; sys.exit()", 0, {"exit_code": 0}),
            ("import sys; sys.exit('bad luck')", 1, {"exit_code": 1, "reason": "bad luck"}),
            (
                "import sys\ntry:\n    sys.exit(3)\nexcept SystemExit:\n    pass",
                0,
                {"exit_code": 0},
            ),
            ("import argparse; argparse.ArgumentParser().error('no')", 2, {"exit_code": 2}),
            (
                "task.mark_completed(status_message='enough'); 1 / 0",
                1,
                {"marked": "complete", "reason": "enough"},
            ),
        ],
    )
    def test_the_process_states_its_end(
        self, machine: Machine, last: str, code: int, expected: dict[str, Any]
    ) -> None:
        ran = machine.run(INIT + last)
        assert ran.code == code
        assert final(ran) == expected

    def test_an_uncaught_exception_is_told_with_its_traceback(self, machine: Machine) -> None:
        ran = machine.run(INIT + "raise ValueError('diverged')")
        end = final(ran)
        assert (end["exit_code"], end["reason"]) == (1, "ValueError: diverged")
        assert end["exception"].endswith("ValueError: diverged\n")
        assert ran.err.endswith(end["exception"])  # and the user still sees it

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signals_are_told_and_still_end_the_process(
        self, machine: Machine, number: signal.Signals
    ) -> None:
        process = machine.start(INIT + "print('ready')\nimport signal\nwhile True: signal.pause()")
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == -number
        assert final(Ran(0, "", "", machine.spool()))["signal"] == number

    @pytest.mark.parametrize(
        ("last", "code"),
        [("raise SystemExit(4)", 4), ("exit(5)", 5), ("raise SystemExit('x')", 1)],
    )
    def test_an_exit_python_does_not_tell_of_is_learned_from_the_system(
        self, machine: Machine, last: str, code: int
    ) -> None:
        ran = machine.run(INIT + last)
        assert ran.spool is not None
        assert (ran.code, endings.ending(SpoolPaths(ran.spool)).exit_code) == (code, code)

    def test_a_forked_child_that_exits_does_not_end_the_run(self, machine: Machine) -> None:
        ran = machine.run(
            INIT
            + "import os, sys\nif os.fork() == 0:\n    task.logger.report_scalar('a', 'b', 1, 1)\n"
            + "    sys.exit(9)\nos.wait()\n"
        )
        assert final(ran) == {"exit_code": 0}
        assert len(ran.records("scalar")) == 1
        assert ran.spool is not None
        assert endings.ending(SpoolPaths(ran.spool)).exit_code == 0

    def test_hooks_of_the_script_are_still_called(self, machine: Machine) -> None:
        ran = machine.run(
            "import sys\nsys.excepthook = lambda *a: print('mine')\n" + INIT + "1 / 0"
        )
        assert ran.out == "mine\n"
        assert final(ran)["exit_code"] == 1


class TestConsole:
    def test_what_the_script_writes_is_kept_byte_for_byte(self, machine: Machine) -> None:
        ran = machine.run(
            INIT
            + "import sys\nprint('text é', flush=True)\n"
            + "sys.stdout.buffer.write(b'\\xff\\n')\nsys.stdout.buffer.flush()\n"
            + "sys.stderr.writelines(['a\\n', 'b\\n'])\nprint('\\r10%', end='')\n",
            PYTHONIOENCODING="utf-8",
        )
        assert ran.spool is not None
        kept = (ran.spool / "stdout.log").read_bytes()
        assert kept == ran.raw == "text é\n".encode() + b"\xff\n\r10%"
        assert ran.stream("stderr") == "a\nb\n"

    def test_the_streams_stay_what_they_were(self, machine: Machine) -> None:
        probe = (
            "import sys\nlook = lambda: (sys.stdout.isatty(), sys.stdout.encoding,"
            " sys.stdout.fileno(), sys.stdout.errors, sys.stdout.name, sys.stderr.fileno())\n"
        )
        ran = machine.run(
            probe + "before = look()\n" + INIT + "assert look() == before\n"
            "with sys.stdout as out:\n    print('x', file=out)\n"
        )
        assert (ran.code, ran.out) == (0, "x\n"), ran.err

    def test_log_handlers_made_before_are_kept_too(self, machine: Machine) -> None:
        ran = machine.run(
            "import logging\nlogging.basicConfig()\n" + INIT + "logging.warning('careful')\n"
            "task.close()\nlogging.warning('after')\n"
        )
        assert ran.stream("stderr") == "WARNING:root:careful\n"
        assert ran.err.endswith("WARNING:root:careful\nWARNING:root:after\n")

    def test_a_dict_names_the_streams_that_are_kept(self, machine: Machine) -> None:
        ran = machine.run(
            "from dray import Task\nTask.init(auto_connect_streams={'stdout': True})\n"
            "import sys\nprint('a'); print('b', file=sys.stderr)\n"
        )
        assert ran.stream("stdout") == "a\n"
        assert ran.spool is not None
        assert not (ran.spool / "stderr.log").exists()


def test_a_silent_end_is_explained_by_what_the_kernel_did(tmp_path: Path) -> None:
    spool = SpoolPaths(tmp_path)
    spool.stream("stderr").write_text("loading all of it\n")
    assert endings.ending(spool).kind is CauseKind.VANISHED
    cause = endings.ending(spool, "oom_kill rose by 1 while it ran")
    assert (cause.kind, cause.evidence) == (CauseKind.OUT_OF_MEMORY, "loading all of it\n")
    assert "oom_kill rose by 1" in cause.message
