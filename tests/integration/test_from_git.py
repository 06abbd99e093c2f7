"""A task of a remote repository runs without any checkout on the laptop."""

from __future__ import annotations

from pathlib import Path

import pytest

from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Execution
from tests.integration.conftest import Cluster
from tests.unit.envbuilder.repositories import Repository


def test_a_tag_is_run_with_its_submodule_and_the_attempt_tells_the_commit(
    cluster: Cluster, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library")
    repository = Repository(tmp_path / "repository")
    repository.commit(train__py="print(open('lib/word').read(), open('mine').read())\n", mine="a\n")
    repository.add_submodule("../library", "lib", library.commit(word="sub"))
    head = repository.git("rev-parse", "HEAD").strip()
    repository.git("tag", "--annotate", "--message", "release", "v1")
    repository.write(mine="b\n")
    diff = repository.git("diff")
    repository.commit(mine="newer\n")
    execution = Execution(repository=repository.url, branch="v1", diff=diff, entry_point="train.py")
    task = cluster.client.create_task("git", "from git", execution=execution)
    cluster.client.enqueue(task.id, "default")
    done = cluster.client.wait(task.id, timeout=60)
    assert b"".join(cluster.client.console_raw(task.id)) == b"sub b\n\n"
    assert done.attempt is not None
    assert done.attempt.environment is not None
    assert done.attempt.environment.commit == head


def test_an_address_with_a_password_is_refused(cluster: Cluster) -> None:
    execution = Execution(repository="https://me:hunter2@git.example.org/a/b", entry_point="x.py")
    with pytest.raises(InvalidInput, match=r"DRAY_SECRET_GIT_<HOST>"):
        cluster.client.create_task("git", "password", execution=execution)
