"""The hub: whoever waits is told, exactly when something changed."""

import asyncio

from dray.api.hub import Hub

FOREVER_S = 10.0


async def test_a_change_between_subscribing_and_waiting_is_not_lost() -> None:
    hub = Hub()
    with hub.watch("a") as watcher:
        hub.publish("a")
        assert await watcher.wait(FOREVER_S)


async def test_a_change_during_the_wait_ends_it() -> None:
    hub = Hub()
    with hub.watch("a") as watcher:
        waiting = asyncio.create_task(watcher.wait(FOREVER_S))
        await asyncio.sleep(0)
        hub.publish("a")
        assert await waiting


async def test_many_changes_are_one_wake_up() -> None:
    hub = Hub()
    with hub.watch("a") as watcher:
        for _ in range(1000):
            hub.publish("a")
        assert await watcher.wait(FOREVER_S)
        assert not await watcher.wait(0)


async def test_other_tasks_wake_nobody() -> None:
    hub = Hub()
    with hub.watch("a") as watcher:
        hub.publish("b")
        assert not await watcher.wait(0)


async def test_console_wakes_only_who_asked_for_it() -> None:
    hub = Hub()
    with hub.watch("a") as state, hub.watch("a", console=True) as console:
        hub.console_grew("a")
        assert await console.wait(FOREVER_S)
        assert not await state.wait(0)


async def test_closing_ends_every_wait_now_and_later() -> None:
    hub = Hub()
    with hub.watch("a") as watcher:
        waiting = asyncio.create_task(watcher.wait(FOREVER_S))
        await asyncio.sleep(0)
        hub.close()
        assert not await waiting
    with hub.watch("b") as late:
        assert not await late.wait(FOREVER_S)


async def test_nothing_is_kept_of_watchers_that_left() -> None:
    hub = Hub()
    with hub.watch("a"), hub.watch("a"), hub.watch("b"):
        assert hub.n_watchers == 3
    assert hub.n_watchers == 0
