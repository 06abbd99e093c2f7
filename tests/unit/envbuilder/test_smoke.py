"""Which imports are certain to fail, and which are left to the run itself."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.smoke.check import Smoke, check_imports
from dray.envbuilder.smoke.scan import Request, Scan
from dray.runtime.causes import CauseKind
from dray.runtime.execution import Container, Execution


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with a few packages, as files alone make one."""
    folder = tmp_path_factory.mktemp("environment")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = folder / "lib" / version / "site-packages"
    lay(
        packages,
        {
            "numpi/__init__.py": "zeros = 0",
            "numpi/linear.py": "",
            "of_a_gpu.py": "raise RuntimeError('no CUDA device')",
            "needs_more.py": "import not_there_either",
            "loud.py": "import os; print('hello'); os.write(1, b'x'); print(os.environ)",
            "dead.py": "import os; os.abort()",
            "slow.py": "import time; time.sleep(60)",
            "mine.py": "raise AssertionError('the user\\'s own code was run')",
            "mine-1.dist-info/METADATA": "Name: mine\nVersion: 1\n",
            "mine-1.dist-info/top_level.txt": "mine\n",
            "mine-1.dist-info/direct_url.json": '{"url": "file:///c/mine", "dir_info": {}}',
            "numpi-1.dist-info/METADATA": "Name: numpi\nVersion: 1\n",
            "numpi-1.dist-info/top_level.txt": "numpi\n",
        },
    )
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(Path(sys.base_prefix) / "bin" / version)
    return folder / "bin" / "python"


def lay(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))


