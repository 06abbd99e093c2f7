"""StorageManager: files at any address, in a cache, and what is said when they are not there."""

from __future__ import annotations

import functools
import http.server
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dray import StorageManager
from dray.runtime.errors import InvalidInput
from dray.sdk.storage import cache as storage_cache
from dray.sdk.storage import places
from tests.unit.sdk.live import TOKEN, Live


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(storage_cache, "_limits", {})
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.json").write_text("{}")
    (folder / "deep/b.csv").write_text("1,2")
    return folder


class Recording(http.server.SimpleHTTPRequestHandler):
    """A web server of a folder that counts what it is asked."""

    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *_: Any) -> None:
        self.asked.append(f"{self.command} {self.path}")


@pytest.fixture
def web(data: Path) -> Iterator[str]:
    handler = functools.partial(Recording, directory=str(data))
    Recording.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def memory() -> Iterator[Any]:
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_local_file_is_given_back_as_it_is(data: Path, prefix: str) -> None:
    assert StorageManager.get_local_copy(f"{prefix}{data}/a.json") == f"{data}/a.json"
    assert StorageManager.exists_file(f"{prefix}{data}/a.json")
    assert StorageManager.get_file_size_bytes(f"{prefix}{data}/a.json") == 2
    assert not StorageManager.exists_file(f"{prefix}{data}")


def test_a_web_file_is_fetched_once_until_it_is_forced(web: str) -> None:
    first = StorageManager.get_local_copy(f"{web}/a.json")
    again = StorageManager.get_local_copy(f"{web}/a.json")
    assert first == again
    assert Path(str(first)).read_text() == "{}"
    assert Recording.asked == ["GET /a.json"]
    assert StorageManager.get_local_copy(f"{web}/a.json", force_download=True) == first
    assert Recording.asked == ["GET /a.json"] * 2
    assert StorageManager.get_file_size_bytes(f"{web}/deep/b.csv") == 3


