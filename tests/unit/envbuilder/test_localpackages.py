"""Packages of the code: hashed as a whole, built from a copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dray.envbuilder.choice.local_packages import project_copy, tree_hash, version_variables
from dray.envbuilder.spec import EnvironmentSpec, LocalPackage, ProjectFile
from dray.runtime.errors import PreparationFailed


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "code" / "lib"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "mine.py").write_text("A = 1\n")
    (folder / "run.sh").write_text("true\n")
    (folder / "link").symlink_to("run.sh")
    return folder


def _relink(package: Path) -> None:
    (package / "link").unlink()
    (package / "link").symlink_to("src")


CHANGES: list[Callable[[Path], object]] = [
    lambda package: (package / "src" / "mine.py").write_text("A = 2\n"),
    lambda package: (package / "src" / "mine.py").rename(package / "src" / "ours.py"),
    lambda package: (package / "run.sh").chmod(0o755),
    lambda package: (package / "new.txt").write_text(""),
    _relink,
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_in_a_package_changes_its_hash(
    change: Callable[[Path], object], package: Path
) -> None:
    before = tree_hash(package)
    change(package)
    assert tree_hash(package) != before


def test_times_and_what_tools_leave_behind_do_not(package: Path) -> None:
    before = tree_hash(package)
    os.utime(package / "run.sh", (0, 0))
    (package / "src" / "__pycache__").mkdir()
    (package / "src" / "__pycache__" / "mine.pyc").write_bytes(b"x")
    (package / ".git").mkdir()
    (package / ".git" / "HEAD").write_text("x")
    assert tree_hash(package) == before


async def test_a_copy_has_the_paths_of_the_code_and_is_gone_afterwards(
    package: Path, tmp_path: Path
) -> None:
    spec = EnvironmentSpec(
        files=(ProjectFile("sub/uv.lock", "…"),),
        local=(LocalPackage("lib", "ab"),),
        code=package.parent,
    )
    async with project_copy(spec, tmp_path / "env") as copy:
        assert (copy / "lib" / "src" / "mine.py").read_text() == "A = 1\n"
        assert os.readlink(copy / "lib" / "link") == "run.sh"
        assert (copy / "sub" / "uv.lock").read_text() == "…"
    assert not copy.exists()


async def test_a_package_that_is_not_here_is_named(tmp_path: Path) -> None:
    spec = EnvironmentSpec(local=(LocalPackage("lib", "ab"),), code=tmp_path)
    with pytest.raises(PreparationFailed, match="needs lib of the task's code"):
        async with project_copy(spec, tmp_path / "env"):
            pytest.fail("there is nothing to copy")


def test_a_version_that_git_would_tell_is_told_to_that_package_alone(package: Path) -> None:
    project = '[project]\nname = "my-lib.x"\ndynamic = ["version"]\n'
    (package / "pyproject.toml").write_text(project)
    spec = EnvironmentSpec(local=(LocalPackage("lib", "ab"),))
    told = version_variables(spec, package.parent)
    assert told == {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_LIB_X": "0.0.0"}
