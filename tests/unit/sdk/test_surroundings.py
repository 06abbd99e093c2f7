"""What surrounds a task's process is set on a draft, and travels with a document of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dray import Task
from dray.runtime.errors import InvalidInput, NotEditable, WrongType
from tests.unit.sdk.live import TOKEN, Live


@pytest.fixture(autouse=True)
def here(tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> Live:
    """This process as a laptop that knows the server."""
    for name in ("DRAY_TASK_ID", "DRAY_SPOOL", "DRAY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    return live


def draft() -> Task:
    return Task.create(project_name="p", task_name="t")


def described(task: Task) -> None:
    task.set_environment(
        manager="pip", index_urls="https://u:${TOKEN}@host/simple", extras=["gpu"], groups=["dev"]
    )
    task.set_environment(packages_from="task", torch_backend="cpu", constraints=["numpy<2", ""])
    task.set_variables({"HF_TOKEN": "${HF}", "N": 3})
    task.set_setup_script(["ulimit -n 4096", "export A=1"])
    task.set_python_path("src")
    task.set_system_packages(["libgl1"])


EXPECTED: dict[str, Any] = {
    "environment_manager": "pip",
    "packages_from": "task",
    "torch_backend": "cpu",
    "index_urls": ["https://u:${TOKEN}@host/simple"],
    "extras": ["gpu"],
    "groups": ["dev"],
    "constraints": ["numpy<2"],
    "variables": {"HF_TOKEN": "${HF}", "N": "3"},
    "setup_script": "ulimit -n 4096\nexport A=1",
    "python_path": ["src"],
    "system_packages": ["libgl1"],
}


def test_everything_around_the_process_is_set_and_kept(here: Live) -> None:
    task = draft()
    described(task)
    task.reload()
    kept = task.execution
    assert {name: kept[name] for name in EXPECTED} == EXPECTED
    task.set_variables({})
    task.set_environment(manager="", index_urls=[])
    task.reload()
    kept = task.execution
    assert (kept["variables"], kept["environment_manager"], kept["index_urls"]) == ({}, "", [])
    assert kept["torch_backend"] == "cpu"


def test_a_document_of_a_task_makes_one_with_the_same_surroundings(here: Live) -> None:
    task = draft()
    described(task)
    again = Task.import_task(task.export_task())
    assert again is not None
    assert {name: again.execution[name] for name in EXPECTED} == EXPECTED


def test_a_setup_script_may_be_a_file(here: Live, tmp_path: Path) -> None:
    file = tmp_path / "setup.sh"
    file.write_text("module load cuda\n")
    task = draft()
    task.set_setup_script(file)
    assert task.execution["setup_script"] == "module load cuda\n"
    with pytest.raises(InvalidInput, match=r"absent\.sh"):
        task.set_setup_script(tmp_path / "absent.sh")


def test_a_task_that_ran_stays_as_it_was(here: Live) -> None:
    task = draft()
    task.mark_completed(force=True)
    with pytest.raises(NotEditable):
        described(task)


def test_variables_are_names_with_values(here: Live) -> None:
    bad: Any = ["A=1"]
    with pytest.raises(WrongType, match="variables is a list"):
        draft().set_variables(bad)
