"""Resources a task asks for and an agent holds: parse, fit, add, subtract."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from dray.runtime.errors import InvalidInput

#: Ray keeps resource amounts in ten-thousandths; we compare with the same grain.
GRAIN = 1e-4
#: Names Ray keeps for what is not a custom resource, and what to use instead.
_OWN_MEMBERS = {
    "CPU": "the member cpus",
    "GPU": "the member gpus",
    "memory": "the member memory_bytes",
    "object_store_memory": "Ray's own",
}


@dataclass(frozen=True)
class Resources:
    """An amount of each resource.

    Attributes:
        cpus: logical CPUs; 0 for coordinators.
        gpus: GPUs; a fraction below 1 shares one GPU.
        memory_bytes: memory Ray reserves; 0 for no reservation.
        custom: other Ray resources by name.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0
    custom: dict[str, float] = field(default_factory=dict[str, float])

    def amounts(self) -> dict[str, float]:
        """Every amount by Ray's resource name, zeros left out."""
        named = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(self.memory_bytes)}
        return {name: amount for name, amount in {**named, **self.custom}.items() if amount > 0}

    def label(self) -> str:
        """A short name for people and logs, such as ``1cpu`` or ``2cpu-0.5gpu``."""
        parts = [f"{self.cpus:g}cpu"]
        if self.gpus:
            parts.append(f"{self.gpus:g}gpu")
        if self.memory_bytes:
            parts.append(f"{self.memory_bytes / 2**30:.1f}gib")
        parts += [f"{amount:g}{name}" for name, amount in sorted(self.custom.items())]
        return "-".join(parts)


def check(resources: Resources) -> Resources:
    """``resources`` itself when Ray can hold such amounts.

    Raises:
        InvalidInput: an amount that is negative, not finite or finer than Ray counts, a GPU
            amount above 1 that is not whole, or a custom resource by the name of another.
    """
    for name in resources.custom:
        if not name or name in _OWN_MEMBERS:
            raise InvalidInput(
                f"resources.custom has {name!r}, which is {_OWN_MEMBERS.get(name, 'no name')}",
                field=f"resources.custom.{name}",
                value=resources.custom[name],
            )
    for name, amount in {
        "cpus": resources.cpus,
        "gpus": resources.gpus,
        "memory_bytes": resources.memory_bytes,
        **resources.custom,
    }.items():
        if amount < 0 or not math.isfinite(amount) or 0 < amount < GRAIN:
            raise InvalidInput(
                f"resources.{name} is {amount}; it takes 0 or a number from {GRAIN:g} up",
                field=f"resources.{name}",
                value=amount,
            )
    if resources.gpus > 1 and resources.gpus != int(resources.gpus):
        raise InvalidInput(
            f"resources.gpus is {resources.gpus:g}; above 1 it must be a whole number",
            field="resources.gpus",
            value=resources.gpus,
        )
    return resources


def fits(wanted: Resources, free: Mapping[str, float]) -> bool:
    """Whether ``free`` (Ray resource name → amount) has room for ``wanted``."""
    return all(
        free.get(name, 0.0) + GRAIN / 2 >= amount for name, amount in wanted.amounts().items()
    )


def missing(wanted: Resources, free: Mapping[str, float]) -> dict[str, float]:
    """What ``free`` lacks for ``wanted``, by resource name; empty when it fits."""
    return {
        name: amount - free.get(name, 0.0)
        for name, amount in wanted.amounts().items()
        if free.get(name, 0.0) + GRAIN / 2 < amount
    }


def subtract(free: Mapping[str, float], taken: Resources) -> dict[str, float]:
    """``free`` without ``taken``; may go below zero, which :func:`fits` then refuses."""
    left = dict(free)
    for name, amount in taken.amounts().items():
        left[name] = left.get(name, 0.0) - amount
    return left


def add(free: Mapping[str, float], given: Resources) -> dict[str, float]:
    """``free`` with ``given`` back."""
    more = dict(free)
    for name, amount in given.amounts().items():
        more[name] = more.get(name, 0.0) + amount
    return more
