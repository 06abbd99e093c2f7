"""Notebooks, run by a real kernel."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.frameworks.conftest import EXAMPLES, Recorded


@pytest.fixture
def execute(
    tmp_path: Path, folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Run a notebook of these cells, or of the example; give it and what was recorded, by task."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def start(*cells: str, example: str = "") -> tuple[Any, list[Recorded]]:
        path = folder / (example or "story.ipynb")
        if example:
            shutil.copy(EXAMPLES / example, path)
        else:
            made = [nbformat.v4.new_code_cell(cell) for cell in cells]
            nbformat.write(nbformat.v4.new_notebook(cells=made), path)
        monkeypatch.setenv("JPY_SESSION_NAME", path.name)
        notebook = nbformat.read(path, 4)
        client = NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.allow_errors = True
        client.execute()
        spools = sorted((tmp_path / "home" / "spools").iterdir(), key=lambda p: p.stat().st_mtime)
        return notebook, [Recorded("", "", spool) for spool in spools]

    return start


def said(notebook: Any) -> str:
    """What its cells printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


def code_of(made: Recorded) -> str:
    """The script that was recorded last, as its cells."""
    diffs = [r["values"]["diff"] for r in made.of("execution") if "diff" in r["values"]]
    lines = [line for line in diffs[-1].splitlines() if not line.startswith("+++")]
    return "\n".join(line[1:] for line in lines if line.startswith("+"))


def test_the_example_is_recorded(execute: Any) -> None:
    notebook, (made,) = execute(example="notebook.ipynb")
    assert "trained" in said(notebook)
    assert made.series == {("loss", "train")}
    assert [(r["title"], r["series"]) for r in made.of("plot")] == [("squares", "plot")]
    assert [r["name"] for r in made.of("artifact")] == ["notebook"]
    assert [r["exit_code"] for r in made.of("final")] == [0]
    assert made.parameters == {}
    assert "trained" in (made.spool / "stdout.log").read_text()
    entry = [
        r["values"]["entry_point"] for r in made.of("execution") if "entry_point" in r["values"]
    ]
    assert entry[-1] == "notebook.py"
    compile(code_of(made), "notebook.py", "exec")


def test_cells_that_ran_are_the_script_without_what_is_not_python(execute: Any) -> None:
    begin = "from dray import Task\ntask = Task.init('frameworks', 'cells')"
    _, (made,) = execute(
        "%time\nearly = 1",
        begin,
        "!echo shell\nfor i in range(2):\n    %time i\nlen?",
        "%%time\nlate = early + 1\ndisplay(late)",
        "%%bash\necho never",
        "raise ValueError('a cell that fails is left out')",
        "print('end')",
    )
    code = code_of(made)
    compile(code, "story.py", "exec")
    lines = code.splitlines()
    for kept in ("early = 1", "late = early + 1", "print(late)", "print('end')"):
        assert kept in lines
    assert "# echo never" in lines
    assert "raise ValueError" not in code
    assert not [line for line in lines if line.lstrip().startswith(("%", "!", "get_ipython"))]


def test_a_task_may_end_and_another_begin_and_the_first_cell_may_run_again(execute: Any) -> None:
    begin = "from dray import Task\ntask = Task.init('frameworks', 'one'); print(task.id)"
    other = "task = Task.init('frameworks', 'two', reuse_last_task_id=False); print(task.id)"
    notebook, made = execute(begin, begin, "task.close()", other)
    first, again, second = said_ids(notebook)
    assert first == again != second
    assert {r.spool.name for r in made} == {first, second}


def said_ids(notebook: Any) -> list[str]:
    """Ids that its cells printed."""
    return [line for line in said(notebook).splitlines() if len(line) == 32]
