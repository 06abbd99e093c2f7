"""A real engine and a real cluster for the session; only for ``make test-docker``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.engines import Dockerd, dockerd
from tests.integration.conftest import Cluster, running_cluster

if os.environ.get("DRAY_TEST_DOCKER") != "1":  # needs root, the network and some minutes
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test also waits for an image to be made and for engine and cluster."""
    for item in items:
        if "docker" in item.path.parts:
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    with dockerd(tmp_path_factory.mktemp("dockerd")) as running:
        yield running


@pytest.fixture(scope="session")
def mountable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the node that tasks may mount."""
    folder = tmp_path_factory.mktemp("mountable")
    (folder / "data.txt").write_text("of the node")
    return folder


@pytest.fixture(scope="session")
def cluster(
    engine: Dockerd, mountable: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster whose agents use the engine."""
    root = tmp_path_factory.mktemp("cluster")
    with running_cluster(
        root,
        DOCKER_HOST=engine.host,
        DRAY_CONTAINER_ENGINE="docker",
        DRAY_CONTAINER_ALLOWED_PATHS=str(mountable),
        DRAY_STOP_GRACE_S="2",
    ) as running:
        yield running
