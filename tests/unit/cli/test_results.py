"""``dray task logs`` and ``scalars``: the console as it was written, the points as reported."""

import hashlib
import os
import signal
import subprocess
import sys
import threading

from dray.runtime.records import Chunk, Frame
from tests.unit.cli.conftest import Cli, Server
from tests.waiting import wait_until


def test_logs_are_what_a_terminal_shows_and_raw_what_was_written(cli: Cli, server: Server) -> None:
    text = "two lines\nand a bar 50 %\rand a bar 100 %\n\x1b[31m\N{SNOWMAN}\x1b[0m"
    task = server.ended(0, text)
    assert cli("task", "logs", task.id).out == "two lines\nand a bar 100 %\n\N{SNOWMAN}\n"
    assert cli("task", "logs", task.id, "--raw").out == text


def test_gaps_are_told_in_logs_and_in_what_the_task_came_to(cli: Cli, server: Server) -> None:
    run = server.running()
    run.write("stdout", "begin\n")
    last = Chunk("stdout", 5_000_000_006, b"end\n", skipped=5_000_000_000)
    sums = {"n_bytes": last.end, "sha256": "a" * 64, "missing_bytes": last.skipped}
    kept = hashlib.sha256(b"begin\nend\n").hexdigest()
    finish = {
        "cause": {"kind": "exit_code", "message": "exited with code 0", "exit_code": 0},
        "receipt": {"stdout": {**sums, "kept_sha256": kept}},
    }
    server.client.send_frame(run.task_id, 1, Frame([last], finish=finish))
    assert cli("task", "logs", run.task_id).out == "begin\n[5.0 GB not stored]\nend\n"
    assert "[5.0 GB not stored]" in cli("task", "logs", run.task_id, "--raw").out
    told = "5,000,000,010 bytes written, 10 stored exactly, 5,000,000,000 not stored"
    assert told in cli("task", "show", run.task_id).out
    one = cli("task", "logs", run.task_id, "--stream", "stdout")
    assert one.out == "begin\nend\n"
    assert "(gaps: 6+5,000,000,000)" in one.err


def test_one_stream_is_given_byte_for_byte(cli: Cli, server: Server) -> None:
    run = server.running()
    run.write("stdout", "out\n")
    run.write("stderr", "err\n")
    assert cli("task", "logs", run.task_id, "--stream", "stderr").out == "err\n"
    assert sorted(cli("task", "logs", run.task_id).out.splitlines()) == ["err", "out"]


def test_preparing_is_left_out_unless_asked_for(cli: Cli, server: Server) -> None:
    run = server.running()
    run.write("prepare", "installing\n")
    run.write("stdout", "training\n")
    assert cli("task", "logs", run.task_id).out == "training\n"
    assert "installing" in cli("task", "logs", run.task_id, "--prepare").out


def test_a_task_that_failed_in_preparing_shows_that_log(cli: Cli, server: Server) -> None:
    run = server.running()
    run.write("prepare", "no such package\n")
    task = run.end({"kind": "environment_failed", "message": "its environment failed"})
    answer = cli("task", "logs", task.id)
    assert answer.out == "no such package\n"
    assert "its environment failed" in answer.err


def test_only_the_end_of_a_console(cli: Cli, server: Server) -> None:
    task = server.ended(0, "a" * 100 + "end\n")
    assert cli("task", "logs", task.id, "--tail-bytes", "4").out == "end\n"


def test_json_gives_pieces_with_their_place(cli: Cli, server: Server) -> None:
    task = server.ended(0, "hello\n")
    piece = cli("task", "logs", task.id, "--json").json
    assert (piece["stream"], piece["offset"], piece["text"]) == ("stdout", 0, "hello\n")


def test_following_goes_on_until_the_end_and_ends_with_1_when_it_failed(
    cli: Cli, server: Server
) -> None:
    run = server.running()
    run.write("stdout", "first\n")

    def finish() -> None:
        run.write("stdout", "second\n")
        run.end({"kind": "exit_code", "message": "exited with code 1", "exit_code": 1})

    later = threading.Timer(0.2, finish)
    later.start()
    answer = cli("task", "logs", "-f", run.task_id)
    later.join()
    assert answer.out == "first\nsecond\n"
    assert answer.code == 1
    assert "exited with code 1" in answer.err


def test_following_what_has_ended_well_ends_with_0(cli: Cli, server: Server) -> None:
    answer = cli("task", "logs", "-f", server.ended(0, "done\n").id)
    assert (answer.code, answer.out) == (0, "done\n")


def test_ctrl_c_detaches_and_says_how_to_come_back(server: Server, tmp_path) -> None:
    run = server.running()
    run.write("stdout", "hello\n")
    said = tmp_path / "said"
    with said.open("wb") as out:
        follower = subprocess.Popen(
            [sys.executable, "-m", "dray", "task", "logs", "-f", run.task_id],
            stdout=out,
            stderr=subprocess.PIPE,
            env={**os.environ, "DRAY_URL": server.url},
        )
        wait_until(said.read_bytes, lambda seen: b"hello" in seen)
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=30)
    assert follower.returncode == 130
    assert f"dray task logs -f {run.task_id[:8]}".encode() in err
    assert b"Traceback" not in err
    assert server.client.get_task(run.task_id).state == "running"


def test_scalars_are_one_line_a_point(cli: Cli, server: Server) -> None:
    run = server.running()
    for iteration in (1, 2):
        run.record("scalar", title="loss", series="test", i=iteration, v=1 / iteration)
    assert cli("task", "scalars", run.task_id).rows == [
        ["loss", "test", "1", "1.0"],
        ["loss", "test", "2", "0.5"],
    ]
    points = cli("task", "scalars", run.task_id, "--json").json["loss"]["test"]
    assert points["values"] == [1.0, 0.5]
