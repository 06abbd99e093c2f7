"""``python -m dray.sdk.bootstrap``: a script that does not know of Dray, recorded as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.sdk.scripts import TASK_ID, Machine, Ran, agent_spool, final, parameters

BOOT = ("-m", "dray.sdk.bootstrap")
PLAIN = """import argparse, sys
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1)
print(p.parse_args().lr)
"""


def under_agent(machine: Machine, text: str, *command: str, **members: Any) -> Ran:
    spool = agent_spool(machine.root / "spool", **members)
    ran = machine.run(text, *BOOT, *command, DRAY_TASK_ID=TASK_ID, DRAY_SPOOL=str(spool))
    ran.spool = spool
    return ran


def test_arguments_of_a_script_without_a_line_of_dray_are_overridden(machine: Machine) -> None:
    ran = under_agent(
        machine, PLAIN, "train.py", "--lr", "0.3", parameters=parameters(Args__lr="0.5")
    )
    assert (ran.code, ran.out) == (0, "0.5\n"), ran.err


def test_by_hand_its_arguments_and_code_are_recorded(machine: Machine) -> None:
    ran = machine.run(PLAIN, *BOOT, "--project", "p", "--name", "n", "train.py", "--lr", "0.3")
    assert ran.out == "0.3\n", ran.err
    assert ran.records("parameters")[0]["values"]["Args/lr"]["value"] == "0.3"
    assert ran.spool is not None
    task = json.loads((ran.spool / "task.json").read_text())
    execution = task["execution"]
    assert (task["project"], task["name"]) == ("p", "n")
    assert (execution["entry_point"], execution["arguments"]) == ("train.py", ["--lr", "0.3"])
    assert execution["bootstrap"] is True
    assert final(ran) == {"exit_code": 0}


LOOK = """import os, sys
import beside
print(__name__, os.path.basename(__file__), sys.argv, os.path.basename(sys.path[0]), __spec__)
print(sys.modules["__main__"].__dict__ is globals())
"""


def test_the_script_finds_what_python_would_give_it(machine: Machine) -> None:
    (machine.code / "sub").mkdir()
    (machine.code / "sub/beside.py").write_text("")
    (machine.code / "sub/go.py").write_text(LOOK)
    plain = machine.run("", "sub/go.py", "a", "-b")
    recorded = under_agent(machine, "", "sub/go.py", "a", "-b")
    assert (recorded.code, recorded.out) == (0, plain.out), recorded.err


def test_a_module_finds_what_python_would_give_it(machine: Machine) -> None:
    (machine.code / "pkg").mkdir()
    (machine.code / "pkg/__init__.py").write_text("")
    (machine.code / "pkg/mod.py").write_text(
        "import os, sys\nprint(__name__, __package__, sys.argv[1:], sys.path[0] == os.getcwd())\n"
    )
    recorded = under_agent(machine, "", "-m", "pkg.mod", "x")
    assert (recorded.code, recorded.out) == (0, "__main__ pkg ['x'] True\n"), recorded.err
    by_hand = machine.run("", *BOOT, "-m", "pkg.mod", "x")
    assert by_hand.spool is not None
    execution = json.loads((by_hand.spool / "task.json").read_text())["execution"]
    assert (execution["entry_point"], execution["arguments"]) == ("-m pkg.mod", ["x"])


def test_a_traceback_begins_in_the_users_file(machine: Machine) -> None:
    text = "def f():\n    raise ValueError('bad')\nf()\n"
    plain, recorded = machine.run(text), machine.run(text, *BOOT, "train.py")
    assert (plain.code, recorded.code) == (1, 1)
    said = recorded.err[recorded.err.index("Traceback") :]
    assert said.replace(str(machine.code) + "/", "") == plain.err.replace(
        str(machine.code) + "/", ""
    )
    assert final(recorded)["reason"] == "ValueError: bad"


@pytest.mark.parametrize(("last", "code"), [("sys.exit(3)", 3), ("raise SystemExit(4)", 4)])
def test_the_exit_code_is_the_scripts(machine: Machine, last: str, code: int) -> None:
    assert machine.run(f"import sys\n{last}", *BOOT, "train.py").code == code


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((), "usage:"),
        (("-m",), "usage:"),
        (("missing.py",), "no such script: missing.py"),
        (("-m", "missing"), "no module named missing"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    machine: Machine, command: tuple[str, ...], said: str
) -> None:
    ran = machine.run("", *BOOT, *command)
    assert ran.code == 1
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
