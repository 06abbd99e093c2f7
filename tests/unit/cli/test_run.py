"""``dray run`` and ``dray task create``: a script as it is, there or here."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from dray.runtime.execution import Execution
from dray.runtime.snapshots import decode_manifest
from tests.unit.cli.conftest import Cli, Server

SCRIPT = """\
import argparse
import helper
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
print(helper.WORD, "at", parser.parse_args().lr)
"""


@pytest.fixture
def script(cli: Cli) -> Path:
    """A script and a module beside it, in a repository that knows only the script."""
    Path("helper.py").write_text("WORD = 'hello'\n")
    Path("train.py").write_text(SCRIPT)
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", "https://example.org/you/project.git"],
        ["add", "train.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first"],
    ):
        subprocess.run(["git", *command], check=True)
    return Path("train.py")


def test_a_script_is_sent_with_what_git_does_not_know_and_queued(
    cli: Cli, server: Server, script: Path
) -> None:
    server.client.create_queue("gpu")
    options = ["--queue", "gpu", "--gpus", "1", "--args", "lr=0.5", "--tag", "t", "--priority", "2"]
    answer = cli("run", "train.py", *options, "--name", "try", "--", "--verbose", "-x")
    assert answer.code == 0, answer.err
    task = server.client.get_task(answer.out.strip())
    assert (task.state, task.queue, task.priority, task.name) == ("pending", "gpu", 2, "try")
    assert task.project == "project"
    execution = task.execution
    assert (execution.entry_point, execution.arguments) == ("train.py", ["--verbose", "-x"])
    assert (execution.bootstrap, execution.resources.gpus) == (True, 1)
    assert execution.repository == "https://example.org/you/project.git"
    assert task.parameters["Args/lr"].value == "0.5"
    manifest = decode_manifest(server.client.read_blob(execution.snapshot))
    assert {entry.path for entry in manifest} == {"train.py", "helper.py"}
    for entry in manifest:
        content = server.client.read_blob(entry.sha256)
        assert hashlib.sha256(content).hexdigest() == entry.sha256


def test_a_repository_needs_no_files_here(cli: Cli, server: Server) -> None:
    server.client.create_queue("gpu")
    url = "https://example.org/you/other.git"
    where = ["--repo", url, "--branch", "dev", "--working-dir", "src", "--python", "3.11"]
    options = ["--queue", "gpu", "--package", "numpy<3", "--package", "torch"]
    answer = cli("run", "train.py", *where, *options)
    task = server.client.get_task(answer.out.strip())
    assert task.project == "other"
    execution = task.execution
    assert (execution.repository, execution.branch, execution.commit) == (url, "dev", "")
    assert (execution.working_dir, execution.entry_point) == ("src", "train.py")
    assert (execution.packages, execution.python_version) == (["numpy<3", "torch"], "3.11")
    assert execution.snapshot == ""


def test_a_dry_run_lists_what_would_be_sent_and_sends_nothing(
    cli: Cli, server: Server, script: Path
) -> None:
    answer = cli("run", "train.py", "--dry-run")
    assert sorted(row[1:] for row in answer.rows) == [["new", "helper.py"], ["new", "train.py"]]
    assert "2 files" in answer.err
    assert cli("task", "list").rows == []
    assert cli("task", "create", "train.py").code == 0
    Path(".drayignore").write_text("helper.py\n")
    rows = cli("run", "train.py", "--dry-run").rows
    assert sorted(row[1:] for row in rows) == [["kept", "train.py"], ["new", ".drayignore"]]


def files_of(server: Server, sha256: str) -> set[str]:
    return {entry.path for entry in decode_manifest(server.client.read_blob(sha256))}


def draft(cli: Cli, server: Server, *arguments: str) -> Execution:
    answer = cli("task", "create", *arguments)
    assert answer.code == 0, answer.err
    return server.client.get_task(answer.out.strip()).execution


def test_outside_git_a_small_folder_goes_with_its_script(cli: Cli, server: Server) -> None:
    Path("config.yaml").write_text("lr: 1")
    Path("train.py").write_text("open('config.yaml')")
    execution = draft(cli, server, "train.py")
    assert files_of(server, execution.snapshot) == {"config.yaml", "train.py"}


def test_a_drayignore_outside_git_marks_the_top_of_the_code(cli: Cli, server: Server) -> None:
    Path("src").mkdir()
    Path(".drayignore").write_text("*.bin\n")
    Path("big.bin").write_text("")
    Path("data.csv").write_text("1")
    Path("src/train.py").write_text("")
    execution = draft(cli, server, "src/train.py")
    assert (execution.working_dir, execution.entry_point) == (".", "src/train.py")
    assert files_of(server, execution.snapshot) == {".drayignore", "data.csv", "src/train.py"}


def test_a_folder_that_is_named_is_the_code(cli: Cli, server: Server, script: Path) -> None:
    Path("part/deep").mkdir(parents=True)
    Path("part/go.py").write_text("")
    Path("part/deep/data.txt").write_text("x")
    execution = draft(cli, server, "go.py", "--folder", "part")
    assert (execution.repository, execution.entry_point) == ("", "go.py")
    assert files_of(server, execution.snapshot) == {"go.py", "deep/data.txt"}


def test_a_module_is_found_where_its_name_begins(cli: Cli, server: Server) -> None:
    Path("src/pkg").mkdir(parents=True)
    for name in ("__init__.py", "main.py", "other.py"):
        Path("src/pkg", name).write_text("")
    execution = draft(cli, server, "-m", "pkg.main", "--working-dir", "src", "--", "--lr", "1")
    assert (execution.entry_point, execution.arguments) == ("-m pkg.main", ["--lr", "1"])
    assert execution.bootstrap
    assert "pkg/main.py" in files_of(server, execution.snapshot)


def test_a_program_of_the_node_takes_no_files_along(cli: Cli, server: Server, script: Path) -> None:
    execution = draft(cli, server, "--program", "nvidia-smi", "--", "-L")
    assert (execution.binary, execution.entry_point) == ("nvidia-smi", "")
    assert (execution.arguments, execution.bootstrap) == (["-L"], False)
    assert files_of(server, execution.snapshot) == set()


def test_another_program_runs_the_script(cli: Cli, server: Server) -> None:
    Path("run.zsh").write_text("echo $1\n")
    execution = draft(cli, server, "run.zsh", "--binary", "/bin/zsh", "--", "x")
    assert (execution.binary, execution.entry_point) == ("/bin/zsh", "run.zsh")
    assert execution.arguments == ["x"]


def test_a_shell_script_is_recorded_here_too(cli: Cli, server: Server) -> None:
    Path("run.sh").write_text("echo out $1\necho err >&2\nexit 4\n")
    answer = cli("run", "run.sh", "--local", "--project", "p", "--", "x y")
    assert (answer.code, answer.out) == (4, "out x y\n")
    (task,) = server.client.list_tasks(project="p").items
    assert server.client.wait(task.id, timeout=60).cause.exit_code == 4
    assert cli("task", "logs", task.id, "--stream", "stdout").out == "out x y\n"
    assert cli("task", "logs", task.id, "--stream", "stderr").out.endswith("err\n")


def test_code_that_no_repository_has_is_sent_beside_a_local_run(
    cli: Cli, server: Server, script: Path
) -> None:
    assert cli("run", "train.py", "--local", "--project", "p").code == 0
    (task,) = server.client.list_tasks(project="p").items
    execution = server.client.wait(task.id, timeout=60).execution
    assert execution.commit  # never pushed, so no agent could fetch it
    assert files_of(server, execution.snapshot) == {"train.py", "helper.py"}
    copy = server.client.clone_task(task.id)
    assert copy.execution.snapshot == execution.snapshot


def test_create_leaves_a_draft(cli: Cli, server: Server, script: Path) -> None:
    answer = cli("task", "create", "train.py", "--project", "mine", "--type", "testing")
    task = server.client.get_task(answer.out.strip())
    assert (task.state, task.project, task.type, task.name) == ("draft", "mine", "testing", "train")


def test_requirements_are_read_with_their_indexes(cli: Cli, server: Server, script: Path) -> None:
    Path("more.txt").write_text("torch==2.4  # the good one\n")
    Path("requirements.txt").write_text(
        "--extra-index-url https://b.example/simple\n# comment\nnumpy<3\n-r more.txt\n"
        "-i https://a.example/simple\npkg @ https://x.example/pkg#egg=pkg\n"
    )
    answer = cli("task", "create", "train.py", "--requirements", "requirements.txt")
    execution = server.client.get_task(answer.out.strip()).execution
    assert execution.packages == ["numpy<3", "torch==2.4", "pkg @ https://x.example/pkg#egg=pkg"]
    assert execution.index_urls == ["https://a.example/simple", "https://b.example/simple"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "train.py"], "--queue"),
        (["run", "train.py", "--queue", "gpu", "--local"], "--local"),
        (["run", "missing.py", "--queue", "gpu"], "missing.py"),
        (["run", "train.py", "--queue", "gpu", "--branch", "dev"], "--repo"),
        (["run", "train.py", "--local", "--gpus", "1"], "--gpus"),
        (["run", "missing.py", "--local"], "missing.py"),
        (["run", "--queue", "gpu"], "SCRIPT"),
        (["run", "-m", "no.such", "--queue", "gpu"], "no.such"),
        (["run", "-m", "a", "--program", "b", "--queue", "gpu"], "--program"),
        (["run", "--binary", "/bin/sh", "--queue", "gpu"], "SCRIPT"),
        (["run", "train.py", "--folder", "none", "--queue", "gpu"], "none"),
        (["run", "train.py", "--folder", ".", "--repo", "u", "--queue", "gpu"], "--folder"),
        (["run", "train.py", "--repo", "https://x/y", "--dry-run"], "--dry-run"),
        (["task", "create", "train.py", "--type", "trainnig"], "training"),
        (["task", "create", "train.py", "--requirements", "none.txt"], "none.txt"),
        (["task", "create", "train.py", "--requirements", "bad.txt"], "bad.txt:1"),
        (["task", "create", "train.py", "--gpus", "1.5"], "gpus"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(
    cli: Cli, server: Server, script: Path, arguments: list[str], named: str
) -> None:
    server.client.create_queue("gpu")
    Path("bad.txt").write_text("-e .\n")
    answer = cli(*arguments)
    assert answer.code == 2
    assert named in answer.err
    assert cli("task", "list").rows == []


def test_an_unknown_queue_names_those_there_are(cli: Cli, server: Server, script: Path) -> None:
    server.client.create_queue("gpu")
    answer = cli("run", "train.py", "--queue", "gqu")
    assert answer.code == 2
    assert "gpu" in answer.err
    assert cli("task", "list").rows == []


def test_a_local_run_is_recorded_and_keeps_its_exit_code(
    cli: Cli, server: Server, script: Path
) -> None:
    with script.open("a") as file:
        file.write("raise SystemExit(7)\n")
    answer = cli("run", "train.py", "--local", "--project", "p", "--", "--lr", "0.3")
    assert answer.code == 7
    assert answer.out == "hello at 0.3\n"
    (task,) = server.client.list_tasks(project="p").items
    ended = server.client.wait(task.id, timeout=30)
    assert (ended.state, ended.cause.exit_code) == ("failed", 7)
    assert ended.parameters["Args/lr"].value == "0.3"
    assert cli("task", "logs", task.id, "--stream", "stdout").out == "hello at 0.3\n"


def test_a_local_run_needs_no_server(cli: Cli, script: Path) -> None:
    answer = cli("run", "train.py", "--local")
    assert (answer.code, answer.out) == (0, "hello at 0.1\n")
    assert "dray sync" in answer.err


def test_what_was_recorded_without_a_server_is_synced_later(
    cli: Cli, script: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_OFFLINE", "1")
    assert cli("run", "train.py", "--local", "--project", "p").code == 0
    monkeypatch.setenv("DRAY_OFFLINE", "0")
    (row,) = cli("sync", "--all").rows
    assert (row[1], row[3]) == ("completed", "yes")
    assert cli("task", "logs", row[0]).out == "hello at 0.1\n"
    assert cli("sync", "--all").rows == []


def test_the_script_of_a_local_run_that_a_signal_ends_keeps_the_shells_code(
    cli: Cli, server: Server
) -> None:
    Path("dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert cli("run", "dies.py", "--local").code == 137


def test_dray_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "dray", "--version"], capture_output=True)
    assert done.returncode == 0


def test_a_run_says_what_surrounds_its_process(cli: Cli, server: Server, script: Path) -> None:
    server.client.create_queue("gpu")
    options = ["--env", "HF_HOME=/data", "--index-url", "https://host/simple", "--manager", "pip"]
    answer = cli("run", "train.py", "--queue", "gpu", *options)
    assert answer.code == 0, answer.err
    execution = server.client.get_task(answer.out.strip()).execution
    assert execution.variables == {"HF_HOME": "/data"}
    assert (execution.index_urls, execution.environment_manager) == (
        ["https://host/simple"],
        "pip",
    )
    refused = cli("run", "train.py", "--local", "--env", "A=1")
    assert (refused.code, "--env is for a run on the cluster" in refused.err) == (2, True)
