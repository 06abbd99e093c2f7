"""What a service answers: JSON whose members are attributes, and lists of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

if TYPE_CHECKING:
    from dray.sdk.backend.service import Service


class Struct:
    """JSON with its members as attributes; Any: whatever the JSON holds.

    A member that is not there is None, as ClearML answers for what a task does not have.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = dict(data)

    def to_dict(self) -> dict[str, Any]:
        """The JSON."""
        return self._data

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return viewed(self._data.get(name))

    def __getitem__(self, name: str) -> Any:
        return viewed(self._data[name])

    def __contains__(self, name: object) -> bool:
        return name in self._data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Struct) and other.to_dict() == self._data

    __hash__ = None  # pyright: ignore[reportAssignmentType]  (equal by content, as a dict is)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._data!r})"


class Entity(Struct):
    """One task, project, queue, model or worker.

    Actions of its service are its methods: ``task.delete()`` is ``client.tasks.delete(task=id)``.
    """

    def __init__(self, service: Service, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._service = service

    def fetch(self) -> None:
        """Ask the server how it is now."""
        self._data = self._service.action("get_by_id")(**self._named()).to_dict()

    def __getattr__(self, name: str) -> Any:
        if name not in self._data and not name.startswith("_"):
            action = getattr(self._service, name, None)
            if callable(action):
                return self._action(cast("Callable[..., Any]", action))
        return super().__getattr__(name)

    def _action(self, action: Callable[..., Any]) -> Callable[..., Any]:
        def bound(**arguments: Any) -> Any:
            return action(**{**self._named(), **arguments})

        return bound

    def _named(self) -> dict[str, str]:
        return {self._service.entity: str(self._data["id"])}


S = TypeVar("S", bound=Struct)


class Answers(Sequence[S], Generic[S]):
    """A list of what was found, which can be narrowed further."""

    def __init__(self, items: Sequence[S]) -> None:
        self._items = list(items)

    def where(self, predicate: Callable[[S], bool] | None = None, **members: Any) -> Answers[S]:
        """Those for which ``predicate`` holds and that have these ``members``."""
        return Answers(
            [
                item
                for item in self._items
                if (predicate is None or predicate(item))
                and all(getattr(item, name) == value for name, value in members.items())
            ]
        )

    @overload
    def __getitem__(self, index: int) -> S: ...
    @overload
    def __getitem__(self, index: slice) -> Answers[S]: ...
    def __getitem__(self, index: int | slice) -> S | Answers[S]:
        if isinstance(index, slice):
            return Answers(self._items[index])
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[S]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"Answers({self._items!r})"


def viewed(value: Any) -> Any:
    """``value`` with every object in it as a :class:`Struct`."""
    if isinstance(value, Mapping):
        return Struct(cast("Mapping[str, Any]", value))
    if isinstance(value, list):
        return [viewed(item) for item in cast("list[Any]", value)]
    return value
