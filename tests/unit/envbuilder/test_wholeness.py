"""An environment is used again only as it was built: what was changed or lost in it is seen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import Environment, covered_of
from dray.envbuilder.cache.inventory import environment_details
from dray.envbuilder.choice.local_packages import tree_hash
from dray.envbuilder.spec import EnvironmentSpec, LocalPackage
from dray.runtime.environments import EnvironmentState
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.indexes import make_wheel


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnvironmentSpec:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    wheel = make_wheel(tmp_path / "wheels", "draysample", "1.0")
    return EnvironmentSpec(requirements=(f"draysample @ file://{wheel}",))


@pytest.fixture
async def made(spec: EnvironmentSpec, node: NodePaths, log: Log) -> Environment:
    environment = await ensure_environment(spec, node, log)
    environment.release()
    return environment


def packages(made: Environment) -> Path:
    (folder,) = made.folder.glob("lib/python*/site-packages")
    return folder


def a_module_is_deleted(made: Environment) -> None:
    (packages(made) / "draysample.py").unlink()


def a_module_is_truncated(made: Environment) -> None:
    os.truncate(packages(made) / "draysample.py", 0)


def a_module_is_edited(made: Environment) -> None:
    module = packages(made) / "draysample.py"
    text = module.read_text().replace("1.0", "9.9")
    module.unlink()  # as editors do; the installer's cache keeps its own
    module.write_text(text)


def a_module_is_overwritten(made: Environment) -> None:
    module = packages(made) / "draysample.py"
    text = module.read_text().replace("1.0", "9.9")
    with module.open("r+") as file:  # the installer's cache has the very same file
        file.write(text)


DAMAGES = (
    a_module_is_deleted,
    a_module_is_truncated,
    a_module_is_edited,
    a_module_is_overwritten,
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_after_a_failed_task_damaged_files_lead_to_another_build(
    spec: EnvironmentSpec,
    made: Environment,
    node: NodePaths,
    log: Log,
    damage: Callable[[Environment], None],
) -> None:
    damage(made)
    made.doubt()
    again = await ensure_environment(spec, node, log)
    assert again.reused is False
    assert again.folder == made.folder
    assert "draysample.py): building anew" in log.text
    is_shared = damage in (a_module_is_truncated, a_module_is_overwritten)
    assert ("damaged in uv's cache, fetching it again: draysample" in log.text) == is_shared
    assert "VERSION = '1.0'" in (packages(again) / "draysample.py").read_text()


async def test_after_a_power_cut_all_files_are_looked_at_once(
    spec: EnvironmentSpec, made: Environment, node: NodePaths, log: Log
) -> None:
    (made.folder / "checked").write_text("the boot before")
    assert (await ensure_environment(spec, node, log)).reused is True
    os.truncate(packages(made) / "draysample.py", 0)
    assert (await ensure_environment(spec, node, log)).reused is True, "seen in this boot"
    (made.folder / "checked").write_text("the boot before")
    made.release()
    with await ensure_environment(spec, node, log) as again:
        assert again.reused is False


async def test_what_a_task_installed_is_seen_at_the_next_use(
    spec: EnvironmentSpec, made: Environment, node: NodePaths, log: Log
) -> None:
    (packages(made) / "intruder-3.0.dist-info").mkdir()
    again = await ensure_environment(spec, node, log)
    assert again.reused is False
    assert "installed since: intruder-3.0" in log.text
    assert not (packages(again) / "intruder-3.0.dist-info").exists()


async def test_who_runs_in_a_changed_environment_keeps_it_and_others_get_another(
    spec: EnvironmentSpec, node: NodePaths, log: Log
) -> None:
    running = await ensure_environment(spec, node, log)
    (packages(running) / "intruder-3.0.dist-info").mkdir()
    second = await ensure_environment(spec, node, log)
    third = await ensure_environment(spec, node, log)
    assert (second.reused, third.reused) == (False, True)
    assert second.key == running.key == second.report.key
    assert second.folder == third.folder != running.folder
    assert (packages(running) / "draysample.py").exists()
    running.release()
    fourth = await ensure_environment(spec, node, log)
    assert fourth.folder == running.folder, "built anew as soon as nobody runs in it"


async def test_looking_at_an_environment_compares_all_of_it(
    spec: EnvironmentSpec, made: Environment, node: NodePaths, log: Log
) -> None:
    assert environment_details(node, made.key, "here").environment.state is EnvironmentState.READY
    os.truncate(packages(made) / "draysample.py", 0)
    found = environment_details(node, made.key, "here").environment
    assert found.state is EnvironmentState.BROKEN
    assert "changed: lib/" in found.problem
    assert (await ensure_environment(spec, node, log)).reused is False


async def test_the_marker_says_what_is_reported_and_no_password(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "wheels", "draysample", "1.0")
    spec = EnvironmentSpec(
        requirements=(f"draysample @ file://{wheel}",),
        index_urls=("https://me:verysecret@nowhere.invalid/simple",),
        origin="requirements.txt",
        torch_backend="cpu",
    )
    with await ensure_environment(spec, node, log) as made:
        report = made.report
        assert (report.manager, report.origin, report.torch_backend) == (
            *("uv", "requirements.txt"),
            "cpu",
        )
        assert report.platform.startswith("linux")
        assert report.build_seconds > 0
        said = json.loads(covered_of(made.folder).read_text())
        assert said["index_urls"] == ["https://***@nowhere.invalid/simple"]
        texts = [p.read_text() for p in made.folder.iterdir() if p.is_file()]
        assert not any("verysecret" in text for text in texts)
    with await ensure_environment(spec, node, log) as found:
        assert found.report.build_seconds == report.build_seconds
        assert found.report.installed == report.installed


async def test_what_came_from_a_url_is_reported_with_it(
    spec: EnvironmentSpec, made: Environment, node: NodePaths, log: Log
) -> None:
    (line,) = made.report.installed
    assert line.startswith("draysample @ file:///")
    again = EnvironmentSpec(requirements=(line,))
    with await ensure_environment(again, node, log) as rebuilt:
        assert rebuilt.report.installed == [line], "as resolved is a requirement that reproduces"


async def test_a_package_of_the_tasks_own_code_is_reported_as_a_path_in_it(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    path = make_wheel(code / "vendor", "draysample", "1.0").relative_to(code).as_posix()
    spec = EnvironmentSpec(local=(LocalPackage(path, tree_hash(code / path)),), code=code)
    with await ensure_environment(spec, node, log) as made:
        assert made.report.installed == [f"./{path}"]
