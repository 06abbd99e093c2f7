"""Where a tool is in the place an environment is built in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dray.envbuilder.place import Place

_FIRST_THERE = 'for program; do command -v "$program" && exit 0; done; exit 1'


async def first_program(
    candidates: Sequence[str], env: Mapping[str, str], place: Place
) -> str | None:
    """The first of ``candidates`` (names on the path of ``env``, or full paths) that is there."""
    found = await place.run(
        ["/bin/sh", "-c", _FIRST_THERE, "sh", *candidates], env=env, keep_stdout=True
    )
    return found.stdout.strip() if found.code == 0 else None
