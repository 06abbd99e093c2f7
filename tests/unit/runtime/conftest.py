"""A running supervisor for the tests of child processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dray.runtime.subprocesses import Supervisor


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor.start() as supervisor:
        yield supervisor
