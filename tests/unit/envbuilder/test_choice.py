"""What a task's environment is made of, chosen from what the task and its code say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dray.envbuilder.choice import choose as choice
from dray.envbuilder.choice.choose import choose
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution
from dray.runtime.resources import Resources

UV_LOCK = """version = 1
requires-python = ">=3.10"
[[package]]
name = "mine"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "a" }]
[[package]]
name = "a"
version = "1"
source = { registry = "https://pypi.org/simple" }
"""
PYPROJECT = '[project]\nname = "mine"\nversion = "0"\ndependencies = ["a>=1"]\n'
HEADER = '# /// script\n# dependencies = ["from-header"]\n# requires-python = ">=3.10"\n# ///\n'


def write(code: Path, **files: str) -> None:
    """Files of the code by name, a double underscore for the slash, a single one for the dot."""
    for name, text in files.items():
        path = code / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def origin(execution: Execution, code: Path) -> tuple[str, str]:
    spec = await choose(execution, code)
    return spec.origin, spec.manager


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


async def test_packages_that_are_comments_alone_leave_the_choice_to_the_code(
    tmp_path: Path,
) -> None:
    write(tmp_path, requirements_txt="b\n")
    uncertain = Execution(packages=["# ours: imported by train.py, and nothing provides it"])
    assert await origin(uncertain, tmp_path) == ("requirements.txt", "uv")


async def test_each_kind_of_file_gives_way_to_the_kinds_before_it(tmp_path: Path) -> None:
    task = Execution(packages=["a"], entry_point="train.py")
    bare = replace(task, packages=[])
    assert await origin(bare, tmp_path) == ("task", "uv")
    write(tmp_path, pyproject_toml=PYPROJECT)
    assert await origin(bare, tmp_path) == ("pyproject.toml", "uv")
    write(tmp_path, environment_yml="dependencies:\n  - python\n")
    assert await origin(bare, tmp_path) == ("environment.yml", "conda")
    write(tmp_path, requirements_txt="b\n")
    assert await origin(bare, tmp_path) == ("requirements.txt", "uv")
    assert await origin(task, tmp_path) == ("task", "uv")
    write(tmp_path, poetry_lock="")
    assert await origin(task, tmp_path) == ("poetry.lock", "poetry")
    write(tmp_path, uv_lock=UV_LOCK)
    assert await origin(task, tmp_path) == ("uv.lock", "uv")
    write(tmp_path, train_py=HEADER)
    assert await origin(task, tmp_path) == ("train.py", "uv")


async def test_the_nearest_lock_is_taken_from_the_working_directory_up_to_the_root(
    tmp_path: Path,
) -> None:
    write(tmp_path, uv_lock=UV_LOCK, pyproject_toml=PYPROJECT, sub__deeper__x_py="")
    execution = Execution(working_dir="sub/deeper")
    assert await origin(execution, tmp_path) == ("uv.lock", "uv")
    write(tmp_path, sub__pylock_toml='lock-version = "1.0"\n')
    assert await origin(execution, tmp_path) == ("sub/pylock.toml", "uv")
    assert await origin(Execution(working_dir="other"), tmp_path) == ("uv.lock", "uv")


async def test_a_manager_looks_at_the_locks_that_it_reads(tmp_path: Path) -> None:
    write(tmp_path, uv_lock=UV_LOCK, pyproject_toml=PYPROJECT, environment_yml="", poetry_lock="")
    asked = [
        await origin(Execution(environment_manager=manager, packages=["a"]), tmp_path)
        for manager in ("uv", "poetry", "conda", "pip")
    ]
    assert asked == [
        ("uv.lock", "uv"),
        ("poetry.lock", "poetry"),
        ("environment.yml", "conda"),
        ("task", "pip"),
    ]


@pytest.mark.parametrize(
    ("packages_from", "expected"),
    [("lock", "uv.lock"), ("task", "task"), ("repository", "requirements.txt")],
)
async def test_a_task_may_say_which_it_wants(
    packages_from: str, expected: str, tmp_path: Path
) -> None:
    write(tmp_path, uv_lock=UV_LOCK, pyproject_toml=PYPROJECT, requirements_txt="b")
    execution = Execution(packages=["a"], packages_from=packages_from)
    assert (await choose(execution, tmp_path)).origin == expected


async def test_a_lock_that_is_asked_for_and_not_there_says_what_was_looked_for(
    tmp_path: Path,
) -> None:
    execution = Execution(working_dir="sub", entry_point="train.py", packages_from="lock")
    with pytest.raises(PreparationFailed) as caught:
        await choose(execution, tmp_path)
    for path in ("sub/train.py", "sub/uv.lock", "sub/pylock.toml", "poetry.lock"):
        assert path in caught.value.message
    assert caught.value.details["field"] == "execution.packages_from"


async def test_requirements_that_are_asked_for_and_not_there_say_what_was_looked_for(
    tmp_path: Path,
) -> None:
    execution = Execution(working_dir="sub", packages=["a"], packages_from="repository")
    with pytest.raises(PreparationFailed, match=r"requirements\.txt, sub/requirements\.txt"):
        await choose(execution, tmp_path)


async def test_a_word_nobody_knows_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(PreparationFailed, match="it can be lock, task, repository"):
        await choose(Execution(packages_from="anywhere"), tmp_path)


async def test_requirements_files_are_read_from_the_root_down_to_the_scripts_folder(
    tmp_path: Path,
) -> None:
    write(
        tmp_path, requirements_txt="a\n", sub__requirements_txt="b\n", other__requirements_txt="c"
    )
    chosen = await choose(Execution(entry_point="sub/train.py"), tmp_path)
    assert (chosen.origin, chosen.requirements) == ("sub/requirements.txt", ("a", "b"))


async def test_the_project_is_a_local_package_where_it_can_be_built(tmp_path: Path) -> None:
    write(tmp_path, pyproject_toml=PYPROJECT)
    assert (await choose(Execution(), tmp_path)).requirements == ("a>=1",)
    write(tmp_path, pyproject_toml=PYPROJECT + '[build-system]\nrequires = ["uv_build"]\n')
    chosen = await choose(Execution(extras=["gpu"]), tmp_path)
    assert chosen.requirements == ()
    assert [package.requirement for package in chosen.local] == [".[gpu]"]


async def test_sources_of_a_project_become_requirement_lines(tmp_path: Path) -> None:
    sources = (
        "[tool.uv.sources]\n"
        'a = { git = "https://git.corp/a", tag = "v1", subdirectory = "py" }\n'
        'b = { path = "libs/b" }\n'
        'c = { index = "corp" }\n'
        '[[tool.uv.index]]\nname = "corp"\nurl = "https://packages.corp/simple"\n'
    )
    needs = '[project]\nname = "mine"\ndependencies = ["a[x]; python_version > \'3\'", "b", "c"]\n'
    write(tmp_path, pyproject_toml=needs + sources, libs__b__pyproject_toml=PYPROJECT)
    chosen = await choose(Execution(), tmp_path)
    assert chosen.requirements == (
        "a[x] @ git+https://git.corp/a@v1#subdirectory=py ; python_version > '3'",
        "c",
    )
    assert [package.path for package in chosen.local] == ["libs/b"]
    assert chosen.index_urls == ("", "https://packages.corp/simple")


async def test_the_indexes_of_a_task_take_the_place_of_those_in_files(tmp_path: Path) -> None:
    write(tmp_path, requirements_txt="-i https://one/simple\n--extra-index-url https://two\na\n")
    chosen = await choose(Execution(), tmp_path)
    assert chosen.index_urls == ("https://one/simple", "https://two")
    own = await choose(Execution(index_urls=["https://mine"]), tmp_path)
    assert own.index_urls == ("https://mine",)


async def test_a_script_may_ask_for_a_newer_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = choice.own_interpreter()
    monkeypatch.setattr(choice, "own_interpreter", lambda: replace(own, version="3.11.7"))
    needs = HEADER.replace(">=3.10", ">=3.12,<4")
    write(tmp_path, train_py=needs)
    execution = Execution(entry_point="train.py")
    assert (await choose(execution, tmp_path)).python == "3.12"
    assert (await choose(replace(execution, python_version="3.13"), tmp_path)).python == "3.13"
    write(tmp_path, train_py=HEADER)
    assert (await choose(execution, tmp_path)).python == ""


async def test_a_python_version_file_is_heard_where_the_task_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".python-version").write_text("3.12\n")
    assert (await choose(Execution(packages=["a"]), tmp_path)).python == "3.12"
    assert (await choose(Execution(python_version="3.11"), tmp_path)).python == "3.11"


async def test_the_python_of_a_container_as_it_is_gets_nothing(tmp_path: Path) -> None:
    write(tmp_path, uv_lock=UV_LOCK, requirements_txt="a\n")
    chosen = await choose(Execution(environment_manager="system", packages=["a"]), tmp_path)
    assert chosen == EnvironmentSpec(manager="system")


async def test_a_lock_outside_of_the_code_is_refused(tmp_path: Path) -> None:
    lock = UV_LOCK.replace('virtual = "."', 'editable = "../../lib"')
    write(tmp_path, uv_lock=lock, pyproject_toml=PYPROJECT)
    with pytest.raises(PreparationFailed, match="outside of the task's code"):
        await choose(Execution(), tmp_path)


async def test_a_package_of_a_lock_that_did_not_come_along_is_named(tmp_path: Path) -> None:
    lock = UV_LOCK.replace('virtual = "."', 'editable = "libs/mine"')
    write(tmp_path, uv_lock=lock, pyproject_toml=PYPROJECT)
    with pytest.raises(
        PreparationFailed, match=r"uv\.lock names libs/mine, which is not in the code"
    ):
        await choose(Execution(), tmp_path)


@pytest.mark.parametrize("text", ["package = 1", "[[package]]\nversion = 1", "package = ['a']"])
async def test_a_lock_of_another_form_is_named(text: str, tmp_path: Path) -> None:
    write(tmp_path, uv_lock=text, pyproject_toml=PYPROJECT)
    with pytest.raises(PreparationFailed, match=r"uv\.lock of the code does not have the form"):
        await choose(Execution(), tmp_path)


async def test_a_broken_project_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, pyproject_toml="[project\n")
    with pytest.raises(PreparationFailed, match=r"pyproject\.toml of the code is not valid TOML"):
        await choose(Execution(), tmp_path)


async def test_a_lock_has_the_build_of_pytorch_that_fits_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extras = '[project.optional-dependencies]\ncpu = ["torch"]\ncu126 = ["torch"]\nx = ["y"]\n'
    write(tmp_path, uv_lock=UV_LOCK, pyproject_toml=PYPROJECT + extras)
    assert (await choose(Execution(), tmp_path)).extras == ("cpu",)
    monkeypatch.setattr(choice, "driver_version", lambda: "550.144.03")
    assert (await choose(Execution(), tmp_path)).extras == ("cu126",)
    assert (await choose(Execution(torch_backend="cpu"), tmp_path)).extras == ("cpu",)
    assert (await choose(Execution(extras=["x"]), tmp_path)).extras == ("x",)
    assert (await choose(Execution(torch_backend="none"), tmp_path)).extras == ()
