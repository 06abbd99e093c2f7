"""Docker and Podman alike, without a cluster: what a place does, and who dies with whom."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dray.envbuilder.containers.arguments import Checked
from dray.envbuilder.containers.bench import Bench
from dray.envbuilder.containers.choice import engine_of
from dray.envbuilder.containers.engine import LABEL_CACHE, LABEL_HOLDER
from dray.envbuilder.containers.images import ready_image
from dray.envbuilder.containers.place import ContainerPlace, Occupant
from dray.envbuilder.containers.sweep import sweep
from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.tools.locks import try_lock
from dray.envbuilder.tools.log import NoLog
from dray.runtime.paths import AttemptPaths, NodePaths
from dray.runtime.subprocesses import Supervisor
from tests.docker.engines import IMAGE, need, root_file_system
from tests.waiting import wait_until

#: What a sandbox lacks that Podman takes for granted.
_PODMAN = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
"""


@pytest.fixture(scope="module", params=["docker", "podman"])
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine that has the image, and that this process finds."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "docker":
            patch.setenv("DOCKER_HOST", request.getfixturevalue("engine").host)
            yield "docker"
            return
        for program, package in (("podman", "podman"), ("catatonit", "catatonit")):
            need(program, package)
        root = tmp_path_factory.mktemp("podman")
        (root / "containers.conf").write_text(_PODMAN)
        patch.setenv("CONTAINERS_CONF", str(root / "containers.conf"))
        (root / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{root}/graph"\nrunroot = "{root}/run"\n'
        )
        patch.setenv("CONTAINERS_STORAGE_CONF", str(root / "storage.conf"))
        run_client("podman", "import", str(root_file_system()), IMAGE)
        yield "podman"
        run_client("podman", "rm", "--all", "--force")
        run_client("podman", "rmi", "--all", "--force")
        shutil.rmtree(root, ignore_errors=True)


