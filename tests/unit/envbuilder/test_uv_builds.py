"""What uv builds for real of what the code of a task says: locks, local packages, hashes, git."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.choice.choose import choose
from dray.envbuilder.tools.uv_program import uv_program
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.indexes import Index, make_wheel, serve_index

PACKAGE = """
[project]
name = "{name}"
version = "0.1"
requires-python = ">=3.10"
dependencies = {needs}
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    return tmp_path / "code"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for version in ("1.0", "1.1"):
        make_wheel(tmp_path / "wheels", "draysample", version)
    make_wheel(tmp_path / "wheels", "drayextra", "1.0")
    with serve_index(tmp_path / "wheels") as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        yield served


def package(folder: Path, name: str, *needs: str, more: str = "") -> None:
    """A package that uv builds by itself, without asking an index for a build tool."""
    module = folder / "src" / name
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("ANSWER = 42\n")
    (folder / "pyproject.toml").write_text(PACKAGE.format(name=name, needs=[*needs]) + more)


def publish(folder: Path, bare: Path) -> None:
    """Commit ``folder`` and have a repository at ``bare`` that any web server can serve."""
    me = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        (*me, "commit", "--quiet", "-m", "first"),
        ("clone", "--quiet", "--bare", ".", str(bare)),
        ("-C", str(bare), "update-server-info"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def uv(*command: str, cwd: Path) -> None:
    subprocess.run([uv_program(), "--quiet", *command], cwd=cwd, check=True)


async def built(execution: Execution, code: Path, node: NodePaths, log: Log) -> Environment:
    return await ensure_environment(await choose(execution, code), node, log)


async def test_a_lock_is_installed_exactly_with_the_project_as_a_package(
    index: Index, code: Path, node: NodePaths, log: Log
) -> None:
    package(code, "mine", "draysample", more='[dependency-groups]\ndev = ["drayextra"]\n')
    lower = 'override-dependencies = ["draysample==1.0"]'
    with (code / "pyproject.toml").open("a") as file:
        file.write(f"[tool.uv]\n{lower}\n")
    uv("lock", cwd=code)
    before = files_in(code)
    made = await built(Execution(packages=["draysample==1.1"]), code, node, log)
    assert made.report.installed == ["drayextra==1.0", "draysample==1.0", "."]
    assert files_in(code) == before  # building left nothing there
    assert said(made.folder / "bin" / "draysample") == "draysample 1.0"
    answer = said(made.python, "-c", "import mine; print(mine.ANSWER, mine.__file__)")
    assert answer.startswith(f"42 {made.folder}")


async def test_a_lock_needs_no_network_the_second_time_and_no_second_build(
    index: Index, code: Path, node: NodePaths, log: Log, tmp_path: Path
) -> None:
    package(code, "mine", "draysample")
    uv("lock", cwd=code)
    (await built(Execution(), code, node, log)).release()
    index.requests.clear()
    assert (await built(Execution(), code, node, log)).reused
    elsewhere = NodePaths(tmp_path / "elsewhere")
    assert not (await built(Execution(), code, elsewhere, log)).reused
    assert index.requests == []


async def test_changed_code_of_a_local_package_is_another_environment(
    index: Index, code: Path, node: NodePaths, log: Log
) -> None:
    package(code / "libs" / "mine", "mine")
    execution = Execution(packages=["-e ./libs/mine", "draysample==1.0"])
    first = await built(execution, code, node, log)
    assert first.report.installed == ["draysample==1.0", "./libs/mine"]
    (code / "libs" / "mine" / "src" / "mine" / "__init__.py").write_text("ANSWER = 43\n")
    second = await built(execution, code, node, log)
    assert second.key != first.key
    assert said(second.python, "-c", "import mine; print(mine.ANSWER)") == "43"
    (code / "train.py").write_text("print('no part of it')\n")
    assert (await built(execution, code, node, log)).key == second.key


async def test_a_member_of_a_workspace_gets_what_it_needs_and_no_more(
    index: Index, code: Path, node: NodePaths, log: Log
) -> None:
    package(code / "members" / "one", "one", "draysample")
    package(code / "members" / "two", "two", "drayextra")
    root = '[project]\nname = "all"\nversion = "0"\nrequires-python = ">=3.10"\n'
    (code / "pyproject.toml").write_text(f'{root}[tool.uv.workspace]\nmembers = ["members/*"]\n')
    uv("lock", cwd=code)
    execution = Execution(working_dir="members/one", entry_point="train.py")
    made = await built(execution, code, node, log)
    assert made.report.installed == ["draysample==1.1", "./members/one"]


async def test_extras_and_groups_come_along_when_they_are_asked_for(
    index: Index, code: Path, node: NodePaths, log: Log
) -> None:
    (code / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.10"\n'
        '[project.optional-dependencies]\ngpu = ["draysample"]\n'
        '[dependency-groups]\nplots = ["drayextra"]\n'
    )
    assert (await built(Execution(), code, node, log)).report.installed == []
    asked = Execution(extras=["gpu"], groups=["plots"])
    everything = ["drayextra==1.0", "draysample==1.1"]
    assert (await built(asked, code, node, log)).report.installed == everything
    uv("lock", cwd=code)
    assert (await built(Execution(), code, node, log)).report.installed == []
    assert (await built(asked, code, node, log)).report.installed == everything


async def test_a_locked_version_comes_from_the_indexes_a_task_names(
    index: Index, code: Path, node: NodePaths, log: Log, tmp_path: Path
) -> None:
    package(code, "mine", "draysample==1.0")
    uv("lock", cwd=code)
    index.requests.clear()
    with serve_index(tmp_path / "wheels") as mirror:
        made = await built(Execution(index_urls=[mirror.url]), code, node, log)
        assert mirror.requests
    assert made.report.installed == ["draysample==1.0", "."]
    assert index.requests == []


async def test_a_pylock_is_installed(index: Index, code: Path, node: NodePaths, log: Log) -> None:
    (code / "in.txt").write_text("draysample<1.1\n")
    uv("pip", "compile", "--format", "pylock.toml", "-o", "pylock.toml", "in.txt", cwd=code)
    made = await built(Execution(packages=["drayextra"]), code, node, log)
    assert made.report.installed == ["draysample==1.0"]


async def test_a_script_says_itself_what_it_needs_with_or_without_a_lock(
    index: Index, code: Path, node: NodePaths, log: Log
) -> None:
    header = '# /// script\n# dependencies = ["draysample"]\n# ///\n'
    (code / "train.py").write_text(f"{header}import draysample\n")
    execution = Execution(entry_point="train.py", packages=["drayextra"])
    assert (await built(execution, code, node, log)).report.installed == ["draysample==1.1"]
    older = '# /// script\n# dependencies = ["draysample<1.1"]\n# ///\n'
    (code / "train.py").write_text(f"{older}import draysample\n")
    uv("lock", "--script", "train.py", cwd=code)
    first = await built(execution, code, node, log)
    assert first.report.installed == ["draysample==1.0"]
    (code / "train.py").write_text(f"{older}print('other code, same header')\n")
    assert (await built(execution, code, node, log)).key == first.key


async def test_requirements_files_with_what_they_name(
    index: Index, code: Path, node: NodePaths, log: Log
) -> None:
    wheel = code.parent / "wheels" / "drayextra-1.0-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (code / "wheels").mkdir()
    make_wheel(code / "wheels", "draylocal", "3.0")
    (code / "base.txt").write_text("draysample  # any\n-c limits.txt\n")
    (code / "limits.txt").write_text("draysample<1.1\n")
    (code / "requirements.txt").write_text(
        "-r base.txt\n--find-links wheels\ndraylocal\n"
        f"drayextra==1.0 \\\n    --hash=sha256:{digest}\n"
        "notthere ; python_version < '3'\n"
    )
    made = await built(Execution(), code, node, log)
    assert made.report.installed == ["drayextra==1.0", "draylocal==3.0", "draysample==1.0"]


async def test_a_requirement_from_git_is_fetched_with_a_secret_that_nobody_reads(
    index: Index,
    code: Path,
    node: NodePaths,
    log: Log,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package(tmp_path / "lib", "mine")
    publish(tmp_path / "lib", tmp_path / "served" / "lib.git")
    monkeypatch.setenv("DRAY_SECRET_GIT", "very/secret@1")
    with serve_index(tmp_path / "served", login="robot:very/secret@1") as served:
        host = served.url.removeprefix("http://").removesuffix("/simple")
        line = f"mine @ git+http://robot:${{GIT}}@{host}/lib.git@main"
        made = await built(Execution(packages=[line]), code, node, log)
    (installed,) = made.report.installed
    assert installed.startswith(f"mine @ git+http://{host}/lib.git@")
    kept = [path for path in files_in(tmp_path) if "secret" in path.read_text("utf-8", "replace")]
    assert kept == []
    assert "secret" not in log.text


async def test_an_extra_that_the_project_does_not_have_is_named(index: Index, code: Path) -> None:
    (code / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0"\n[project.optional-dependencies]\ngpu = []\n'
    )
    with pytest.raises(PreparationFailed, match="has no extra 'tpu'; it has gpu") as caught:
        await choose(Execution(extras=["tpu"]), code)
    assert caught.value.details["field"] == "execution.extras"


@pytest.mark.parametrize("said", ["", "cpu"])
async def test_builds_of_pytorch_on_the_nodes_own_pages_are_found(
    said: str,
    index: Index,
    code: Path,
    node: NodePaths,
    log: Log,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_wheel(tmp_path / "links", "torch", "2.9.0+cpu")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    made = await built(Execution(packages=["torch"], torch_backend=said), code, node, log)
    assert made.report.installed == ["torch==2.9.0+cpu"]


async def test_a_repository_in_a_lock_is_fetched_with_the_nodes_token_for_its_host(
    index: Index,
    code: Path,
    node: NodePaths,
    log: Log,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package(tmp_path / "lib", "mine")
    publish(tmp_path / "lib", tmp_path / "served" / "lib.git")
    needs = '[project]\nname = "all"\nversion = "0"\nrequires-python = ">=3.10"\n'
    with serve_index(tmp_path / "served") as open_to_all:
        url = f"{open_to_all.url.removesuffix('/simple')}/lib.git"
        (code / "pyproject.toml").write_text(f'{needs}dependencies = ["mine @ git+{url}"]\n')
        uv("lock", cwd=code)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-of-the-node"))
    monkeypatch.setenv("DRAY_SECRET_GIT_127_0_0_1", "robot:verysecret")
    with serve_index(tmp_path / "served", login="robot:verysecret") as private:
        site = private.url.removesuffix("/simple")
        for file in ("uv.lock", "pyproject.toml"):
            text = (code / file).read_text()
            (code / file).write_text(text.replace(url.removesuffix("/lib.git"), site))
        made = await built(Execution(), code, node, log)
    (installed,) = made.report.installed
    assert installed.startswith(f"mine @ git+{site}/lib.git@")
    assert "verysecret" not in log.text
