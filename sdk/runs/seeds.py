"""Seeds of random numbers: set only when the user asks, for what is imported.

ClearML seeds every run with 1337 unless told not to; here nothing is seeded unless told to.
"""

from __future__ import annotations

import sys

from dray.runtime.errors import WrongType
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

#: Seeds of numpy have 32 bits, so that is what all get.
_MASK = 0xFFFFFFFF


class _State:
    seed: int | None = None


def choose(seed: int | None) -> None:
    """Have runs seeded with ``seed``; None: not at all.

    Raises:
        WrongType: no whole number.
    """
    if seed is not None and (isinstance(seed, bool) or not hasattr(seed, "__index__")):
        raise WrongType(
            f"random_seed {seed!r} is no whole number; None switches seeding off",
            field="random_seed",
            value=seed,
        )
    _State.seed = None if seed is None else seed.__index__()


def chosen() -> int | None:
    """What :func:`choose` was last given."""
    return _State.seed


def apply() -> None:
    """Seed Python and each framework that is imported; one imported later when it is."""
    if _State.seed is None:
        return
    import random

    from dray.sdk.hooks import watch

    random.seed(_State.seed)
    for name, seed in _FRAMEWORKS.items():
        module = sys.modules.get(name)
        if module is not None:
            seed(module)
        else:
            watch.when_imported(name, seed)


def _numpy(module: Any) -> None:
    if _State.seed is not None:
        module.random.seed(_State.seed & _MASK)


def _torch(module: Any) -> None:
    if _State.seed is not None:
        module.manual_seed(_State.seed)  # of every device


def _tensorflow(module: Any) -> None:
    if _State.seed is not None:
        module.random.set_seed(_State.seed & _MASK)


_FRAMEWORKS = {"numpy": _numpy, "torch": _torch, "tensorflow": _tensorflow}
