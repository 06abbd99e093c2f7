"""Tasks in containers of a real Docker, on a real cluster."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from dray.runtime.causes import CauseKind
from dray.runtime.execution import Container
from dray.runtime.models import Policy, Task
from dray.runtime.resources import Resources
from dray.runtime.states import State
from tests.docker.engines import IMAGE, Dockerd, import_bare, need
from tests.integration.conftest import Cluster
from tests.waiting import wait_until

IN_IMAGE = Container(IMAGE)
#: Says that it runs, and waits.
WAITS = "import os, time\nprint('up', os.environ['DRAY_EPOCH'], flush=True)\ntime.sleep(600)\n"


def name_of(task: Task, epoch: int = 1) -> str:
    return f"dray-{task.id[:8]}-{epoch}"


def client_of(task: Task) -> psutil.Process:
    """The engine's client that runs a task."""
    wanted = f"--name={name_of(task)}"
    return next(p for p in psutil.process_iter() if wanted in _words(p))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def agent_of(client: psutil.Process) -> int:
    """The process of the agent that runs a client."""
    return next(p.pid for p in client.parents() if p.name().startswith("ray::"))


def is_up(cluster: Cluster, task: Task) -> None:
    wait_until(lambda: cluster.console(task), lambda seen: "up" in seen, timeout_s=60)


def prepare_log(cluster: Cluster, task: Task) -> str:
    return cluster.console(task, "prepare")


def test_a_task_runs_in_its_image_with_its_packages(cluster: Cluster, engine: Dockerd) -> None:
    source = (
        "import os, sys, six\nfrom dray import Task\n"
        "task = Task.init('p', 'n')\n"
        "task.get_logger().report_scalar('loss', 'train', value=0.5, iteration=1)\n"
        "print(six.__version__, sys.version_info[:2])\nsys.stderr.write('warned\\n')\n"
    )
    ended = cluster.finished(cluster.submit(source, container=IN_IMAGE, packages=["six==1.16.0"]))
    assert ended.state is State.COMPLETED, ended.cause
    assert cluster.console(ended) == "1.16.0 (3, 11)\n"
    assert cluster.console(ended, "stderr") == "warned\n"
    assert ended.metrics["loss"]["train"].last == 0.5
    assert ended.attempt is not None
    assert ended.attempt.environment is not None
    assert ended.attempt.environment.image.startswith("sha256:")
    assert all(receipt.exact for receipt in ended.attempt.receipt.values())
    assert name_of(ended) not in engine.names()


def test_two_at_once_share_one_environment(cluster: Cluster) -> None:
    half = Resources(cpus=0.5)
    packages = ["six==1.15.0"]
    both = [
        cluster.submit("import six", container=IN_IMAGE, packages=packages, resources=half)
        for _ in range(2)
    ]
    ended = [cluster.finished(task) for task in both]
    reports = [task.attempt.environment for task in ended if task.attempt is not None]
    assert len({report.key for report in reports if report}) == 1
    assert sorted(report.reused for report in reports if report) == [False, True]


def test_an_exit_code_and_a_signal_are_the_tasks_own(cluster: Cluster) -> None:
    ended = cluster.finished(cluster.submit("raise SystemExit(125)", container=IN_IMAGE))
    assert ended.cause is not None
    assert (ended.cause.kind, ended.cause.exit_code) == (CauseKind.EXIT_CODE, 125)
    source = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    ended = cluster.finished(cluster.submit(source, container=IN_IMAGE))
    assert ended.cause is not None
    assert (ended.cause.kind, ended.cause.signal) == (CauseKind.SIGNAL, signal.SIGSEGV)


