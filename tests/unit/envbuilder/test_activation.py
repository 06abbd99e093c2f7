"""What packages of conda set when their environment is used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dray.envbuilder.builders.activation import record_variables
from dray.envbuilder.launch.activation import variables_of
from dray.envbuilder.place import NODE
from dray.runtime.errors import PreparationFailed

NODES = {"PATH": "/usr/bin:/bin", "HOME": "/h"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "etc" / "conda" / "activate.d").mkdir(parents=True)
    return tmp_path


def script(home: Path, name: str, text: str) -> None:
    (home / "etc" / "conda" / "activate.d" / name).write_text(text)


async def test_what_their_scripts_set_and_the_file_says_is_noted(home: Path) -> None:
    script(home, "gdal.sh", 'export GDAL_DATA="$CONDA_PREFIX/share/gdal"; echo noise\n')
    script(home, "path.sh", "export PATH=/elsewhere PYTHONPATH=/elsewhere\n")
    await record_variables(home, {"A": "1"}, NODES, NODE)
    noted = variables_of(home)
    assert noted.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # which some Pythons set themselves
    assert noted == {"CONDA_PREFIX": str(home), "GDAL_DATA": f"{home}/share/gdal", "A": "1"}


async def test_a_script_that_ends_the_shell_is_an_error(home: Path) -> None:
    script(home, "bad.sh", "echo no licence >&2; exit 3\n")
    with pytest.raises(PreparationFailed, match=r"activate\.d of this environment fails") as caught:
        await record_variables(home, {}, NODES, NODE)
    assert "no licence" in caught.value.details["evidence"]


def test_other_environments_want_nothing(tmp_path: Path) -> None:
    assert variables_of(tmp_path) == {}