class Checked:
    """Checks code that is given as files."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._python, self.folder = python, folder

    async def __call__(
        self,
        files: dict[str, str] | str,
        entry: str = "main.py",
        *,
        pythonpath: str = "",
        limit_s: float = 30.0,
        **execution: object,
    ) -> Smoke:
        lay(self.folder, {"main.py": files} if isinstance(files, str) else files)
        env = {"PYTHONPATH": f"/child/code:{pythonpath}", "DRAY_TOKEN": "secret"}
        plan = LaunchPlan([str(self._python), entry], self.folder, env)
        asked = Execution(entry_point=entry, **execution)  # type: ignore[arg-type]
        return await check_imports(asked, plan, self.folder, limit_s=limit_s)


@pytest.fixture
def check(python: Path, tmp_path: Path) -> Checked:
    return Checked(python, tmp_path.resolve())


async def test_a_typo_is_certain_and_names_what_was_meant(check: Checked) -> None:
    smoke = await check("import os\nimport numpy_i\nimport nunpi\n")
    assert smoke.cause is not None
    assert smoke.cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "main.py, line 2: No module named 'numpy_i'" in smoke.cause.message
    assert "(and 1 more)" in smoke.cause.message
    assert "Task.add_requirements" in smoke.cause.message
    assert smoke.cause.evidence is not None
    assert 'File "main.py", line 3\n    import nunpi\nModuleNotFoundError' in smoke.cause.evidence
    alone = await check("import nunpi")
    assert alone.cause is not None
    assert "the nearest there is 'numpi'" in alone.cause.message


async def test_imports_that_work_say_nothing_and_no_line_of_the_code_is_run(
    check: Checked,
) -> None:
    files = {
        "main.py": """
            import os, numpi.linear, loud, mine
            from numpi import zeros, linear
            from package import helper
            from package.sub.deep import anything
            from dray import Task
            raise SystemExit("main.py was run")
            """,
        "package/__init__.py": "open('was_run', 'w')",
        "package/helper.py": "from . import sub; import numpi; open('was_run', 'w')",
        "package/sub/deep.py": "open('was_run', 'w')",
    }
    smoke = await check(files)
    assert (smoke.cause, smoke.notes) == (None, ())
    assert smoke.n_tried > 3
    assert not (check.folder / "was_run").exists()


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import gone\nexcept ImportError:\n    gone = None",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gone",
        "def later():\n    import gone",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import gone",
        "import sys\nif sys.platform == 'win32':\n    import gone",
        "import sys\nsys.exit()\nimport gone",
        "raise SystemExit\nimport gone",
    ],
)
def test_what_may_not_be_reached_is_not_looked_at(tmp_path: Path, source: str) -> None:
    lay(tmp_path, {"main.py": source})
    scan = Scan(Request(str(tmp_path), str(tmp_path), "main.py"))
    scan.run()
    assert (scan.wants, scan.findings) == ([], [])


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("import of_a_gpu", "no CUDA device"),
        ("import needs_more", "No module named 'not_there_either'"),
        ("import sys\nsys.path.insert(0, '/shared')\nimport gone", "changes where it looks"),
        ("import os\nos.system('pip install gone')\nimport gone", "changes where it looks"),
        ("import dead", "exit code -6"),
        ("import os\nos.environ['A'] = 'b'\nfrom numpi import gone", "sets variables"),
    ],
)
async def test_what_may_work_where_the_task_runs_is_a_note(
    check: Checked, source: str, note: str
) -> None:
    smoke = await check(source)
    assert smoke.cause is None
    assert note in " ".join(smoke.notes)


async def test_a_module_that_the_code_has_elsewhere_is_a_note(check: Checked) -> None:
    smoke = await check({"main.py": "import tools", "lib/tools.py": ""})
    assert smoke.cause is None
    assert "the code has it, but not where Python looks" in smoke.notes[0]
    found = await check({"main.py": "import tools"}, pythonpath=str(check.folder / "lib"))
    assert (found.cause, found.notes) == (None, ())


@pytest.mark.parametrize(
    "execution",
    [
        {"setup_script": "pip install gone"},
        {"container": Container("image", setup_script="apt-get install gone")},
        {"variables": {"PYTHONPATH": "/shared"}},
    ],
)
async def test_whoever_prepares_more_than_the_environment_is_believed(
    check: Checked, execution: dict[str, object]
) -> None:
    smoke = await check("import gone", **execution)
    assert smoke.cause is None
    assert "No module named 'gone'" in smoke.notes[0]


async def test_imports_of_files_of_the_code_are_followed(check: Checked) -> None:
    files = {
        "src/main.py": "from package.model import Model\n",
        "src/package/__init__.py": "",
        "src/package/model.py": "from .layers import Layer\n",
        "src/package/layers.py": "import gone\n",
    }
    smoke = await check(files, "src/main.py")
    assert smoke.cause is not None
    assert smoke.cause.message.startswith("src/package/layers.py, line 1: No module named 'gone'")


async def test_a_module_the_package_does_not_have_is_the_codes_fault(check: Checked) -> None:
    files = {"main.py": "import package.modle", "package/__init__.py": "", "package/model.py": ""}
    smoke = await check(files)
    assert smoke.cause is not None
    assert smoke.cause.kind is CauseKind.SOURCE_FAILED
    assert "did you mean 'model'?" in smoke.cause.message


@pytest.mark.parametrize("file", ["main.py", "helper.py"])
async def test_a_syntax_error_is_certain(check: Checked, file: str) -> None:
    files = {"main.py": "import helper\n", "helper.py": ""} | {file: "\nx = = 1\n"}
    smoke = await check(files)
    assert smoke.cause is not None
    assert smoke.cause.kind is CauseKind.SOURCE_FAILED
    assert smoke.cause.message.startswith(f"{file}, line 2: syntax error")
    assert "x = = 1" in (smoke.cause.evidence or "")


async def test_a_name_that_an_imported_module_does_not_have_is_certain(check: Checked) -> None:
    smoke = await check("from numpi import zeroes")
    assert smoke.cause is not None
    assert "cannot import name 'zeroes' from 'numpi' (it has 'zeros')" in smoke.cause.message


async def test_a_module_that_is_started_by_name_is_followed(check: Checked) -> None:
    files = {"package/__init__.py": "", "package/train.py": "import gone"}
    smoke = await check(files, "-m package.train")
    assert smoke.cause is not None
    assert smoke.cause.message.startswith("package/train.py, line 1: No module named 'gone'")
    assert (await check(files, "-m numpi.linear")).cause is None
    missing = await check(files, "-m nowhere.at_all")
    assert missing.cause is not None
    assert "No module named 'nowhere'" in missing.cause.message


@pytest.mark.parametrize(
    ("entry", "execution"),
    [("run.sh", {}), ("notes.ipynb", {}), ("main.py", {"binary": "/bin/bash"})],
)
async def test_what_is_no_python_script_is_not_looked_at(
    check: Checked, entry: str, execution: dict[str, object]
) -> None:
    smoke = await check({entry: "import gone"}, entry, **execution)
    assert smoke.cause is None
    assert "its imports are not looked at" in smoke.notes[0]


async def test_an_import_that_takes_too_long_is_a_note(check: Checked) -> None:
    smoke = await check("import slow", limit_s=0.5)
    assert smoke.cause is None
    assert "took longer than 0.5 s" in smoke.notes[0]
