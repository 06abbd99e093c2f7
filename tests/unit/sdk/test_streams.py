"""The console of a run started by hand: what was printed, by whatever was set up to print."""

from __future__ import annotations

import pytest

from tests.unit.sdk.scripts import INIT, Machine

ONLY_LOGGING = (
    "from dray import Task, Logger\n"
    "task = Task.init('proj', 'name', auto_connect_streams={'logging': True})\n"
)


def test_loguru_that_was_set_up_before_is_kept(machine: Machine) -> None:
    pytest.importorskip("loguru")
    ran = machine.run(
        "import sys\nfrom loguru import logger\n"
        "logger.remove()\nlogger.add(sys.stderr, format='{level} {message}')\n" + INIT + ""
        "logger.info('kept')\ntask.close()\nlogger.info('after')\n"
    )
    assert ran.stream("stderr") == "INFO kept\n"
    assert ran.err.endswith("INFO kept\nINFO after\n")


def test_text_that_is_not_printed_is_in_the_console_all_the_same(machine: Machine) -> None:
    ran = machine.run(
        INIT + "Logger.current_logger().report_text('silent', print_console=False)\nprint('said')\n"
    )
    assert ran.out == "said\n"
    assert ran.stream("stdout") == "silent\nsaid\n"
    assert [record["message"] for record in ran.records("text")] == ["silent"]


def test_under_an_agent_silent_text_is_printed_since_nobody_looks_on(machine: Machine) -> None:
    ran = machine.run_under_agent(INIT + "task.logger.report_text('silent', 30, False)\n")
    assert ran.out == "silent\n"


def test_logging_alone_can_be_kept(machine: Machine) -> None:
    ran = machine.run(
        "import logging\n" + ONLY_LOGGING + "print('not kept')\n"
        "logging.getLogger('lib').warning('heard')\n"
        "logging.getLogger('lib').debug('below the level')\n"
    )
    assert ran.spool is not None
    assert not (ran.spool / "stdout.log").exists()
    (line,) = ran.stream("stderr").splitlines()
    assert line.endswith(" - lib - WARNING - heard")
    assert ran.err.endswith("heard\n")  # what nothing was set up to show is shown as ever


@pytest.mark.parametrize("is_printed", [True, False])
def test_captured_logging_is_in_the_console_once(machine: Machine, is_printed: bool) -> None:
    setup = "logging.basicConfig(format='%(message)s')\n" if is_printed else ""
    ran = machine.run(
        f"import logging\n{setup}log = logging.getLogger()\n"
        + INIT
        + "log.setLevel('INFO')\n"
        + ("" if is_printed else "log.addHandler(logging.NullHandler())\n")
        + "with task.logger.capture_logging():\n    log.info('once')\nlog.info('outside')\n"
    )
    console = ran.stream("stderr") + ran.stream("stdout")
    assert console.count("once") == 1
    assert console.count("outside") == is_printed
    (record,) = ran.records("text")
    assert (record["level"], record["message"]) == ("info", "once")