def test_an_abort_is_seen_inside_and_leaves_nothing(cluster: Cluster, engine: Dockerd) -> None:
    source = (
        "import subprocess, sys, time\nfrom dray import Task\n"
        "task = Task.init('p', 'n')\n"
        "task.register_abort_callback(lambda: print('called back', flush=True))\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(2, 1);"
        " signal.signal(15, 1); time.sleep(600)'], start_new_session=True)\n"
        "print('up', flush=True)\n"
        "try:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('INT', flush=True)\n"
    )
    task = cluster.submit(source, container=IN_IMAGE)
    is_up(cluster, task)
    cluster.client.abort(task.id, reason="enough")
    ended = cluster.finished(task)
    assert ended.state is State.ABORTED
    assert "called back" in cluster.console(task)
    assert "INT" in cluster.console(task)
    assert name_of(task) not in engine.names()


def test_who_ignores_int_and_term_is_killed(cluster: Cluster, engine: Dockerd) -> None:
    source = (
        "import signal, sys, time\n"
        "for n in (2, 15): signal.signal(n, lambda n, _: print('got', n, flush=True))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    policy = Policy(stop_grace_s=0.5)
    task = cluster.submit(source, container=IN_IMAGE, policy=policy)
    is_up(cluster, task)
    cluster.client.abort(task.id)
    assert cluster.finished(task).state is State.ABORTED
    assert "got 2\ngot 15\n" in cluster.console(task)
    assert name_of(task) not in engine.names()


@pytest.mark.invariant(3)
def test_a_killed_agent_takes_its_container_along(cluster: Cluster, engine: Dockerd) -> None:
    source = WAITS.replace("time.sleep(600)", "time.sleep(600 * (os.environ['DRAY_EPOCH'] == '1'))")
    task = cluster.submit(source, container=IN_IMAGE)
    is_up(cluster, task)
    os.kill(agent_of(client_of(task)), signal.SIGKILL)
    wait_until(
        lambda: engine.names("--filter=status=running"),
        lambda seen: name_of(task) not in seen,
        timeout_s=5,
    )
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch) == (State.COMPLETED, 2), ended.cause
    # It was kept to be asked, and is swept.
    wait_until(engine.names, lambda seen: name_of(task) not in seen, timeout_s=120)


def test_a_killed_client_takes_its_container_along(cluster: Cluster, engine: Dockerd) -> None:
    task = cluster.submit(WAITS, container=IN_IMAGE)
    is_up(cluster, task)
    os.kill(client_of(task).pid, signal.SIGKILL)
    ended = cluster.finished(task)
    assert ended.cause is not None
    assert (ended.cause.kind, ended.cause.signal) == (CauseKind.SIGNAL, signal.SIGKILL)
    assert name_of(task) not in engine.names()


def test_a_memory_limit_holds_and_says_so(cluster: Cluster) -> None:
    limit = Resources(memory_bytes=96 << 20)
    source = "x = bytearray(400 << 20)"
    ended = cluster.finished(cluster.submit(source, container=IN_IMAGE, resources=limit))
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.OUT_OF_MEMORY, ended.cause
    assert "limit 96.0 MiB" in ended.cause.message


def test_a_setup_script_runs_before_the_task_and_its_exports_count(cluster: Cluster) -> None:
    script = "echo setting up\nexport COLOUR=red\n"
    source = "import os; print(os.environ['COLOUR'])"
    task = cluster.submit(source, container=Container(IMAGE, "", script))
    assert cluster.finished(task).state is State.COMPLETED
    assert cluster.console(task) == "red\n"
    assert "setting up" in prepare_log(cluster, task)


def test_a_setup_script_that_fails_is_the_cause(cluster: Cluster) -> None:
    script = "echo no such thing >&2\nfalse\n"
    ended = cluster.finished(cluster.submit("print(1)", container=Container(IMAGE, "", script)))
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "setup script failed with exit code 1" in ended.cause.message
    assert "no such thing" in (ended.cause.evidence or "")


