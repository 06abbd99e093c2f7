"""What is in a node's cache, told without disturbing who builds or runs there."""

from __future__ import annotations

import asyncio

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import BUILDING, lock_of, marker_of
from dray.envbuilder.cache.inventory import (
    environment_details,
    find_slot,
    list_environments,
    why_environment,
)
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.locks import try_lock
from dray.runtime.environments import EnvironmentState, NodeEnvironments
from dray.runtime.errors import AmbiguousId, NotFound
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log

BARE = EnvironmentSpec()
CPU = EnvironmentSpec(torch_backend="cpu")


def listed(node: NodePaths) -> NodeEnvironments:
    return list_environments(node, CacheLimits(), "here")


async def test_a_list_says_what_each_is_and_who_uses_it_now(node: NodePaths, log: Log) -> None:
    with await ensure_environment(BARE, node, log) as idle:
        pass
    used = await ensure_environment(CPU, node, log)
    also_used = await ensure_environment(CPU, node, log)
    found = {e.key: e for e in listed(node).environments}
    assert [e.key for e in listed(node).environments] == [used.key, idle.key], "used last first"
    assert (found[idle.key].n_users, found[used.key].n_users) == (0, 2)
    assert found[used.key].torch_backend == "cpu"
    assert found[used.key].state is EnvironmentState.READY
    assert found[used.key].python == used.report.python
    assert found[used.key].n_bytes > 0
    assert 0 < found[used.key].created_at <= found[used.key].used_at
    assert listed(node).n_bytes == sum(e.n_bytes for e in found.values())
    also_used.release()
    used.release()
    assert {e.n_users for e in listed(node).environments} == {0}


async def test_what_is_being_built_and_what_is_broken_are_told_apart(
    node: NodePaths, log: Log
) -> None:
    with await ensure_environment(BARE, node, log) as made:
        pass
    marker_of(made.folder).unlink()
    living, dead = "b" * 32, "d" * 32
    for key in (living, dead):
        (node.environments / f"{BUILDING}{key}-999999").mkdir()
    builds = try_lock(lock_of(node, living), shared=False)
    assert builds is not None
    states = {e.key: e.state for e in listed(node).environments}
    assert states == {
        living: EnvironmentState.BUILDING,
        dead: EnvironmentState.BROKEN,
        made.key: EnvironmentState.BROKEN,
    }
    assert all(e.problem for e in listed(node).environments if e.state == EnvironmentState.BROKEN)


async def test_an_entry_is_found_by_a_prefix_that_fits_it_alone(node: NodePaths, log: Log) -> None:
    (await ensure_environment(BARE, node, log)).release()
    (node.environments / ("f" * 32)).mkdir(parents=True)
    (node.environments / ("f" * 31 + "e")).mkdir()
    assert find_slot(node, "f" * 32) == "f" * 32
    with pytest.raises(AmbiguousId, match="fits 2"):
        find_slot(node, "ffff")
    with pytest.raises(NotFound, match="begins with 'nothing'"):
        find_slot(node, "nothing")
    with pytest.raises(NotFound):
        find_slot(node, "")


async def test_details_have_what_is_installed_and_what_the_key_covers(
    node: NodePaths, log: Log
) -> None:
    with await ensure_environment(CPU, node, log) as made:
        found = await asyncio.to_thread(environment_details, node, made.key[:6], "here")
    assert (found.node, found.folder, found.installed) == ("here", str(made.folder), [])
    assert found.covered["torch_backend"] == "cpu"
    assert found.environment.n_users == 1


async def test_why_an_environment_was_built_is_said_against_what_was_there(
    node: NodePaths, log: Log
) -> None:
    with await ensure_environment(BARE, node, log) as first:
        assert "no other environment" in why_environment(node, first.key).summary
    with await ensure_environment(CPU, node, log) as second:
        pass
    assert (why := why_environment(node, second.key)).left == first.key
    assert "torch_backend (+ cpu)" in why.summary
    assert "no other environment" in why_environment(node, first.key).summary, "it came later"
    assert why_environment(node, second.key, first.key).summary.endswith("torch_backend (- cpu)")


def test_a_node_without_a_cache_has_an_empty_list(node: NodePaths) -> None:
    assert listed(node).environments == []
