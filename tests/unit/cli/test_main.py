"""How every command behaves: help, errors, exit codes, and what it may load."""

import subprocess
import sys

from tests.unit.cli.conftest import Cli, Server


def test_help_lists_nouns_and_verbs(cli: Cli) -> None:
    answer = cli("--help")
    assert answer.code == 0
    for word in ("up", "down", "status", "demo", "run", "sync", "task", "queue", "agent"):
        assert f"\n  {word} " in answer.out


def test_help_loads_neither_the_client_nor_rich_nor_ray() -> None:
    code = (
        "import sys\nfrom dray.sdk.cli.main import main\nmain(['--help'])\n"
        "heavy = ('rich', 'ray', 'fastapi', 'asyncio', 'http.client', 'dray.sdk.client', 'git')\n"
        "print(*(m for m in heavy if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_the_version_is_printed(cli: Cli) -> None:
    from dray import __version__

    assert cli("--version").out.strip() == __version__


def test_without_a_server_the_exit_code_is_3_and_the_next_step_is_said(cli: Cli) -> None:
    answer = cli("task", "list")
    assert answer.code == 3
    assert answer.out == ""
    assert "dray up" in answer.err
    assert "Traceback" not in answer.err


def test_a_server_that_does_not_answer_is_exit_code_3(cli: Cli) -> None:
    answer = cli("task", "list", "--url", "http://127.0.0.1:1")
    assert answer.code == 3
    assert "127.0.0.1:1" in answer.err


def test_a_refused_request_is_exit_code_2_and_one_sentence(cli: Cli, server: Server) -> None:
    answer = cli("task", "show", "abcdef12")
    assert answer.code == 2
    assert answer.out == ""
    assert "abcdef12" in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_wrong_usage_is_exit_code_2(cli: Cli) -> None:
    assert cli("task", "sow").code == 2
    assert cli("task", "list", "--no-such-option").code == 2
    assert cli("task", "show").code == 2


def test_a_wrong_token_is_refused(cli: Cli, server: Server, monkeypatch) -> None:
    monkeypatch.setenv("DRAY_TOKEN", "wrong")
    answer = cli("task", "list")
    assert answer.code == 2
    assert "token" in answer.err


def test_an_unknown_variable_is_reported_once_and_on_stderr(
    cli: Cli, server: Server, monkeypatch
) -> None:
    monkeypatch.setenv("DRAY_PROT", "1")
    answer = cli("task", "list")
    assert answer.code == 0
    assert answer.err.count("DRAY_PROT") == 1
    assert "port" in answer.err


def test_a_broken_settings_file_is_named(cli: Cli, tmp_path) -> None:
    (tmp_path / "work" / "dray.toml").write_text("url = ")
    answer = cli("task", "list")
    assert answer.code == 2
    assert "dray.toml" in answer.err


def test_the_cluster_commands_say_what_to_install_when_ray_is_missing(
    cli: Cli, monkeypatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for command in ("up", "down", "demo"):
        answer = cli(command)
        assert answer.code == 2
        assert "dray[cluster]" in answer.err
