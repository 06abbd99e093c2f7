"""``dray backup`` and ``dray doctor``, with a server and without."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.paths import HomePaths
from tests.disk import Disk
from tests.unit.cli.conftest import TOKEN, Answer, Cli, Server


def done(answer: Answer) -> Any:
    assert answer.code == 0, answer.err
    return answer.json


def refused(answer: Answer) -> str:
    assert answer.code == 2, answer.out
    return answer.err


def spoil(home: HomePaths) -> None:
    with closing(sqlite3.connect(home.state_db, isolation_level=None)) as connection:
        connection.execute("UPDATE tasks SET agent = 'nobody'")


def test_a_backup_of_a_running_server_is_tried_and_restored(
    cli: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = server.draft()
    file = tmp_path / "backup.tar"
    made = done(cli("backup", "create", str(file), "--json"))
    assert made == {"file": str(file), "n_bytes": file.stat().st_size}
    assert file.stat().st_mode & 0o777 == 0o600
    assert refused(cli("backup", "create", str(file))).startswith(f"dray: {file} is there already")
    report = done(cli("backup", "verify", str(file), "--json"))
    assert report["integrity"]["ok"] is True

    other = tmp_path / "other"
    restored = done(cli("backup", "restore", str(file), "--home", str(other), "--json"))
    assert restored["kept"] == ""
    with closing(sqlite3.connect(HomePaths(other).state_db)) as connection:
        assert connection.execute("SELECT id FROM tasks").fetchall() == [(task.id,)]

    monkeypatch.delenv("DRAY_URL")
    again = tmp_path / "again.tar"
    done(cli("backup", "create", str(again), "--home", str(other), "--json"))
    assert done(cli("backup", "verify", str(again), "--json"))["integrity"]["ok"] is True
    assert "--force" in refused(cli("backup", "restore", str(file), "--home", str(other)))
    kept = done(cli("backup", "restore", str(file), "--home", str(other), "--force", "--json"))[
        "kept"
    ]
    assert Path(kept).is_dir()


def test_a_backup_by_the_server_is_on_the_disk_when_it_is_done(
    cli: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.draft()
    folder = tmp_path / "backups"
    folder.mkdir()
    disk = Disk(folder, monkeypatch)
    done(cli("backup", "create", str(folder / "backup.tar"), "--json"))
    assert disk.has(folder / "backup.tar")


def test_a_store_that_is_served_here_is_backed_up_by_its_server(
    cli: Cli, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = HomePaths(server.settings.home)
    home.token.write_text(TOKEN)
    monkeypatch.delenv("DRAY_URL")
    monkeypatch.setenv("DRAY_HOME", str(home.root))
    assert "no server is configured" in cli("backup", "create").err
    home.cluster.write_text(json.dumps({"url": server.url}))
    made = done(cli("backup", "create", "--json"))
    assert made["file"].startswith("dray-backup-")
    assert done(cli("backup", "verify", made["file"], "--json"))["integrity"]["ok"] is True
    assert done(cli("doctor", "--store", "--json"))["ok"] is True
    held = refused(cli("backup", "restore", made["file"], "--force"))
    assert "in use by another server (pid" in held


def test_a_backup_that_is_none_is_refused_and_nothing_is_left(
    cli: Cli, server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    assert "no whole backup" in refused(cli("backup", "verify", str(file)))
    assert "no whole backup" in refused(
        cli("backup", "restore", str(file), "--home", str(tmp_path))
    )
    assert server.url
    assert list(tmp_path.rglob("*.part")) == []


def test_doctor_checks_the_store_of_a_server_and_of_a_stopped_home(
    cli: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.draft()
    assert done(cli("doctor", "--store", "--deep", "--json"))["ok"] is True
    file, home = tmp_path / "b.tar", HomePaths(tmp_path / "stopped")
    done(cli("backup", "create", str(file), "--json"))
    done(cli("backup", "restore", str(file), "--home", str(home.root), "--json"))
    monkeypatch.delenv("DRAY_URL")
    assert cli("doctor", "--store", "--home", str(home.root)).code == 0
    spoil(home)
    capture = cli("doctor", "--store", "--home", str(home.root))
    assert capture.code == 1
    assert "running_is_leased\tVIOLATED 1 times" in capture.out
    assert "draft, but it has an agent" in capture.err
    report = cli("doctor", "--store", "--json", "--home", str(home.root))
    assert report.code == 1
    assert report.json["ok"] is False


def test_doctor_looks_at_the_machine(cli: Cli, server: Server) -> None:
    assert cli("doctor").out.splitlines()[-1].startswith(f"server\tok\t{server.url}")
    assert "--store --deep" in refused(cli("doctor", "--deep"))


def test_doctor_says_what_is_not_right(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DRAY_PROT", "1")
    monkeypatch.setenv("DRAY_RESERVE_BLOBS_BYTES", str(1 << 60))
    found = cli("doctor")
    assert found.code == 1
    said = {line.split("\t")[0]: line.split("\t")[1:] for line in found.out.splitlines()}
    assert said["settings"] == ["NOT OK", "DRAY_PROT: unknown setting 'prot'; did you mean port?"]
    assert "reserve_blobs_bytes" in said["free space"][1]
    assert said["server"][0] == "NOT OK"
    assert said["SQLite"][0] == "ok"
