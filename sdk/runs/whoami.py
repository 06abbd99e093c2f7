"""Who makes a task from this machine: its owner, by which it is found again."""

from __future__ import annotations

import getpass


def user() -> str:
    """The name of whoever is logged in here; empty when the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without an entry for this user
        return ""
