"""How a node gets code from git: what its settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dray.envbuilder.git.remotes import read_rules
from dray.runtime.config import Settings

_DAY_S = 86_400.0


@dataclass(frozen=True)
class GitOptions:
    """The defaults are those of the settings.

    Attributes:
        rules: ``{host: https, ssh, or the beginning of a URL}``.
        history: commits come with all that led to them; else alone, which is quicker for
            repositories with a large past.
        lfs: files that git keeps elsewhere are fetched; else their pointers are left.
        limit_s: for getting the code of one task.
    """

    rules: Mapping[str, str] = field(default_factory=dict[str, str])
    history: bool = True
    lfs: bool = True
    limit_s: float = 600.0


@dataclass(frozen=True)
class MirrorLimits:
    """How much the mirrors of a node may take.

    Attributes:
        size_bytes: of all together, what they keep of LFS included.
        max_age_s: what was not used for so long goes; 0: nothing goes by its age.
    """

    size_bytes: int = 50 << 30
    max_age_s: float = 60 * _DAY_S


def git_options(settings: Settings) -> GitOptions:
    """What ``settings`` say.

    Raises:
        InvalidInput: ``git_rewrite`` cannot be read.
    """
    return GitOptions(
        rules=read_rules(settings.git_rewrite),
        history=settings.git_history,
        lfs=settings.git_lfs,
        limit_s=settings.source_limit_s,
    )


def mirror_limits(settings: Settings) -> MirrorLimits:
    """What ``settings`` say."""
    return MirrorLimits(settings.mirror_limit_bytes, settings.mirror_max_age_days * _DAY_S)
