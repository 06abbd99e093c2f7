"""Containers without an engine: which arguments are allowed, what is asked of an engine."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dray.envbuilder.containers.apptainer import ApptainerEngine
from dray.envbuilder.containers.arguments import Allowed, Checked, Mount, check_arguments
from dray.envbuilder.containers.bench import attached, make_pipe, not_started, write_private
from dray.envbuilder.containers.choice import engine_of
from dray.envbuilder.containers.docker import DockerEngine
from dray.envbuilder.containers.engine import ContainerRun
from dray.envbuilder.containers.holders import is_held, own_holder, remove_old_holders
from dray.envbuilder.containers.images import Image
from dray.envbuilder.containers.place import ContainerPlace
from dray.envbuilder.containers.podman import PodmanEngine
from dray.envbuilder.containers.script import start_script
from dray.envbuilder.tools.interpreters import Interpreter
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import NodePaths

NOTHING = Allowed()


def checked(text: str, allowed: Allowed = NOTHING) -> Checked:
    return check_arguments(text, allowed, resolve=lambda path: path)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("--ipc=host", (("--ipc", "host"),)),
        ("--ipc host --shm-size 8g", (("--ipc", "host"), ("--shm-size", "8g"))),
        ("-m 2g --ulimit memlock=-1", (("--memory", "2g"), ("--ulimit", "memlock=-1"))),
        ("--add-host a:1.2.3.4 --read-only", (("--add-host", "a:1.2.3.4"), ("--read-only", None))),
        ("--device=/dev/infiniband/uverbs0", (("--device", "/dev/infiniband/uverbs0"),)),
        ("--rm --init -i", ()),
    ],
)
def test_what_stays_inside_is_passed_on(
    text: str, options: tuple[tuple[str, str | None], ...]
) -> None:
    assert checked(text).options == options


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--privileged", "--privileged"),
        ("--cap-add=SYS_ADMIN", "--cap-add SYS_ADMIN"),
        ("--security-opt seccomp=unconfined", "--security-opt"),
        ("--device /dev/sda", "--device /dev/sda"),
        ("--device /dev/nvidia0/../sda", "--device"),
        ("--ipc container:other", "--ipc container:other"),
        ("--network container:other", "--network container:other"),
        ("--user 0", "--user 0"),
        ("-p 80:80", "--publish 80:80"),
        ("--uts=host", "--uts host"),
    ],
)
def test_what_reaches_out_is_refused_naming_argument_and_setting(text: str, named: str) -> None:
    with pytest.raises(PreparationFailed, match="container_allowed_arguments") as caught:
        checked(text)
    assert named in caught.value.message


@pytest.mark.parametrize(
    "text", ["--pid=host", "--entrypoint bash", "--gpus all", "-it", "-d", "--name x", "-w /x"]
)
def test_what_drays_own_work_depends_on_cannot_be_allowed(text: str) -> None:
    everything = Allowed.read("--pid --entrypoint --gpus --tty --detach --name --workdir", "/")
    with pytest.raises(PreparationFailed, match="is Dray's to set"):
        checked(text, everything)


@pytest.mark.parametrize("text", ["ubuntu bash", "--memory", "-e NAME", "--rm=no", "'unclosed"])
def test_what_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(PreparationFailed, match=r"execution\.container\.arguments"):
        checked(text)


def test_an_operator_allows_an_argument_or_one_value_of_it() -> None:
    allowed = Allowed.read("--cap-add=SYS_PTRACE, --privileged", "")
    assert checked("--cap-add SYS_PTRACE", allowed).options == (("--cap-add", "SYS_PTRACE"),)
    assert checked("--privileged", allowed).options == (("--privileged", None),)
    with pytest.raises(PreparationFailed, match="SYS_ADMIN"):
        checked("--cap-add SYS_ADMIN", allowed)


def test_variables_are_taken_out_and_their_values_are_not_in_a_message() -> None:
    assert checked("-e A=1 -eB='c d' --env=E=").variables == {"A": "1", "B": "c d", "E": ""}
    with pytest.raises(PreparationFailed) as caught:
        checked("-e 'not a name=hush'")
    assert "hush" not in caught.value.message


def test_folders_are_mounted_only_from_below_those_that_are_allowed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "out").symlink_to("/etc")
    allowed = Allowed.read("", f"{data}:/mnt")
    found = check_arguments(f"-v {data}/x:/x:ro -v {data}:/y", allowed)
    assert found.mounts == (Mount(f"{data}/x", "/x"), Mount(str(data), "/y", read_only=False))
    for text in (f"-v {data}/out:/x", f"-v {data}er:/x", "-v /etc:/x", "-v volume:/x"):
        with pytest.raises(PreparationFailed):
            check_arguments(text, allowed)


@pytest.mark.parametrize("source", ["/var/run/docker.sock", "/run", "/", "/run/user/1000"])
def test_an_engines_socket_is_mounted_by_nobody(source: str) -> None:
    with pytest.raises(PreparationFailed, match="the container engine"):
        check_arguments(f"-v {source}:/x", Allowed.read("--volume", "/"))


RUN = ContainerRun(
    "dray-1-1",
    "sha256:1",
    Path("/a/start.sh"),
    mounts=(Mount("/a,b", "/a,b", read_only=False), Mount("/c", "/d")),
    labels={"dray.task": "1"},
    gpus=("0", "2"),
    memory_bytes=1 << 30,
    arguments=Checked((("--ipc", "host"),)),
    kept=True,
)


def test_docker_is_asked_for_exactly_the_gpus_the_memory_and_the_user() -> None:
    engine = DockerEngine()
    engine.is_rootless = False
    command = engine.command(RUN)
    assert command[:2] == ["docker", "run"]
    assert command[-3:] == ["--entrypoint=/bin/sh", "sha256:1", "/a/start.sh"]
    for wanted in (
        *('--gpus="device=0,2"', f"--memory={1 << 30}", "--network=host", "--ipc=host", "--init"),
        *(f"--user={os.getuid()}:{os.getgid()}", '--mount=type=bind,"source=/a,b","target=/a,b"'),
        *("--mount=type=bind,source=/c,target=/d,readonly", "--label=dray.task=1"),
        "--security-opt=no-new-privileges",
    ):
        assert wanted in command
    assert "--rm" not in command


def test_root_of_a_rootless_engine_is_the_agents_user() -> None:
    engine = PodmanEngine()
    engine.is_rootless = True
    command = engine.command(RUN)
    assert "--user=0:0" in command
    assert [word for word in command if word.startswith("--device")] == [
        "--device=nvidia.com/gpu=0",
        "--device=nvidia.com/gpu=2",
    ]


def test_apptainer_refuses_what_means_nothing_to_it(tmp_path: Path) -> None:
    engine = ApptainerEngine(tmp_path)
    with pytest.raises(PreparationFailed, match="--ipc host means nothing to apptainer"):
        engine.command(RUN)
    command = engine.command(ContainerRun("n", "/i.sif", Path("/s"), (Mount("/c", "/d"),)))
    assert command[-3:] == ["/i.sif", "/bin/sh", "/s"]
    assert "--bind=/c:/d:ro" in command


async def test_apptainer_knows_an_image_file_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "image.sif"
    engine = ApptainerEngine(tmp_path / "images")
    assert await engine.image(str(file)) is None
    file.write_bytes(b"one")
    first = await engine.image(str(file))
    file.write_bytes(b"another")
    second = await engine.image(str(file))
    assert first is not None
    assert second is not None
    assert first.id != second.id


def test_the_engine_that_is_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    node = NodePaths(tmp_path)
    for name in ("", "docker", "podman", "apptainer"):
        with pytest.raises(PreparationFailed, match="container_engine"):
            engine_of(name, node)
    with pytest.raises(PreparationFailed, match="give one of docker, podman, apptainer"):
        engine_of("dockr", node)
    (tmp_path / "podman").write_text("#!/bin/sh\n")
    (tmp_path / "podman").chmod(0o755)
    assert engine_of("", node).name == "podman"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Cannot connect to the Docker daemon at unix:///x.", "does not answer"),
        ('exec: "/bin/sh": stat /bin/sh: no such file or directory', "no /bin/sh"),
        ("docker: Error response from daemon: cgroup trouble.\nRun --help", "cgroup trouble"),
        ("Error: container-init binary not found on the host", "no init"),
    ],
)
def test_a_container_that_does_not_start_says_whose_fault_it_is(said: str, told: str) -> None:
    assert told in not_started(DockerEngine(), said).message


def test_the_script_becomes_the_command_with_its_variables(tmp_path: Path) -> None:
    marker = tmp_path / "it's here"
    env = {"A": "it's\n$HOME", "PATH": os.environ["PATH"], "bad.name": "x"}
    program = "import os, sys; print(repr(os.environ['A']), os.getcwd(), sys.stdin.read())"
    script = tmp_path / "start.sh"
    write_private(
        script, start_script([sys.executable, "-c", program], env, tmp_path, marker, watches=True)
    )
    assert stat.S_IMODE(script.stat().st_mode) == 0o600
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, input="unread")
    assert done.stdout == f"{env['A']!r} {tmp_path} \n", done.stderr
    assert marker.exists()


def test_a_client_has_an_input_that_stays_open_as_long_as_it_lives(tmp_path: Path) -> None:
    node = NodePaths(tmp_path)
    make_pipe(node)
    make_pipe(node)
    command = attached(DockerEngine(), ["/bin/sh", "-c", "read line; echo ended"], node)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.2)
        client.kill()
        assert client.stdout is not None
        assert client.stdout.read() == b""


def test_a_holder_is_held_until_its_process_ends(tmp_path: Path) -> None:
    node = NodePaths(tmp_path)
    own = own_holder(node)
    assert own == own_holder(node)
    assert is_held(str(own))
    other = own.with_name("dead.lock")
    other.touch()
    assert not is_held(str(other))
    assert not is_held(str(tmp_path / "never-there"))
    remove_old_holders(node)
    assert (own.exists(), other.exists()) == (True, False)


def image(*versions: str, libc: str = "musl") -> Image:
    pythons = tuple(
        Interpreter(Path(f"/usr/bin/python{v}"), v, "cpython", "tag", "abi", "linux-x86_64")
        for v in versions
    )
    return Image("debian:1", "sha256:1", "sha256:1", "sha256:1", {}, libc, pythons)


async def test_an_images_python_is_exact_or_an_error_that_lists_them(tmp_path: Path) -> None:
    bench = None
    place = ContainerPlace(bench, image("3.9.1", "3.11.2", "3.12.0"))  # type: ignore[arg-type]
    assert (await place.find_interpreter("")).version == "3.11.2"
    assert (await place.find_interpreter("3.12")).version == "3.12.0"
    with pytest.raises(PreparationFailed, match=r"there is 3\.12\.0, 3\.11\.2; .*musl"):
        await place.find_interpreter("3.10")
