"""What a task's environment is made of, chosen from what the task and its code say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dray.envbuilder.choice import choose
from dray.runtime.execution import Execution
from dray.runtime.resources import Resources


async def test_what_a_task_does_with_its_environment_is_not_covered(tmp_path: Path) -> None:
    one = Execution(packages=["a==1"])
    other = replace(one, entry_point="x.py", diff="…", commit="c", resources=Resources(gpus=1))
    assert await choose(one, tmp_path) == await choose(other, tmp_path)


async def test_blank_lines_and_comments_are_no_requirements(tmp_path: Path) -> None:
    execution = Execution(packages=["# Python 3.11", "", "  a==1 ", "b==2  # pinned"])
    assert (await choose(execution, tmp_path)).requirements == ("a==1", "b==2")


async def test_dray_itself_is_left_out_because_the_agent_brings_it(tmp_path: Path) -> None:
    lines = ["dray==0.1.0", "Dray", "dray[cluster] @ file:///home/me/dray", "drayage==1", "a"]
    chosen = await choose(Execution(packages=lines), tmp_path)
    assert chosen.requirements == ("drayage==1", "a")