def test_system_packages_are_installed_once(cluster: Cluster, engine: Dockerd) -> None:
    reach = ["run", "--rm", "--network=host", IMAGE, "apt-get", "update", "-qq"]
    if "Err" in engine.docker(*reach, check=False):
        pytest.skip("apt in a container does not reach a mirror from here")
    source = "import subprocess; print(subprocess.check_output(['hello'], text=True), end='')"
    for words in ("installing system packages", ""):
        task = cluster.submit(source, container=IN_IMAGE, system_packages=["hello"])
        ended = cluster.finished(task)
        assert ended.state is State.COMPLETED, ended.cause
        assert cluster.console(task) == "Hello, world!\n"
        assert ("installing system packages" in prepare_log(cluster, task)) is bool(words)


def test_a_system_package_that_does_not_exist_is_told_by_apt(cluster: Cluster) -> None:
    task = cluster.submit("print(1)", container=IN_IMAGE, system_packages=["no-such-package"])
    ended = cluster.finished(task)
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "no-such-package" in ended.cause.message


def test_the_images_own_python_is_used_as_it_is(cluster: Cluster) -> None:
    source = "import sys; print(sys.prefix)\ntry:\n    import six\nexcept ImportError: print('no')"
    task = cluster.submit(
        source, container=IN_IMAGE, environment_manager="system", packages=["six==1.16.0"]
    )
    assert cluster.finished(task).state is State.COMPLETED
    assert cluster.console(task) == "/usr\nno\n"


def test_an_image_that_does_not_exist_is_named(cluster: Cluster) -> None:
    task = cluster.submit("print(1)", container=Container("127.0.0.1:1/nobody/nothing:1"))
    ended = cluster.finished(task)
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "'127.0.0.1:1/nobody/nothing:1'" in ended.cause.message


def test_an_image_without_a_shell_is_told_apart(
    cluster: Cluster, engine: Dockerd, tmp_path: Path
) -> None:
    import_bare(engine, tmp_path, "dray-test:bare", {"etc/hostname": Path("/etc/hostname")})
    ended = cluster.finished(cluster.submit("print(1)", container=Container("dray-test:bare")))
    assert ended.cause is not None
    assert "no /bin/sh" in ended.cause.message


def test_a_python_that_the_image_lacks_is_an_error_that_lists_what_it_has(cluster: Cluster) -> None:
    task = cluster.submit(
        "print(1)", container=IN_IMAGE, environment_manager="system", python_version="3.10"
    )
    ended = cluster.finished(task)
    assert ended.cause is not None
    assert "there is 3.11" in ended.cause.message


def test_arguments_outside_the_list_are_refused(cluster: Cluster) -> None:
    ended = cluster.finished(
        cluster.submit("print(1)", container=Container(IMAGE, "--ipc=host --privileged"))
    )
    assert ended.cause is not None
    assert "--privileged" in ended.cause.message
    assert "container_allowed_arguments" in ended.cause.message


def test_allowed_arguments_and_mounts_have_their_effect(cluster: Cluster, mountable: Path) -> None:
    source = (
        "import os\nprint(os.environ['A'], open('/data/data.txt').read())\n"
        "print(os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize)\n"
        "try:\n    open('/data/new', 'w')\nexcept OSError as exc: print(exc.strerror)\n"
    )
    arguments = f"--shm-size=123m -e A='b c' -v {mountable}:/data:ro --rm"
    task = cluster.submit(source, container=Container(IMAGE, arguments))
    assert cluster.finished(task).state is State.COMPLETED
    assert cluster.console(task) == f"b c of the node\n{123 << 20}\nRead-only file system\n"


