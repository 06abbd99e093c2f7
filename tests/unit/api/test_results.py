"""Scalars, plots, artifacts and blobs over HTTP."""

import hashlib

import pytest

from dray.runtime import blob_batch
from dray.runtime.models import Artifact
from dray.runtime.records import Chunk, Frame, encode_record
from dray.runtime.store import results
from tests.unit.api.conftest import Api


def scalar(i: int, v: float) -> bytes:
    return encode_record("scalar", float(i), title="loss", series="train", i=i, v=v)


async def test_scalars_are_thinned_to_what_was_asked_for(api: Api) -> None:
    task = await api.running()
    data = b"".join(scalar(i, float(i % 7)) for i in range(500))
    assert (await api.send(task.id, Frame([Chunk("records", 0, data)]))).is_success
    whole = (await api.admin.get(f"/tasks/{task.id}/scalars")).json()["loss"]["train"]
    assert (len(whole["iterations"]), len(whole["values"]), len(whole["times"])) == (500,) * 3
    params = {"max_points": 20, "title": "loss", "series": "train"}
    thin = (await api.admin.get(f"/tasks/{task.id}/scalars", params=params)).json()
    assert len(thin["loss"]["train"]["values"]) <= 20
    assert max(thin["loss"]["train"]["values"]) == 6.0
    other = await api.admin.get(f"/tasks/{task.id}/scalars", params={"title": "accuracy"})
    assert other.json() == {}


async def test_a_value_that_is_no_number_breaks_no_reader(api: Api) -> None:
    task = await api.running()
    data = scalar(1, 1.0) + scalar(2, float("nan")) + scalar(3, float("inf"))
    assert (await api.send(task.id, Frame([Chunk("records", 0, data)]))).is_success
    answer = await api.admin.get(f"/tasks/{task.id}/scalars")
    assert answer.json()["loss"]["train"]["values"] == [1.0, None, None]
    assert "NaN" not in answer.text
    read = (await api.admin.get(f"/tasks/{task.id}")).json()
    assert read["metrics"]["loss"]["train"]["last"] == 1.0


async def test_plots_are_listed(api: Api) -> None:
    task = await api.running()
    table = {"columns": ["a"], "rows": [[1]]}
    record = encode_record("plot", 1.0, title="t", series="s", i=0, type="table", data=table)
    await api.send(task.id, Frame([Chunk("records", 0, record)]))
    (plot,) = (await api.admin.get(f"/tasks/{task.id}/plots")).json()["items"]
    assert (plot["title"], plot["type"], plot["data"]) == ("t", "table", table)


async def test_an_artifact_comes_as_a_download_only(api: Api) -> None:
    task = await api.draft()
    page = b"<script>alert(1)</script>"
    sha256 = await api.store.blobs.put(page)
    name = 'models/we"ird ü'
    await api.store.artifacts.put(
        task.id, Artifact(name, "file", filename="page.html", sha256=sha256, n_bytes=len(page))
    )
    (artifact,) = (await api.admin.get(f"/tasks/{task.id}/artifacts")).json()["items"]
    at = f"/tasks/{task.id}/artifacts/models%2Fwe%22ird%20%C3%BC"
    assert (await api.admin.get(at)).json() == artifact
    content = await api.admin.get(f"{at}/content")
    assert content.content == page
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert content.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in content.headers["content-security-policy"]
    part = await api.admin.get(f"{at}/content", headers={"Range": "bytes=1-6"})
    assert (part.status_code, part.content) == (206, b"script")


