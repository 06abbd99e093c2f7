"""``dray demo``: the main job, as the README promises it."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Cluster


@pytest.mark.timeout(400)
def test_the_demo_runs_here_on_the_cluster_and_as_a_clone(cluster: Cluster) -> None:
    done = cluster.dray("demo", "--json", timeout_s=380)
    assert done.returncode == 0, done.stderr
    assert "NOT SO" not in done.stderr
    here, moved, clone = (run["task"] for run in json.loads(done.stdout))
    assert [task["state"] for task in (here, moved, clone)] == ["completed"] * 3
    assert moved["single_values"]["accuracy"] == here["single_values"]["accuracy"]
    assert clone["parameters"]["Args/epochs"]["value"] == "12"
    assert clone["metrics"]["accuracy"]["test"]["n_points"] == 12
    assert clone["attempt"]["environment"]["reused"] is True
    assert cluster.client.url in done.stderr
