"""Children of an agent: how they start, what they find, what they write, how they end."""

from __future__ import annotations

import json
import random
import signal
import sys
from pathlib import Path

import pytest

from dray.runtime.subprocesses import Supervisor
from tests.unit.runtime.processes import (
    WAITS,
    Output,
    ended,
    python,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")

# How it ends.


@pytest.mark.parametrize("code", [0, 3])
async def test_a_child_that_exits_reports_its_code(supervisor: Supervisor, code: int) -> None:
    process = await supervisor.spawn(python(f"raise SystemExit({code})"))
    status = await ended(process)
    assert (status.exit_code, status.signal, status.lost) == (code, None, False)
    assert process.steps == []


async def test_a_child_ended_by_a_signal_reports_the_signal(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(python(WAITS))
    process.send_signal(signal.SIGUSR1)
    status = await ended(process)
    assert (status.exit_code, status.signal) == (None, signal.SIGUSR1)


async def test_the_status_tells_what_the_child_used(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(python("x = b'x' * (64 << 20); sum(range(300_000))"))
    status = await ended(process)
    assert status.max_rss_bytes > 64 << 20
    assert status.cpu_s > 0


async def test_a_small_child_is_not_charged_with_the_memory_of_the_agent(
    supervisor: Supervisor,
) -> None:
    ballast = b"x" * (96 << 20)
    status = await ended(await supervisor.spawn(["true"]))
    assert status.max_rss_bytes < len(ballast) / 4


@pytest.mark.parametrize(
    ("argv", "cwd", "error", "path"),
    [
        (["/no/such/program"], "/", FileNotFoundError, "/no/such/program"),
        (["no-such-program"], "/", FileNotFoundError, "no-such-program"),
        (["true"], "/no/such/folder", FileNotFoundError, "/no/such/folder"),
        (["/etc/passwd"], "/", PermissionError, "/etc/passwd"),
        (["true", "a\0b"], "/", OSError, None),
    ],
)
async def test_what_cannot_be_started_raises_as_popen_does(
    supervisor: Supervisor, argv: list[str], cwd: str, error: type[OSError], path: str | None
) -> None:
    with pytest.raises(error) as caught:
        await supervisor.spawn(argv, cwd=cwd)
    assert caught.value.filename in (path, None) or path in str(caught.value.filename)
    assert (await ended(await supervisor.spawn(["true"]))).exit_code == 0


# What it finds.


async def test_a_child_starts_in_a_clean_state(supervisor: Supervisor, tmp_path: Path) -> None:
    output = Output()
    code = """
import json, os
fds = [int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
print(json.dumps({
    "session": os.getsid(0) == os.getpid(), "input": os.read(0, 1).decode(), "fds": fds,
    "cwd": os.getcwd(), "env": dict(os.environ), "nice": os.getpriority(os.PRIO_PROCESS, 0)}))
"""
    environment = {"A": "1", "BYTES": "\udcff", "LC_ALL": "C.UTF-8"}
    process = await supervisor.spawn(python(code), cwd=tmp_path, env=environment, on_output=output)
    assert (await ended(process)).exit_code == 0
    found = json.loads(output.streams["stdout"])
    assert found["session"] is True
    assert found["input"] == ""
    assert sorted(found["fds"]) == [0, 1, 2]
    assert found["cwd"] == str(tmp_path)
    assert found["nice"] == 0
    assert found["env"] == environment


async def test_no_signal_is_ignored_or_blocked_in_a_child_though_python_ignores_some(
    supervisor: Supervisor,
) -> None:
    output = Output()
    argv = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    await ended(await supervisor.spawn(argv, on_output=output))
    values = [line.split()[1] for line in output.streams["stdout"].decode().splitlines()]
    of_the_c_library = 1 << 31 | 1 << 32  # 32 and 33, which it lets nobody else touch
    assert [int(value, 16) & ~of_the_c_library for value in values] == [0, 0]


async def test_a_child_is_as_nice_as_asked(supervisor: Supervisor) -> None:
    output = Output()
    await ended(await supervisor.spawn(["nice"], niceness=7, on_output=output))
    assert await output.lines() == ["7"]


async def test_an_environment_larger_than_a_socket_buffer_arrives(supervisor: Supervisor) -> None:
    output = Output()
    environment = {f"NAME_{n}": str(n) * 10_000 for n in range(60)}
    code = "import os; print(sum(map(len, os.environ.values())))"
    process = await supervisor.spawn(python(code), env=environment, on_output=output)
    await ended(process)
    total = sum(map(len, environment.values()))
    assert total <= int((await output.lines())[0]) <= total + 100  # LC_CTYPE is Python's


# What it writes.


async def test_output_is_byte_exact_and_in_order_for_each_stream(supervisor: Supervisor) -> None:
    output = Output()
    code = """
import os, random
noise, rest = random.Random(7), {1: 5_000_000, 2: 5_000_000}
sources = {1: random.Random(1), 2: random.Random(2)}
while any(rest.values()):
    fd = noise.choice([fd for fd in rest if rest[fd]])
    data = sources[fd].randbytes(min(rest[fd], 10_000))
    rest[fd] -= len(data)
    while data: data = data[os.write(fd, data):]
"""
    await ended(await supervisor.spawn(python(code), on_output=output))
    for stream, seed in (("stdout", 1), ("stderr", 2)):
        source = random.Random(seed)
        expected = b"".join(source.randbytes(10_000) for _ in range(500))
        assert output.streams[stream] == expected


async def test_a_flood_leaves_the_loop_to_others(supervisor: Supervisor) -> None:
    flood = await supervisor.spawn(["yes"], on_output=lambda *_: None)
    status = await ended(await supervisor.spawn(["true"]))
    assert status.exit_code == 0
    assert flood.status is None
    await flood.stop(20)


async def test_paused_output_waits_in_the_child(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(
        python("import os; [os.write(1, b'x' * 65536) for _ in range(32)]"), on_output=output
    )
    process.pause_output()
    already = len(output.streams["stdout"])
    await ended(await supervisor.spawn(["true"]))
    assert len(output.streams["stdout"]) == already < 32 * 65536
    assert process.status is None, "its pipe is full"
    process.resume_output()
    await ended(process)
    assert output.streams["stdout"] == b"x" * 32 * 65536


async def test_what_the_callback_raises_comes_out_of_wait(supervisor: Supervisor) -> None:
    def full_disk(stream: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    process = await supervisor.spawn(
        python("import os; [os.write(1, b'x' * 65536) for _ in range(32)]"), on_output=full_disk
    )
    with pytest.raises(OSError, match="No space left"):
        await ended(process)
    assert process.status is not None
    assert process.status.exit_code == 0, "the child could write all it wanted"