def test_no_secret_is_in_a_command_line_or_in_what_the_engine_tells(
    cluster: Cluster, engine: Dockerd
) -> None:
    source = "import os\nassert len(os.environ['DRAY_TOKEN']) > 10\n" + WAITS
    secret = {"KEY_OF_SOMETHING": "very-secret-value"}
    arguments = Container(IMAGE, "-e OTHER=other-secret-value")
    task = cluster.submit(source, container=arguments, variables=secret)
    is_up(cluster, task)
    told = engine.docker("inspect", name_of(task))
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    for text in (told, lines):
        assert "very-secret-value" not in text
        assert "other-secret-value" not in text
        assert "DRAY_TOKEN" not in text
    labels = json.loads(told)[0]["Config"]["Labels"]
    assert (labels["dray.task"], labels["dray.epoch"]) == (task.id, "1")
    assert labels["dray.agent"]
    cluster.client.abort(task.id)
    assert cluster.finished(task).state is State.ABORTED


def test_what_a_task_writes_is_the_agents_to_remove(cluster: Cluster) -> None:
    task = cluster.submit("import os; os.mkdir('made'); open('made/x', 'w')", container=IN_IMAGE)
    assert cluster.finished(task).state is State.COMPLETED
    attempts = Path(cluster.environ["DRAY_CACHE"]) / "attempts"
    wait_until(lambda: list(attempts.glob(f"{task.id}.*")), lambda seen: not seen)


def test_an_image_comes_from_a_registry_with_progress(
    cluster: Cluster, engine: Dockerd, tmp_path: Path
) -> None:
    need("docker-registry", "docker-registry")
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        "http: {addr: 127.0.0.1:18765}\n"
    )
    command = ["docker-registry", "serve", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as served:
        try:
            tag = "127.0.0.1:18765/team/debian:1"
            engine.docker("tag", IMAGE, tag)
            wait_until(lambda: "digest" in engine.docker("push", tag, check=False), timeout_s=60)
            engine.docker("rmi", tag)
            task = cluster.submit("print('pulled')", container=Container(tag, "--pull always"))
            ended = cluster.finished(task)
        finally:
            served.terminate()
    assert ended.state is State.COMPLETED, ended.cause
    said = prepare_log(cluster, task)
    assert f"pulling image {tag}" in said
    assert "Pulling from team/debian" in said
    assert ended.attempt is not None
    assert ended.attempt.environment is not None
    assert "team/debian@sha256:" in ended.attempt.environment.image


def test_an_abort_while_packages_are_installed_ends_their_container(
    cluster: Cluster, engine: Dockerd
) -> None:
    # A package that is built for ever: the tool's container is what there is to end.
    source = "print('never')"
    slow = Container(IMAGE)
    task = cluster.submit(
        source, container=slow, packages=["six @ http://127.0.0.1:18766/six-1.0.tar.gz"]
    )
    with socket.create_server(("127.0.0.1", 18766)):  # takes the connection and never answers
        wait_until(lambda: [n for n in engine.names() if n.startswith("dray-tool-")], timeout_s=60)
        wait_until(lambda: prepare_log(cluster, task), lambda seen: "asking" in seen, timeout_s=60)
        cluster.client.abort(task.id)
        assert cluster.finished(task).state is State.ABORTED

        def tools() -> list[str]:
            return [name for name in engine.names() if name.startswith("dray-tool-")]

        wait_until(tools, lambda seen: not seen, timeout_s=10)


def test_an_engine_that_stops_is_the_machines_fault(cluster: Cluster, engine: Dockerd) -> None:
    policy = Policy(max_requeues=0)
    task = cluster.submit(WAITS, container=IN_IMAGE, policy=policy)
    is_up(cluster, task)
    engine.stop()
    try:
        ended = cluster.finished(task)
        assert ended.state is State.FAILED
        first = cluster.client.attempts(task.id)[0]
        assert first.cause is not None
        assert first.cause.kind is CauseKind.WORKER_LOST, first.cause
        assert "stopped answering" in first.cause.message
        other = cluster.finished(cluster.submit("print(1)", container=IN_IMAGE))
        assert other.cause is not None
        assert "does not answer 'docker'" in other.cause.message
    finally:
        engine.start()
    assert cluster.finished(cluster.submit("print(1)", container=IN_IMAGE)).state is State.COMPLETED
