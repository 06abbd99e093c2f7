"""Setup scripts run before a task, in its process; what they say is told apart from its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.launch.setup_script import SetupOutput, with_setup

TOLD = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.argv[1:]]))"


@dataclass
class Ran:
    """What came of a task with setup scripts."""

    code: int
    stdout: str
    said: str
    stderr: str
    output: SetupOutput

    @property
    def env(self) -> dict[str, str]:
        return json.loads(self.stdout)[0]


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    cwd = tmp_path / "my code"
    cwd.mkdir()

    def start(*scripts: str, task: str = TOLD, arguments: tuple[str, ...] = ()) -> Ran:
        env = {"PATH": os.defpath, "PYTHONPATH": "/ours", "DRAY_TOKEN": "scoped"}
        argv = [sys.executable, "-I", "-S", "-c", task, *arguments]
        setup = with_setup(LaunchPlan(argv, cwd, env), scripts, ["DRAY_TOKEN"], tmp_path / "setup")
        assert setup is not None
        done = subprocess.run(
            setup.plan.argv,
            cwd=setup.plan.cwd,
            env=setup.plan.env,
            capture_output=True,
            check=False,
        )
        said, own = setup.output.feed(done.stderr)
        rest, own_rest = setup.output.close()
        stdout = done.stdout.decode()
        return Ran(
            done.returncode, stdout, (said + rest).decode(), (own + own_rest).decode(), setup.output
        )

    return start


def test_what_a_script_exports_counts_for_the_task(run: Run) -> None:
    ran = run("export A='b c'\nB=inner\nPATH=/opt/tool:$PATH\n", "export C=$A$B")
    assert (ran.code, ran.said, ran.stderr) == (0, "", "")
    assert (ran.env["A"], ran.env["C"]) == ("b c", "b cinner")
    assert "B" not in ran.env
    assert ran.env["PATH"].startswith("/opt/tool:")
    assert not [name for name in ran.env if name.startswith("_dray")]


def test_a_task_runs_where_it_would_with_its_arguments_as_they_are(run: Run) -> None:
    ran = run("cd /\nset -- changed", arguments=("a b", "$HOME", "'"))
    _, cwd, arguments = json.loads(ran.stdout)
    assert Path(cwd).name == "my code"
    assert arguments == ["a b", "$HOME", "'"]


def test_what_belongs_to_the_agent_stays_whatever_a_script_sets(run: Run) -> None:
    ran = run("export DRAY_TOKEN=stolen PYTHONPATH=/mine")
    assert ran.env["DRAY_TOKEN"] == "scoped"
    assert ran.env["PYTHONPATH"] == "/ours:/mine"
    assert "scoped" not in "".join(p.read_text() for p in Path(ran.env["PWD"]).parent.glob("*/*"))


def test_a_scripts_words_are_told_apart_from_the_tasks_own(run: Run) -> None:
    script = "set -x\necho to stdout\necho to stderr >&2\npip config list -v https://me:pw@host/\n"
    task = "import sys; print('out'); print('err', file=sys.stderr)"
    ran = run(script.replace("pip", "echo pip"), task=task)
    assert (ran.stdout, ran.stderr) == ("out\n", "err\n")
    assert "to stdout\n" in ran.said
    assert "to stderr\n" in ran.said
    assert "pw" not in ran.said
    assert ran.output.passed


@pytest.mark.parametrize(
    ("script", "code"), [("echo why >&2; exit 3", 3), ("echo why\nfalse\necho no", 1)]
)
def test_the_first_failure_ends_it_before_the_task(run: Run, script: str, code: int) -> None:
    ran = run("true", script)
    assert (ran.code, ran.stdout, ran.stderr) == (code, "", "")
    assert (ran.output.began, ran.output.passed) == (True, False)
    assert ran.output.tail() == "why"


def test_a_script_may_be_bash_and_say_that_it_goes_on_after_failures(run: Run) -> None:
    ran = run('set +e\nfalse\n[[ a == a ]] && words=(1 2) && export N="${#words[@]}"', "true")
    assert ran.env["N"] == "2"


def test_signals_and_exit_codes_are_the_tasks_own(run: Run) -> None:
    assert run("trap '' TERM", task="raise SystemExit(7)").code == 7


def test_a_signal_that_a_script_ignored_ends_the_task(run: Run) -> None:
    task = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert run("trap '' TERM", task=task).code == -signal.SIGTERM


def test_without_a_script_nothing_is_added(tmp_path: Path) -> None:
    plan = LaunchPlan(["python"], tmp_path, {})
    assert with_setup(plan, ["", " \n"], [], tmp_path / "setup") is None


def test_output_is_parted_wherever_it_is_cut() -> None:
    whole = b"pulling\nm-begin\nin setup\nno newlinem-end\nown\nm-begin\n"
    for size in range(1, len(whole)):
        output = SetupOutput("m")
        parts = [output.feed(whole[i : i + size]) for i in range(0, len(whole), size)]
        parts.append(output.close())
        said, own = (b"".join(each) for each in zip(*parts, strict=True))
        assert said == b"in setup\nno newline\n"
        assert own == b"pulling\nown\nm-begin\n"


def test_what_never_began_is_nobodys_setup() -> None:
    output = SetupOutput("m")
    said, own = output.feed(b"docker: no such image\nm-be")
    rest = output.close()
    assert (said + rest[0], own + rest[1]) == (b"", b"docker: no such image\nm-be")
    assert not output.began
