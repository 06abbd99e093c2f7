"""Command lines of libraries: what a script leaves by hand, and what stored values change."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime.models import Parameter
from dray.sdk.binders.environment import matching
from tests.unit.sdk.scripts import Machine, Ran

INIT = "from dray import Task\n"
TYPER = (
    INIT
    + """
import typer
app = typer.Typer()
@app.command()
def train(lr: float = 0.1, tags: list[str] = ["a"], fast: bool = False, n: int | None = None):
    Task.init("p", "n")
    print("train", lr, tags, fast, n)
@app.command()
def test(x: int):
    Task.init("p", "n")
    print("test", x)
app()
"""
)
CLICK = (
    INIT
    + """
import click
@click.command()
@click.option("--name", prompt=True)
@click.option("--password", prompt=True, hide_input=True, default="?")
@click.option("--mode", type=click.Choice(["a", "b"]), default="a")
@click.option("-v", count=True)
@click.option("--upper", "case", flag_value="upper", default=True)
@click.option("--lower", "case", flag_value="lower")
@click.argument("pair", nargs=2, type=int)
def main(**values):
    Task.init("p", "n")
    print(values)
main()
"""
)
FIRE = (
    INIT
    + """
import fire
def main(x, *rest, y="2", z=None, **more):
    Task.init("p", "n")
    print(x, rest, repr(y), z, more)
fire.Fire(main)
"""
)


def stored(ran: Ran) -> dict[str, Parameter]:
    """Parameters that a run recorded."""
    found: dict[str, Parameter] = {}
    for record in ran.records("parameters"):
        found.update({name: Parameter(**members) for name, members in record["values"].items()})
    return found


def edited(values: dict[str, Parameter], **edits: str) -> dict[str, Parameter]:
    """With other values, of the types that are stored."""
    flat = {name.replace("__", "/"): value for name, value in edits.items()}
    return {n: Parameter(flat.get(n, p.value), p.type, p.description) for n, p in values.items()}


def both(
    machine: Machine, script: str, arguments: list[str], **edits: str
) -> tuple[dict[str, str], Ran]:
    """What a run by hand records, and an edited one under an agent."""
    by_hand = machine.run(script, "train.py", *arguments)
    assert by_hand.code == 0, by_hand.err
    values = stored(by_hand)
    remote = machine.run_under_agent(script, *arguments, parameters=edited(values, **edits))
    assert remote.code == 0, remote.err
    return {name: p.value for name, p in values.items()}, remote


def test_typer_is_served_by_its_own_types(machine: Machine) -> None:
    values, remote = both(
        machine,
        TYPER,
        ["train", "--lr", "0.5"],
        Args__train__lr="2",
        Args__train__tags="[x, y]",
        Args__train__fast="True",
        Args__train__n="7",
    )
    assert (values["Args/train"], values["Args/test"]) == ("True", "False")
    assert remote.out == "train 2.0 ['x', 'y'] True 7\n"


def test_click_asks_for_nothing_that_is_stored(machine: Machine) -> None:
    values, remote = both(
        machine,
        CLICK,
        ["--name", "eve", "--password", "hush", "1", "2"],
        Args__name="bob",
        Args__mode="z",
        Args__v="3",
        Args__case="lower",
        Args__pair="[3, 4]",
    )
    assert "Args/password" not in values
    assert values["Args/pair"] == "[1, 2]"
    assert eval(remote.out) == {  # noqa: S307
        "name": "bob",
        "password": "hush",
        "mode": "a",
        "v": 3,
        "case": "lower",
        "pair": (3, 4),
    }
    assert "parameter Args/mode = 'z' cannot be used" in remote.err


def test_fire_reads_texts_as_texts_and_the_rest_as_on_a_command_line(machine: Machine) -> None:
    values, remote = both(
        machine,
        FIRE,
        ["1", "2", "3", "--extra", "q"],
        Args__x="9",
        Args__rest="[7, a]",
        Args__y="5",
        Args__z="[1, 2]",
    )
    assert (values["Args/rest"], values["Args/extra"]) == ("[2, 3]", "q")
    assert remote.out == "9 (7, 'a') '5' [1, 2] {'extra': 'q'}\n"


def test_each_job_of_a_sweep_has_its_task_and_its_clone_runs_alone(machine: Machine) -> None:
    (machine.code / "config.yaml").write_text("x: 1\n")
    script = (
        INIT
        + "import hydra\n@hydra.main(config_path='.', config_name='config', version_base=None)\n"
        "def main(config):\n    Task.init('p', 'n')\n    print('x', config.x)\nmain()\n"
    )
    ran = machine.run(script, "train.py", "-m", "x=2,3")
    assert ran.err.count("recording task") == 2, ran.err
    assert stored(ran)["Hydra/x"].value in ("2", "3")
    values = {"Hydra/x": Parameter("5", "str")}
    remote = machine.run_under_agent(script, "-m", "x=2,3", parameters=values)
    assert [line for line in remote.out.splitlines() if line.startswith("x ")] == ["x 5"]


@pytest.mark.parametrize("switch", ["auto_connect_arg_parser=False", "auto_connect_arg_parser={}"])
def test_what_is_switched_off_is_not_recorded(machine: Machine, switch: str) -> None:
    script = FIRE.replace('"p", "n"', f'"p", "n", {switch}')
    ran = machine.run(script, "train.py", "1")
    assert (ran.code, stored(ran)) == (0, {})


def test_a_binder_that_fails_says_so_once_and_steps_aside(machine: Machine) -> None:
    broken = "import dray.sdk.binders.fire as binder\nbinder._defaults = None\n"
    ran = machine.run(FIRE.replace("import fire\n", f"import fire\n{broken}"), "train.py", "1")
    assert (ran.code, ran.out) == (0, "1 () '2' None {}\n")
    assert ran.err.count("the command line of fire is not recorded: TypeError") == 1


def test_variables_are_recorded_by_pattern_and_set_again(machine: Machine) -> None:
    script = INIT + "import os\nTask.init('p', 'n')\nprint(os.environ.get('MY_LEVEL'))\n"
    ran = machine.run(script, MY_LEVEL="3", MY_TOKEN="hush", DRAY_LOG_ENVIRONMENT="MY_*")
    assert {name: p.value for name, p in stored(ran).items()} == {"Environment/MY_LEVEL": "3"}
    values = {"Environment/MY_LEVEL": Parameter("7"), "Environment/DRAY_SPOOL": Parameter("x")}
    assert machine.run_under_agent(script, parameters=values).out == "7\n"


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ("", []),
        ("HOME", ["HOME"]),
        ("*", ["HOME", "CUDA_DEVICE"]),
        ("*_DEVICE, API_KEY", ["CUDA_DEVICE", "API_KEY"]),
        ("DRAY_*", []),
    ],
)
def test_patterns_leave_out_what_looks_like_a_secret(patterns: str, found: list[str]) -> None:
    names: Any = ["HOME", "CUDA_DEVICE", "API_KEY", "DB_PASSWORD", "DRAY_URL", "GH_TOKEN"]
    assert list(matching(patterns, names)) == found
