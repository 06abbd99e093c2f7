"""Calls about the environments that nodes keep."""

from __future__ import annotations

from dray.runtime.codec import to_json
from dray.runtime.environments import (
    EnvironmentBuilt,
    EnvironmentDetails,
    EnvironmentRequest,
    EnvironmentWhy,
    NodeEnvironments,
    Pruned,
)
from dray.sdk.http.call import Call, Conversation, as_, as_page, at, every_item

#: A large stack that is compiled from source takes most of an hour.
BUILD_TIMEOUT_S = 3600.0
#: Every node is asked, and one that has no builder makes one first.
ASK_TIMEOUT_S = 60.0


def list_environments() -> Conversation[list[NodeEnvironments]]:
    """The cache of every node; a node that did not answer says so in ``problem``."""
    return every_item(
        Call("GET", "/environments", as_page(NodeEnvironments), timeout_s=ASK_TIMEOUT_S)
    )


def get_environment(key: str, *, node: str = "") -> Call[EnvironmentDetails]:
    """One environment by the beginning of its key, of ``node`` or the first that has it."""
    return Call(
        "GET",
        at("environments", key),
        as_(EnvironmentDetails),
        query={"node": node},
        timeout_s=ASK_TIMEOUT_S,
    )


def why_environment(key: str, against: str = "", *, node: str = "") -> Call[EnvironmentWhy]:
    """What differs between two keys; without ``against``, why that one had to be built."""
    return Call(
        "GET",
        at("environments", key, "why"),
        as_(EnvironmentWhy),
        query={"against": against, "node": node},
        timeout_s=ASK_TIMEOUT_S,
    )


def prune_environments(
    keys: list[str] | None = None, *, unused_for_s: float = 0.0
) -> Conversation[list[Pruned]]:
    """Remove environments that nothing uses on every node; with ``keys`` these alone."""
    body = {"keys": keys or [], "unused_for_s": unused_for_s}
    call = Call("POST", "/environments/prune", as_page(Pruned), body, timeout_s=ASK_TIMEOUT_S)
    return every_item(call)


def build_environment(request: EnvironmentRequest) -> Call[EnvironmentBuilt]:
    """Make an environment on a node; answered once it is there.

    Raises:
        PreparationFailed: it cannot be made; its ``evidence`` has the end of the log.
    """
    return Call(
        "POST",
        "/environments/build",
        as_(EnvironmentBuilt),
        to_json(request),
        timeout_s=BUILD_TIMEOUT_S,
        retries=0,
    )
