"""What the server said, as objects: members by attribute (``task.data.status``) and by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


class Record(dict[str, Any]):
    """A dict whose members are attributes too, also those of the dicts and lists in it."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__({name: _wrapped(value) for name, value in members.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"there is no {name!r}; there are {', '.join(sorted(self))}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = _wrapped(value)

    def to_dict(self) -> dict[str, Any]:
        """The same in plain dicts and lists."""
        return {name: _plain(value) for name, value in self.items()}


def _wrapped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Record(cast("Mapping[str, Any]", value))
    if isinstance(value, list):
        return [_wrapped(one) for one in cast("list[Any]", value)]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[Any]", value)]
    return value


def data_of(task: Mapping[str, Any]) -> Record:
    """A task under ClearML's names and under Dray's own; where both have a name, ClearML's.

    Args:
        task: JSON of ``models.Task``.
    """
    from dray.sdk.tasks.export import described, merged

    own = {name: value for name, value in task.items() if name not in ("artifacts", "models")}
    record = Record(merged(own, described(task)))
    record["artifacts"] = _wrapped(list(task.get("artifacts") or []))
    return record