def test_what_is_not_there_is_none_and_told(
    web: str, memory: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in (f"{web}/nothing", "memory://bucket/nothing", "/nowhere/nothing"):
        assert StorageManager.get_local_copy(url) is None
        assert url in capsys.readouterr().err
        assert not StorageManager.exists_file(url)
        assert capsys.readouterr().err == ""


def test_files_of_a_server_come_with_its_token(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    task = live.client.create_task("demo", "train")
    sha256 = live.client.put_blob(b"weights")
    live.client.put_artifact(
        task.id, {"name": "model", "type": "custom", "filename": "m.bin", "sha256": sha256}
    )
    url = f"{StorageManager.get_files_server()}/api/v1/tasks/{task.id}/artifacts/model/content"
    assert Path(str(StorageManager.get_local_copy(url))).read_bytes() == b"weights"


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_once(web: str, data: Path, kind: str) -> None:
    archive = data / f"all.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as made:
            made.write(data / "a.json", "in/a.json")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(data / "a.json", "in/a.json")
    for url in (f"{web}/{archive.name}", str(archive)):
        folder = StorageManager.get_local_copy(url)
        assert Path(str(folder), "in/a.json").read_text() == "{}"
        assert StorageManager.get_local_copy(url) == folder
        kept = StorageManager.get_local_copy(url, extract_archive=False)
        assert Path(str(kept)).read_bytes() == archive.read_bytes()


def test_an_archive_that_leads_out_is_given_back_unopened(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(data / "bad.zip", "w") as made:
        made.writestr("../out", "x")
    assert StorageManager.get_local_copy(str(data / "bad.zip")) == str(data / "bad.zip")
    assert "leads out of its folder" in capsys.readouterr().err
    assert not list(tmp_path.rglob("out"))


def test_the_least_recently_used_files_go(
    memory: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_cache, "_FRESH_S", -1.0)
    assert StorageManager.set_cache_file_limit(2, "mine") == 2
    for i in range(4):
        memory.pipe(f"/bucket/{i}.bin", b"x")
        StorageManager.get_local_copy(f"memory://bucket/{i}.bin", cache_context="mine")
        if i > 0:
            StorageManager.get_local_copy("memory://bucket/0.bin", cache_context="mine")
    kept = {path.name for path in (cache / "storage" / "mine").rglob("*.bin")}
    assert kept == {"0.bin", "3.bin"}
    with pytest.raises(ValueError, match="cache_file_limit is 0"):
        StorageManager.set_cache_file_limit(0)


@pytest.mark.parametrize("top", ["{}/out", "file://{}/out", "memory://bucket/out"])
def test_a_folder_goes_there_and_back(memory: Any, data: Path, tmp_path: Path, top: str) -> None:
    url = top.format(tmp_path)
    assert StorageManager.upload_folder(data, url) == url
    assert StorageManager.upload_file(str(data / "a.json"), f"{url}/c.json") == f"{url}/c.json"
    listed = StorageManager.list(url)
    below = "out/" if url.startswith("memory") else ""
    assert listed == [f"{below}{name}" for name in ("a.json", "c.json", "deep/b.csv")]
    whole = StorageManager.list(url, return_full_path=True)
    assert whole == [f"{url}/{name}" for name in ("a.json", "c.json", "deep/b.csv")]
    assert StorageManager.list(url, with_metadata=True)[2] == {  # type: ignore[index]
        "name": f"{below}deep/b.csv",
        "size": 3,
    }
    folder = StorageManager.download_folder(url, tmp_path / "back", match_wildcard="*.json")
    found = sorted(path.name for path in Path(str(folder)).rglob("*.*") if path.is_file())
    assert found == ["a.json", "c.json"]


def test_a_download_keeps_its_path_below_the_bucket(
    memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.pipe("/bucket/sub/file.ext", b"data")
    url = "memory://bucket/sub/file.ext"
    path = StorageManager.download_file(url, tmp_path / "to")
    assert path == str(tmp_path / "to/sub/file.ext")
    memory.pipe("/bucket/sub/file.ext", b"newer")
    assert Path(str(StorageManager.download_file(url, tmp_path / "to"))).read_bytes() == b"data"
    StorageManager.download_file(url, tmp_path / "to", overwrite=True)
    assert Path(str(path)).read_bytes() == b"newer"
    assert StorageManager.get_metadata(url) == {"name": "sub/file.ext", "size": 5}
    memory.pipe("/bucket/empty", b"")
    assert StorageManager.download_file("memory://bucket/empty", tmp_path / "to") is None
    assert "is empty" in capsys.readouterr().err
    assert StorageManager.download_file(
        "memory://bucket/empty", tmp_path / "to", skip_zero_size_check=True
    )


def test_an_upload_in_the_background_is_there_when_its_thread_is_done(
    data: Path, tmp_path: Path
) -> None:
    StorageManager.upload_file(data / "a.json", f"{tmp_path}/late.json", wait_for_upload=False)
    for thread in threading.enumerate():
        if thread.name == "dray-upload":
            thread.join(10)
    assert (tmp_path / "late.json").read_text() == "{}"


def test_progress_is_told_when_asked(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (data / "large").write_bytes(bytes(3 << 20))
    StorageManager.set_report_upload_chunk_size(1)
    try:
        StorageManager.upload_file(data / "large", f"{tmp_path}/out")
    finally:
        StorageManager.set_report_upload_chunk_size(0)
    assert "2 MiB of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: StorageManager.upload_file("/nowhere", "/tmp/x"), "'/nowhere' is no file"),
        (lambda: StorageManager.upload_folder("/nowhere", "/tmp/x"), "is no folder"),
        (lambda: StorageManager.upload_file(__file__, "http://host/x"), "read only"),
        (lambda: StorageManager.get_local_copy("nosuch://x/y"), "nothing is known of nosuch://"),
        (lambda: StorageManager.get_local_copy(3), "remote_url is 3"),  # type: ignore[arg-type]
        (lambda: StorageManager.get_local_copy(""), "remote_url is empty"),
    ],
)
def test_what_the_caller_could_have_known_is_raised(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_a_package_that_lacks_is_named_with_the_way_to_have_it_in_a_queue() -> None:
    if "gcsfs" in sys.modules:
        pytest.skip("it is here")
    with pytest.raises(InvalidInput, match=r'pip install gcsfs .*Task.add_requirements\("gcsfs"\)'):
        StorageManager.get_local_copy("gs://bucket/x")


@pytest.mark.parametrize(
    ("url", "address", "options"),
    [
        ("s3://bucket/key", "s3://bucket/key", {}),
        (
            "s3://minio:9000/bucket/key",
            "s3://bucket/key",
            {"client_kwargs": {"endpoint_url": "http://minio:9000"}},
        ),
        (
            "azure://acc.blob.core.windows.net/box/key",
            "abfs://box/key",
            {"account_name": "acc"},
        ),
    ],
)
def test_hosts_in_front_of_buckets_are_told_apart(
    url: str, address: str, options: dict[str, Any]
) -> None:
    assert places._for_fsspec(url) == (address, options)
