"""``dray queue``, ``agent``, ``project``, ``status``, ``init`` and ``sync``."""

from pathlib import Path

from dray.runtime.execution import Container
from tests.unit.cli.conftest import TOKEN, Cli, Server


def test_a_queue_is_made_listed_and_deleted(cli: Cli, server: Server) -> None:
    assert cli("queue", "create", "gpu").out.strip() == "gpu"
    assert ["gpu", "0", "yes", ""] in cli("queue", "list").rows
    assert cli("queue", "create", "gpu").code == 2
    assert cli("queue", "delete", "gpu").code == 0
    assert "gpu" not in [row[0] for row in cli("queue", "list").rows]


def test_a_queue_with_tasks_is_deleted_only_by_force(cli: Cli, server: Server) -> None:
    server.client.create_queue("gpu")
    server.client.enqueue(server.draft().id, "gpu")
    assert cli("queue", "delete", "gpu").code == 2
    assert cli("queue", "delete", "gpu", "--force").code == 0


def test_agents_are_listed_and_shown(cli: Cli, server: Server) -> None:
    server.add_agent("node1:0", "gpu", "default")
    (row,) = cli("agent", "list").rows
    assert row[:5] == ["node1:0", "ready", "static", "2cpu", "gpu,default"]
    assert cli("agent", "show", "node1:0", "--json").json["queues"] == ["gpu", "default"]
    assert cli("agent", "show", "node2:0").code == 2


def test_projects_are_listed_with_their_tasks(cli: Cli, server: Server) -> None:
    server.draft(project="digits")
    assert [row[:2] for row in cli("project", "list").rows] == [["digits", "1"]]


def test_status_says_what_the_server_says(cli: Cli, server: Server) -> None:
    server.add_agent("node1:0", "gpu")
    facts = dict(line.split("\t", 1) for line in cli("status").out.splitlines())
    assert facts["url"] == server.url
    assert facts["node1:0"] == "ready, 2cpu, idle"
    assert set(cli("status", "--json").json) == {"server", "agents", "queues"}


def test_status_without_a_server_is_exit_code_3(cli: Cli) -> None:
    answer = cli("status")
    assert answer.code == 3
    assert "dray up" in answer.err


def test_init_writes_a_file_that_then_holds(cli: Cli, tmp_path: Path) -> None:
    answer = cli("init", "--url", "http://head:8262")
    assert answer.code == 0
    assert ["url", "http://head:8262", str(Path.cwd() / "dray.toml")] in answer.rows
    assert (Path.cwd() / "dray.toml").stat().st_mode & 0o777 == 0o600
    assert ["port", "8262", "default"] in answer.rows


def test_init_never_replaces_a_file_unasked(cli: Cli) -> None:
    Path("dray.toml").write_text("port = 9000\n")
    assert cli("init").code == 2
    assert Path("dray.toml").read_text() == "port = 9000\n"
    assert cli("init", "--force").code == 0


def test_init_for_the_user(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "--user", "--url", "http://head:8262").code == 0
    written = tmp_path / "config" / "dray" / "config.toml"
    assert 'url = "http://head:8262"' in written.read_text()
    assert ["url", "http://head:8262", str(written)] in cli("init", "--show").rows


def test_init_shows_origins_and_hides_the_token(cli: Cli, monkeypatch) -> None:
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    answer = cli("init", "--show")
    assert ["token", "(set)", "DRAY_TOKEN"] in answer.rows
    assert TOKEN not in cli("init", "--show", "--json").out
    assert not Path("dray.toml").exists()


def test_sync_says_what_it_wants_and_what_is_no_spool(cli: Cli, server: Server) -> None:
    assert cli("sync").code == 2
    answer = cli("sync", str(Path.cwd()))
    assert answer.code == 2
    assert "spool" in answer.err
    assert cli("sync", "--all").code == 0


def test_how_a_queues_tasks_run_is_set_shown_and_taken_away(
    cli: Cli, server: Server, tmp_path: Path
) -> None:
    script = tmp_path / "setup.sh"
    script.write_text("apt-get install -y libgl1\n")
    made = cli("queue", "create", "gpu", "--image", "python:3.12", "--manager", "pip")
    assert made.code == 0
    assert cli("queue", "edit", "gpu", "--setup-script", str(script)).code == 0
    defaults = server.client.get_queue("gpu").defaults
    assert defaults.container.setup_script == "apt-get install -y libgl1\n"
    assert ["gpu", "0", "yes", "python:3.12, a setup script, pip"] in cli("queue", "list").rows
    assert "python:3.12" in cli("queue", "show", "gpu").err
    assert cli("queue", "edit", "gpu", "--image", "").code == 0
    left = server.client.get_queue("gpu").defaults
    assert (left.environment_manager, left.container) == ("pip", Container())
    assert cli("queue", "edit", "gpu").code == 2
    assert cli("queue", "edit", "gpu", "--setup-script", "absent.sh").code == 2
