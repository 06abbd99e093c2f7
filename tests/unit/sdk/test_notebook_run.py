"""A notebook's file runs without a kernel: cells in order, magics as far as they make sense."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.errors import InvalidInput
from dray.sdk.capture import notebook_file
from dray.sdk.capture.imports import follow


def notebook(*cells: str | dict[str, Any], language: str = "python") -> bytes:
    made: list[Any] = [
        cell
        if isinstance(cell, dict)
        else {"cell_type": "code", "source": cell.splitlines(keepends=True), "metadata": {}}
        for cell in cells
    ]
    document: dict[str, Any] = {
        "cells": made,
        "metadata": {"kernelspec": {"language": language}},
        "nbformat": 4,
    }
    return json.dumps(document).encode()


def ran(folder: Path, *cells: str | dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """A process that runs these cells, recorded nowhere."""
    (folder / "nb.ipynb").write_bytes(notebook(*cells))
    return subprocess.run(
        [sys.executable, "-m", "dray.sdk.bootstrap", "--no-task", "nb.ipynb", "--lr", "1"],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_cells_run_in_order_and_show_what_a_notebook_shows(tmp_path: Path) -> None:
    done = ran(
        tmp_path,
        "import sys\nx = 3",
        {"cell_type": "markdown", "source": "# words"},
        "x + 1",
        "x + 2;",
        "%%time\nx = x * 2\nx",
        "display('shown', [1])\nNone",
        "import asyncio\nawait asyncio.sleep(0, sys.argv[1:])",
        {"cell_type": "code", "source": "1 / 0", "metadata": {"tags": ["raises-exception"]}},
        {"cell_type": "code", "source": "exit(9)", "metadata": {"tags": ["skip-execution"]}},
        "print(__name__)",
    )
    assert (done.returncode, done.stdout) == (0, "4\n6\nshown\n[1]\n['--lr', '1']\n__main__\n")
    assert "ZeroDivisionError" in done.stderr


def test_magics_and_shell_commands_do_what_they_can(tmp_path: Path) -> None:
    done = ran(
        tmp_path,
        "%matplotlib inline\nname = 'you'",
        "!echo hello {name} $name $(echo there)\nlines = !printf 'a\\nb\\n'\nlines",
        "%%bash\necho from bash $((1 + 1))",
        "%%writefile made.txt\ncontent",
        "for i in range(2):\n    !echo $i",
        "text = '''\n!no command\n%no magic\n'''\n%env NEW=value\nimport os; os.environ['NEW']",
        "%mkdir -p below\n%cd below\n%pwd",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"hello you you there\n['a', 'b']\nfrom bash 2\n0\n1\nvalue\n{tmp_path / 'below'}\n"
    )
    assert (tmp_path / "made.txt").read_text() == "content\n"


def test_what_needs_a_kernel_is_passed_over_and_said(tmp_path: Path) -> None:
    done = ran(
        tmp_path,
        "!pip install torch\n%pip install torch\n!{sys.executable} -m pip install torch",
        "%load_ext autoreload\nprint?\n%%oops",
        "%%sql\nselect 1",
        "print('on')",
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr.count("name packages in the task instead") == 3
    for text in ("%load_ext autoreload", "print?", "%%sql"):
        assert text in done.stderr


def test_a_cell_that_raises_ends_the_run_and_names_its_line(tmp_path: Path) -> None:
    done = ran(tmp_path, "def f():\n    raise ValueError('no')", "f()", "print('never')")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'File "nb.ipynb cell 1", line 2, in f' in done.stderr
    assert "notebook_run" not in done.stderr


def test_a_failing_script_cell_ends_the_run(tmp_path: Path) -> None:
    assert ran(tmp_path, "%%bash\nexit 3", "print('never')").returncode == 1


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1",
        "!ls\n%time x = f(1)\n",
        "if x:\n    !ls\nelse:\n    %cd ..\n",
        "x = !ls\ny = %env HOME\nobj?\n?obj",
        "%%html\n<b>no python</b>",
        "z = '''\n!kept\n'''\n!run",
        "call(\n    1,\n    2)\n!run\n",
        "%%timeit -n 3\nf()",
        "\n\n%%bash\necho",
    ],
)
def test_each_line_stays_where_it_was(cell: str) -> None:
    text = notebook_file.as_python(cell)
    ast.parse(text)
    if not cell.lstrip().startswith("%%"):
        assert text.count("\n") == cell.count("\n")


def test_imports_of_a_notebook_are_found(tmp_path: Path) -> None:
    (tmp_path / "helper.py").touch()
    (tmp_path / "nb.ipynb").write_bytes(notebook("!ls\nimport helper", "import numpy as np"))
    found = follow(tmp_path / "nb.ipynb", tmp_path)
    assert [file.name for file in found.files] == ["nb.ipynb", "helper.py"]
    assert "numpy" in found.outside


@pytest.mark.parametrize(
    ("data", "named"),
    [(b"{}", "no notebook"), (b"[1]", "no notebook"), (notebook("1", language="R"), "in R")],
)
def test_what_is_no_notebook_in_python_is_refused(data: bytes, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        notebook_file.read(data, "nb.ipynb")


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, dray.sdk.notebook_run as n; print(n.__name__, 'IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=os.sep)
    assert done.stdout == "dray.sdk.notebook_run False\n"
