"""The log of a preparation: what users read while their task is being prepared."""

from __future__ import annotations

from typing import Protocol


class LogWriter(Protocol):
    """Where a preparation's output goes: an unbuffered binary file fits, so does a spool stream."""

    def write(self, data: bytes, /) -> object:
        """Append ``data``; short and non-blocking enough for an event loop."""
        ...


class NoLog:
    """For work whose output nobody reads."""

    def write(self, data: bytes, /) -> object:
        """Forget ``data``."""
        return len(data)


def say(log: LogWriter, sentence: str) -> None:
    """One line of our own, told apart from the tools' by its prefix."""
    log.write(f"dray: {sentence}\n".encode())
