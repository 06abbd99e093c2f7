"""A backup and a check of the store, asked of the server that serves it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dray.runtime.store import backup as backup_module
from dray.runtime.store.restore import verify
from tests.unit.api.conftest import Api


async def test_a_backup_is_one_file_of_what_the_server_keeps(api: Api, tmp_path: Path) -> None:
    task = await api.running()
    answer = await api.admin.get("/server/backup")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-tar"
    assert "dray-backup-" in answer.headers["content-disposition"]
    file = tmp_path / "backup.tar"
    await asyncio.to_thread(file.write_bytes, answer.content)
    report = await asyncio.to_thread(verify, file)
    assert report.integrity.ok
    assert task.id.encode() in answer.content
    assert list(api.settings.home.glob("store/backup-*")) == []


async def test_what_forbids_a_backup_is_a_problem(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "free_bytes", lambda _: 0)
    answer = await api.admin.get("/server/backup")
    assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")


async def test_a_check_names_every_promise(api: Api) -> None:
    await api.running()
    report = (await api.admin.get("/server/integrity", params={"deep": True})).json()
    assert report["ok"] is True
    assert report["deep"] is True
    assert {"running_is_leased", "audit_chain", "blobs_true"} <= {
        c["name"] for c in report["checks"]
    }


@pytest.mark.parametrize("path", ["/server/backup", "/server/integrity"])
async def test_a_tasks_token_may_not(api: Api, path: str) -> None:
    task = await api.running()
    answer = await api.as_task(task.id).get(path)
    assert answer.status_code == 403


async def test_readiness_says_what_a_nearly_full_disk_no_longer_takes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = api.store.reserve
    monkeypatch.setattr(reserve, "_free", lambda _: 1 << 30)
    reserve.look_again()
    nobody = api.connect("", base="")
    assert (await nobody.get("/readyz")).json() == {"status": "ready", "storage": "no_blobs"}
    storage = (await api.admin.get("/server")).json()["storage"]
    assert storage["free_bytes"] == 1 << 30
    assert "reserve_blobs_bytes" in storage["note"]
    data = b"x"
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    answer = await api.admin.put(f"/blobs/{sha256}", content=data)
    assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
