"""What attempts share: blobs come also when the gateway is being restarted."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from dray.actors.workshop import GatewayBlobs
from dray.runtime.errors import NotFound, ServerUnreachable
from dray.sdk.client import Client


class RestartingGateway:
    """Answers the second time it is asked."""

    def __init__(self) -> None:
        self.n_calls = 0

    def get_blob(self, sha256: str, to: Path) -> None:
        self.n_calls += 1
        if self.n_calls == 1:
            raise ServerUnreachable("connection refused")
        to.write_bytes(sha256.encode())


async def test_a_blob_waits_for_a_gateway_that_is_away(tmp_path: Path) -> None:
    target = tmp_path / "blob"
    await GatewayBlobs(cast("Client", RestartingGateway())).fetch("cd", target)
    assert target.read_bytes() == b"cd"


async def test_what_the_gateway_refuses_is_not_asked_again(tmp_path: Path) -> None:
    class Refusing:
        def get_blob(self, sha256: str, to: Path) -> None:
            raise NotFound(f"no blob {sha256} for {to}")

    with pytest.raises(NotFound):
        await GatewayBlobs(cast("Client", Refusing())).fetch("ab", tmp_path / "blob")
