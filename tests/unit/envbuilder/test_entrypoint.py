"""Whatever the entry point is, the command that runs it is right, or the message is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dray.envbuilder.launch.entry_point import command_of
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Container, Execution

PYTHON = "/envs/k/bin/python"
RECORDER = ["-m", "dray.sdk.bootstrap"]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "bin").mkdir(parents=True)
    for name in ("train.py", "nb.ipynb", "run.sh", "run.zsh"):
        (root / name).write_text("")
    tool = root / "bin" / "tool"
    tool.write_text("#!/usr/bin/env perl\n")
    tool.chmod(0o755)
    return root


def command(code: Path, **members: Any) -> list[str]:
    return command_of(Execution(**members), Path(PYTHON), code, code, "/usr/bin:/bin")


@pytest.mark.parametrize(
    ("members", "argv"),
    [
        ({"entry_point": "train.py"}, [PYTHON, "train.py"]),
        ({"entry_point": "train.py", "bootstrap": True}, [PYTHON, *RECORDER, "train.py"]),
        ({"entry_point": "-m a.b", "bootstrap": True}, [PYTHON, *RECORDER, "-m", "a.b"]),
        ({"entry_point": "nb.ipynb", "bootstrap": True}, [PYTHON, *RECORDER, "nb.ipynb"]),
        ({"entry_point": "nb.ipynb"}, [PYTHON, *RECORDER, "--no-task", "nb.ipynb"]),
        ({"entry_point": "run.sh", "bootstrap": True}, ["/bin/bash", "run.sh"]),
        ({"entry_point": "run.zsh", "binary": "/bin/sh -e"}, ["/bin/sh", "-e", "run.zsh"]),
        ({"entry_point": "-m a", "binary": "env"}, ["env", "-m", "a"]),
        ({"binary": "uname"}, ["uname"]),
        ({"binary": "bin/tool"}, ["bin/tool"]),
        (
            {"binary": "only-in-the-image", "container": Container("debian:12")},
            ["only-in-the-image"],
        ),
    ],
)
def test_it_is_run_by_what_it_is(code: Path, members: dict[str, Any], argv: list[str]) -> None:
    assert command(code, **members) == argv


def test_a_program_of_the_code_is_run_itself(code: Path) -> None:
    assert command(code, entry_point="bin/tool", bootstrap=True) == [str(code / "bin" / "tool")]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"entry_point": ""}, "names no script"),
        ({"entry_point": "--what"}, "neither a script nor"),
        ({"entry_point": "none.ipynb"}, "run.sh"),
        ({"binary": "no-such-program"}, "no-such-program"),
        ({"binary": "/no/such/zsh", "entry_point": "run.zsh"}, "/no/such/zsh"),
        ({"binary": "./train.py"}, "no program of this node"),
    ],
)
def test_what_cannot_be_run_says_why(code: Path, members: dict[str, Any], named: str) -> None:
    with pytest.raises(PreparationFailed, match=named):
        command(code, **members)


def test_a_program_that_a_setup_script_may_install_is_not_looked_for(code: Path) -> None:
    wanted = Execution(binary="made-by-setup")
    assert command_of(wanted, Path(PYTHON), code, code, "") == ["made-by-setup"]
