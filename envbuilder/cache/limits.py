"""How much a node's environments may take: of its disk, of its time, of its patience."""

from __future__ import annotations

from dataclasses import dataclass

from dray.runtime.config import Settings

_DAY_S = 86_400.0


@dataclass(frozen=True)
class CacheLimits:
    """The limits of one node's cache; the defaults are those of the settings.

    Attributes:
        size_bytes: of all environments together; fifty of a large stack fit.
        max_age_s: what was not used for so long goes; 0: nothing goes by its age.
        reserve_bytes: free disk space below which unused environments go and none is built.
        build_s: for getting one environment, waiting for another's build included. A large stack
            compiled from source takes minutes, an index that hangs takes for ever.
    """

    size_bytes: int = 100 << 30
    max_age_s: float = 30 * _DAY_S
    reserve_bytes: int = 1 << 30
    build_s: float = 1800.0


def limits_of(settings: Settings) -> CacheLimits:
    """The limits that ``settings`` say."""
    return CacheLimits(
        size_bytes=settings.environment_limit_bytes,
        max_age_s=settings.environment_max_age_days * _DAY_S,
        reserve_bytes=settings.environment_reserve_bytes,
        build_s=settings.environment_build_limit_s,
    )
