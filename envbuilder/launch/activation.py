"""Variables that an environment wants set whenever it is used: those of conda's packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast


def variables_of(folder: Path) -> dict[str, str]:
    """What was noted of the environment in ``folder`` when it was built; most have nothing."""
    try:
        return cast("dict[str, str]", json.loads(variables_file(folder).read_text("utf-8")))
    except FileNotFoundError:
        return {}


def variables_file(folder: Path) -> Path:
    """Where it is noted."""
    return folder / "variables.json"
