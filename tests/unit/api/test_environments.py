"""What the server says of the environments of nodes, and to whom."""

from __future__ import annotations

import pytest

from dray.api.orchestrator import Detached, NoCaches
from dray.runtime import codec
from dray.runtime.environments import (
    CachedEnvironment,
    EnvironmentBuilt,
    EnvironmentRequest,
    NodeEnvironments,
    Pruned,
)
from dray.runtime.errors import PreparationFailed
from tests.unit.api.conftest import Api


class Caches(NoCaches):
    """Two nodes, one of which does not answer."""

    def __init__(self) -> None:
        self.pruned: list[tuple[list[str], float]] = []

    async def all(self) -> list[NodeEnvironments]:
        entry = CachedEnvironment("k1", python="3.11.7")
        silent = NodeEnvironments("n2", problem="it did not answer within 20 s")
        return [NodeEnvironments("n1", "/cache", [entry]), silent]

    async def prune(self, keys: list[str], unused_for_s: float) -> list[Pruned]:
        self.pruned.append((keys, unused_for_s))
        return [Pruned("n1", ["k1"])]


class Machinery(Detached):
    """An orchestrator with nodes."""

    def __init__(self) -> None:
        self.caches = Caches()
        self.asked: list[EnvironmentRequest] = []

    async def build_environment(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        self.asked.append(request)
        if request.node == "full":
            raise PreparationFailed("no room", kind="environment_failed", evidence="ENOSPC")
        return EnvironmentBuilt("n1", CachedEnvironment("k1"), reused=True, seconds=0.1)


@pytest.fixture
def machinery(api: Api) -> Machinery:
    made = Machinery()
    api.app.state.context.orchestrator.__dict__.update(
        caches=made.caches, build_environment=made.build_environment
    )
    return made


async def test_a_node_that_is_silent_is_named_beside_the_others(
    api: Api, machinery: Machinery
) -> None:
    answer = await api.admin.get("/environments")
    assert answer.status_code == 200
    assert answer.json()["items"] == [codec.to_json(n) for n in await machinery.caches.all()]


async def test_keys_and_ages_to_prune_arrive(api: Api, machinery: Machinery) -> None:
    body = {"keys": ["k1"], "unused_for_s": 60}
    answer = await api.admin.post("/environments/prune", json=body)
    assert answer.json()["items"][0]["removed"] == ["k1"]
    assert machinery.caches.pruned == [(["k1"], 60.0)]
    refused = await api.admin.post("/environments/prune", json={"unused_for_s": -1})
    assert refused.status_code == 422


async def test_a_task_to_build_for_is_named_by_a_prefix(api: Api, machinery: Machinery) -> None:
    task = await api.draft()
    answer = await api.admin.post("/environments/build", json={"task_id": task.id[:8]})
    assert answer.json()["environment"]["key"] == "k1"
    assert machinery.asked == [EnvironmentRequest(task.id)]
    failed = await api.admin.post("/environments/build", json={"task_id": task.id, "node": "full"})
    assert (failed.json()["code"], failed.json()["evidence"]) == ("preparation_failed", "ENOSPC")


async def test_what_no_node_has_is_not_found(api: Api, machinery: Machinery) -> None:
    for path in ("/environments/k9", "/environments/k9/why?against=k8"):
        answer = await api.admin.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_task_may_neither_see_nor_change_them(api: Api, machinery: Machinery) -> None:
    task = await api.running()
    child = api.as_task(task.id)
    for method, path, body in (
        ("GET", "/environments", None),
        ("GET", "/environments/k1", None),
        ("GET", "/environments/k1/why", None),
        ("POST", "/environments/prune", {}),
        ("POST", "/environments/build", {"task_id": task.id}),
    ):
        answer = await child.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert (machinery.asked, machinery.caches.pruned) == ([], [])