def run_client(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
async def bench(name: str, tmp_path: Path) -> Bench:
    node = NodePaths(tmp_path / "cache")
    node.root.mkdir()
    return Bench(engine_of(name, node), node)


@pytest.fixture
async def place(bench: Bench, tmp_path: Path) -> AsyncIterator[ContainerPlace]:
    """For an attempt whose agent is this process."""
    paths = AttemptPaths(bench.node.attempts / f"{os.urandom(16).hex()}.1")
    paths.code.mkdir(parents=True)
    paths.spool.root.mkdir()
    lock = try_lock(paths.root / "lock", shared=False)
    assert lock is not None
    task_id = paths.root.name.partition(".")[0]
    occupant = Occupant(task_id, 1, "agent", "node", paths, lock.path, memory_bytes=96 << 20)
    image = await ready_image(bench, IMAGE, "missing", [], NoLog())
    place = ContainerPlace(bench, image, Checked(), occupant)
    yield place
    if place.box is not None:
        await place.box.remove()
    lock.release()


def plan_of(place: ContainerPlace, source: str) -> LaunchPlan:
    assert place.occupant is not None
    paths = place.occupant.paths
    env = {"DRAY_SPOOL": str(paths.spool.root), "VIRTUAL_ENV": "/none", "SECRET": "a'b\nc"}
    return LaunchPlan(["/usr/bin/python3", "-u", "-c", source], paths.code, env)


async def test_a_tool_runs_in_the_image_and_is_gone(place: ContainerPlace, name: str) -> None:
    finished = await place.run(
        ["/bin/sh", "-c", "echo $A; exit 3"], env={"A": "1"}, keep_stdout=True
    )
    assert (finished.code, finished.stdout) == (3, "1\n")

    def names() -> str:
        return run_client(name, "ps", "--all", "--format", "{{.Names}}")

    await asyncio.to_thread(wait_until, names, lambda seen: "dray-tool" not in seen)


async def test_a_task_has_its_variables_its_folder_and_its_exit_code(place: ContainerPlace) -> None:
    source = (
        "import os, sys; print(repr(os.environ['SECRET']), os.getcwd()); open('made', 'w');"
        " sys.stderr.write('e'); sys.exit(7)"
    )
    said: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def keep(stream: str, data: bytes) -> None:
        said[stream] += data

    plan = await asyncio.to_thread(place.launch, plan_of(place, source))
    async with Supervisor.start() as supervisor:
        process = await supervisor.spawn(plan.argv, cwd=plan.cwd, env=plan.env, on_output=keep)
        status = await process.wait()
    assert status.exit_code == 7
    assert place.occupant is not None
    code = place.occupant.paths.code
    secret = repr("a'b\nc")
    assert said == {"stdout": f"{secret} {code}\n".encode(), "stderr": b"e"}
    assert (code / "made").stat().st_uid == os.getuid()
    assert place.box is not None
    assert (await place.box.end()).is_started


@pytest.mark.invariant(3)
async def test_a_container_ends_with_the_process_that_started_it(
    place: ContainerPlace, name: str
) -> None:
    said: list[bytes] = []
    plan = await asyncio.to_thread(
        place.launch, plan_of(place, "import time; print('up'); time.sleep(600)")
    )
    async with Supervisor.start() as supervisor:
        process = await supervisor.spawn(
            plan.argv, cwd=plan.cwd, env=plan.env, on_output=lambda _, data: said.append(data)
        )
        await asyncio.to_thread(wait_until, lambda: b"up" in b"".join(said), timeout_s=60)
        assert place.box is not None
        inside = await place.box.pid()
        assert inside > 0
        # As a fence does, and as the keeper does when the agent is gone.
        process.fence(0.0)
        await process.wait()

    def runs() -> bool:
        return os.path.exists(f"/proc/{inside}")

    await asyncio.to_thread(wait_until, runs, lambda seen: not seen, timeout_s=3)
    assert await place.box.remove()
    left = run_client(name, "ps", "--all", "--format", "{{.Names}}")
    assert place.box.name not in left


async def test_running_out_of_memory_is_told(place: ContainerPlace, name: str) -> None:
    plan = await asyncio.to_thread(place.launch, plan_of(place, "x = bytearray(400 << 20)"))
    async with Supervisor.start() as supervisor:
        process = await supervisor.spawn(plan.argv, cwd=plan.cwd, env=plan.env)
        status = await process.wait()
    assert status.exit_code == 137
    assert place.box is not None
    end = await place.box.end()
    # Podman with cgroups of version 1 does not say it; an agent then asks the kernel's counter.
    assert end.out_of_memory or name == "podman"


async def test_orphans_are_swept_and_containers_of_living_owners_are_not(
    bench: Bench, name: str, tmp_path: Path
) -> None:
    held = try_lock(tmp_path / "held", shared=False)
    (tmp_path / "dead").touch()
    names = {"held": "dray-test-held", "dead": "dray-test-dead", "gone": "dray-test-gone"}
    for holder, container in names.items():
        labels = (f"{LABEL_CACHE}={bench.node.root}", f"{LABEL_HOLDER}={tmp_path / holder}")
        run_client(
            *[name, "run", "--detach", "--network=host", f"--name={container}"],
            *[f"--label={label}" for label in labels],
            *[IMAGE, "sleep", "600"],
        )
    try:
        removed = await sweep(bench)
        assert sorted(removed) == ["dray-test-dead", "dray-test-gone"]
        assert "dray-test-held" in run_client(name, "ps", "--format", "{{.Names}}")
    finally:
        await bench.engine.remove("dray-test-held")
        assert held is not None
        held.release()


@pytest.mark.parametrize("request_", ["", "3.11"])
async def test_the_images_python_is_found(place: ContainerPlace, request_: str) -> None:
    found = await place.find_interpreter(request_)
    assert (str(found.path), found.version[:4]) == ("/usr/bin/python3.11", "3.11")
