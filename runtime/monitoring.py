"""Whether and how often a run has its machine sampled: said by the run, heard by who samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Name below the spool's folder; ``sdk/tasks/start.py`` writes it.
FILE = "monitoring.json"


def every_s(spool: Path, default: float) -> float:
    """Seconds between two samples; 0 for none, ``default`` where the run said nothing."""
    try:
        said: dict[str, Any] = json.loads((spool / FILE).read_text("utf-8"))
        return float(said.get("every_s", default))
    except (OSError, ValueError, AttributeError, TypeError):
        return default  # nothing was said, or nothing that makes sense
