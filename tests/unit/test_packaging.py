"""What ``pip install dray`` brings: the wheel's contents, its needs, and a quiet import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import timeit
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import dray

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "actors", "api", "sdk", "envbuilder", "selftest", "automation", "examples")
PTH = "dray-auto-init.pth"
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built by the build backend itself, from a copy, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in ("src", *ROOMS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=IGNORED)
    built = subprocess.run(
        [
            sys.executable,
            "-I",  # installers do not have the source folder on the path either
            "-c",
            "from setuptools import build_meta; print(build_meta.build_wheel('dist'))",
        ],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(source / "dist" / built.stdout.split()[-1])


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (n for n in wheel.namelist() if n.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_dray_is_the_only_top_level_name(wheel: zipfile.ZipFile) -> None:
    assert metadata(wheel, "top_level.txt").split() == ["dray"]
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dray", PTH}


def test_every_file_of_every_room_is_inside(wheel: zipfile.ZipFile) -> None:
    wanted = {
        f"dray/{path.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for pattern in ("*.py", "*.sql", "web/**/*")
        for path in (ROOT / room).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted | {"dray/py.typed", "dray/__main__.py"} <= set(wheel.namelist())


def test_the_example_of_the_demo_is_inside(wheel: zipfile.ZipFile) -> None:
    assert "dray/examples/digits/train.py" in wheel.namelist()


def test_a_laptop_gets_no_engine_and_no_server(wheel: zipfile.ZipFile) -> None:
    needs = Parser().parsestr(metadata(wheel, "METADATA")).get_all("Requires-Dist") or []
    plain = [need for need in needs if "extra ==" not in need]
    for heavy in ("ray", "fastapi", "uvicorn", "aiosqlite", "pydantic", "uv"):
        assert not [n for n in plain if n.split(">")[0].split(";")[0].strip() == heavy]
        assert [n for n in needs if n.startswith(f"{heavy}>") and 'extra == "cluster"' in n]


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    assert "dray = dray.sdk.cli.main:run" in metadata(wheel, "entry_points.txt")


def test_an_untouched_script_is_recorded_when_the_variable_says_so(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    site, home = installed(wheel, tmp_path), tmp_path / "home"
    script = tmp_path / "plain.py"
    script.write_text("import sys; sys.exit(3 if sys.argv[1:] else 0)")
    for variable, n_runs in (("0", 0), ("1", 1)):
        variables = {"DRAY_AUTO_INIT": variable, "DRAY_HOME": str(home), "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-S", "-c", AS_INSTALLED, site, str(script), "once"],
            env={**variables, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 3, done.stderr
        assert len(list(home.glob("spools/*"))) == n_runs, done.stderr
    (spool,) = home.glob("spools/*")
    assert '"exit_code":3' in (spool / "records.jsonl").read_text()


def test_the_line_that_every_start_reads_costs_next_to_nothing(wheel: zipfile.ZipFile) -> None:
    line = wheel.read(PTH).decode()
    code = compile(line, PTH, "exec")
    assert timeit.timeit(lambda: exec(code), number=1000) < 0.1  # noqa: S102  (0.1 ms each)
    assert line.count("\n") == 1


def installed(wheel: zipfile.ZipFile, folder: Path) -> str:
    """What the wheel holds, laid out as an installer does."""
    wheel.extractall(folder / "site-packages")
    return str(folder / "site-packages")


#: Starts a script as ``python script`` does in an environment that has the wheel: its site folder
#: is read, then the interpreter tells that a script is about to run.
AS_INSTALLED = """\
import runpy, site, sys
site.addsitedir(sys.argv[1])
sys.argv = sys.argv[2:]
sys.audit("cpython.run_file", sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def in_a_clean_process(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_importing_dray_loads_the_standard_library_only() -> None:
    loaded = in_a_clean_process(
        "import sys; before = set(sys.modules); import dray; print(*set(sys.modules) - before)"
    )
    tops = {module.split(".")[0] for module in loaded.split()}
    assert tops - sys.stdlib_module_names == {"dray"}


def test_importing_dray_opens_nothing() -> None:
    events = in_a_clean_process(
        "import sys\n"
        "seen = []\n"
        "loud = ('socket.', 'subprocess.', 'os.fork', 'os.posix_spawn', 'os.mkdir')\n"
        "sys.addaudithook(lambda e, a: seen.append(e) if e.startswith(loud) else None)\n"
        "import threading, dray\n"
        "print(*seen, *(t.name for t in threading.enumerate() if t.name != 'MainThread'))\n"
    )
    assert events == ""


def test_what_is_visible_is_what_is_announced() -> None:
    assert sorted(dir(dray)) == sorted(dray.__all__)
    for name in dray.__all__:
        assert getattr(dray, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tsak'"):
        dray.tsak  # noqa: B018