async def test_an_artifact_that_is_elsewhere_or_nowhere_is_not_found(api: Api) -> None:
    task = await api.draft()
    await api.store.artifacts.put(task.id, Artifact("far", "uri", uri="s3://bucket/x"))
    far = await api.admin.get(f"/tasks/{task.id}/artifacts/far/content")
    assert (far.status_code, far.json()["uri"]) == (404, "s3://bucket/x")
    for path in ("none", "none/content"):
        answer = await api.admin.get(f"/tasks/{task.id}/artifacts/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_blob_is_kept_under_its_hash(api: Api) -> None:
    data = bytes(range(256)) * 8192
    sha256, absent = hashlib.sha256(data).hexdigest(), "0" * 64
    asked = {"sha256": [sha256, absent]}
    missing = await api.admin.post("/blobs/missing", json=asked)
    assert missing.json() == {"missing": [sha256, absent]}
    for _ in range(2):
        assert (await api.admin.put(f"/blobs/{sha256}", content=data)).status_code == 201
    assert (await api.admin.post("/blobs/missing", json=asked)).json() == {"missing": [absent]}
    assert (await api.admin.get(f"/blobs/{sha256}")).content == data
    part = await api.admin.get(f"/blobs/{sha256}", headers={"Range": "bytes=-2"})
    assert (part.status_code, part.content) == (206, data[-2:])
    assert (await api.admin.get(f"/blobs/{absent}")).status_code == 404


async def test_small_blobs_travel_many_at_once(api: Api) -> None:
    blobs = {hashlib.sha256(data).hexdigest(): data for data in (b"", b"one", bytes(range(256)))}
    body = blob_batch.encode(blobs.items())
    for _ in range(2):
        assert (await api.admin.post("/blobs/batch", content=body)).status_code == 201
    assert await api.store.blobs.missing(blobs) == []
    answer = await api.admin.get("/blobs/batch", params={"sha256": list(blobs)})
    assert dict(blob_batch.decode(answer.content)) == blobs
    absent = await api.admin.get("/blobs/batch", params={"sha256": [*blobs, "0" * 64]})
    assert (absent.status_code, absent.json()["sha256"]) == (404, "0" * 64)


async def test_a_batch_with_a_wrong_blob_is_refused_whole(api: Api) -> None:
    good = hashlib.sha256(b"good").hexdigest()
    wrong = blob_batch.encode([(good, b"good"), ("0" * 64, b"bad")])
    for body in (wrong, wrong[:-1], b"no batch", b"x" * 64 + b" 3\nabc", b"../" * 40):
        answer = await api.admin.post("/blobs/batch", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert await api.store.blobs.missing([good]) == [good]


async def test_a_batch_over_its_limits_is_refused(api: Api) -> None:
    many = [(f"{n:064x}", b"") for n in range(blob_batch.LIMIT_BLOBS + 1)]
    large = [("0" * 64, b"x" * (blob_batch.LIMIT_BYTES + (1 << 20)))]
    for blobs in (many, large):
        answer = await api.admin.post("/blobs/batch", content=blob_batch.encode(blobs))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    asked = [name for name, _ in many[: blob_batch.LIMIT_ASKED + 1]]
    answer = await api.admin.get("/blobs/batch", params={"sha256": asked})
    assert answer.status_code == 422


async def test_a_blob_with_another_hash_is_refused_and_not_kept(api: Api) -> None:
    sha256 = hashlib.sha256(b"announced").hexdigest()
    answer = await api.admin.put(f"/blobs/{sha256}", content=b"sent")
    assert (answer.status_code, answer.json()["field"]) == (422, "sha256")
    assert await api.store.blobs.missing([sha256]) == [sha256]


@pytest.mark.parametrize("sha256", ["x", "AB" * 32, "..%2F..%2Fetc%2Fpasswd", "0" * 63])
async def test_what_is_no_hash_is_refused(api: Api, sha256: str) -> None:
    for method in ("GET", "PUT"):
        answer = await api.admin.request(method, f"/blobs/{sha256}", content=b"")
        assert answer.status_code in (404, 405, 422)
    listed = await api.admin.post("/blobs/missing", json={"sha256": [sha256]})
    assert listed.status_code == 422


async def test_plots_come_a_page_at_a_time_latest_iterations_first(api: Api) -> None:
    task = await api.running()
    data = b"".join(
        encode_record("plot", 1.0, title="t", series=name, i=i, type="plotly", data={"n": i})
        for i in range(5)
        for name in "ab"
    )
    assert (await api.send(task.id, Frame([Chunk("records", 0, data)]))).is_success
    path, seen, cursor = f"/tasks/{task.id}/plots", list[tuple[int, str]](), ""
    for _ in range(5):
        answer = (await api.admin.get(path, params={"limit": 4, "cursor": cursor})).json()
        seen += [(plot["iteration"], plot["series"]) for plot in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen, reverse=True) == [(i, name) for i in (4, 3, 2, 1, 0) for name in "ba"]
    assert [i for i, _ in seen] == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    last = (await api.admin.get(path, params={"max_iterations": 1, "series": "a"})).json()
    assert [(p["iteration"], p["series"]) for p in last["items"]] == [(4, "a")]
    for wrong in ({"max_iterations": 0}, {"cursor": "x"}, {"limit": 0}):
        assert (await api.admin.get(path, params=wrong)).status_code == 422


async def test_large_plots_make_small_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "ANSWER_BYTES", 3000)
    task = await api.running()
    data = b"".join(
        encode_record("plot", 1.0, title="t", series="s", i=i, type="plotly", data="x" * size)
        for i, size in enumerate((5000, 1000, 1000))
    )
    assert (await api.send(task.id, Frame([Chunk("records", 0, data)]))).is_success
    path = f"/tasks/{task.id}/plots"
    first = (await api.admin.get(path)).json()
    assert [plot["iteration"] for plot in first["items"]] == [2, 1]
    second = (await api.admin.get(path, params={"cursor": first["next_cursor"]})).json()
    assert [plot["iteration"] for plot in second["items"]] == [0], "however large it is"
    assert second["next_cursor"] is None


async def test_points_come_a_page_at_a_time(api: Api) -> None:
    task = await api.running()
    data = b"".join(scalar(i, float(i)) for i in range(10)) + scalar(10, float("nan"))
    assert (await api.send(task.id, Frame([Chunk("records", 0, data)]))).is_success
    path, seen, cursor = f"/tasks/{task.id}/points", list[float | None](), ""
    while cursor is not None:
        params = {"title": "loss", "series": "train", "limit": 4, "cursor": cursor}
        page = (await api.admin.get(path, params=params)).json()
        seen, cursor = seen + page["values"], page["next_cursor"]
    assert seen == [*map(float, range(10)), None]
    assert (await api.admin.get(path)).status_code == 422, "of one series"


async def test_debug_samples_come_a_page_at_a_time_latest_iterations_first(api: Api) -> None:
    task = await api.running()
    members = {"filename": "a.png", "content_type": "image/png", "sha256": "0" * 64, "n_bytes": 1}
    data = b"".join(
        encode_record("media", 1.0, title="t", series="s", i=i, **members) for i in range(5)
    )
    assert (await api.send(task.id, Frame([Chunk("records", 0, data)]))).is_success
    path = f"/tasks/{task.id}/media"
    first = (await api.admin.get(path, params={"limit": 3})).json()
    second = (await api.admin.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [one["iteration"] for one in first["items"] + second["items"]] == [4, 3, 2, 1, 0]
    assert second["next_cursor"] is None
    assert first["items"][0]["content_type"] == "image/png"
    last = (await api.admin.get(path, params={"max_iterations": 2})).json()["items"]
    assert [one["iteration"] for one in last] == [4, 3]
    assert (await api.admin.get(path, params={"series": "other"})).json()["items"] == []


async def test_how_far_an_attempt_has_come_can_be_asked(api: Api) -> None:
    task = await api.running()
    assert (await api.send(task.id, Frame([Chunk("records", 0, scalar(1, 1.0))]))).is_success
    answer = await api.admin.get(f"/tasks/{task.id}/attempts/1/offsets")
    assert answer.json()["records"] == len(scalar(1, 1.0))
    assert (await api.admin.get(f"/tasks/{'0' * 32}/attempts/1/offsets")).status_code == 404
