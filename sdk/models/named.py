"""Models of a task as lists that also know names: what ``task.models`` gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from dray.runtime.errors import NotFound
from dray.sdk.models.found import Model

if TYPE_CHECKING:
    from collections.abc import KeysView


class ModelsList(Sequence[Model]):
    """Models by position (-1 is the last) and by the task's name for them."""

    def __init__(self, by_name: Mapping[str, Model]) -> None:
        self._by_name = dict(by_name)

    @overload
    def __getitem__(self, item: int | str) -> Model: ...
    @overload
    def __getitem__(self, item: slice) -> list[Model]: ...
    def __getitem__(self, item: int | str | slice) -> Model | list[Model]:
        if not isinstance(item, str):
            return list(self._by_name.values())[item]
        if item not in self._by_name:
            there = ", ".join(self._by_name) or "none"
            raise UnknownModel(f"no model of the task is called {item!r}; there are: {there}")
        return self._by_name[item]

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._by_name.values())

    def __contains__(self, item: object) -> bool:
        return item in self._by_name or any(model == item for model in self._by_name.values())

    def get(self, key: str | int, default: Any = None) -> Any:
        """The model by that name or position, or ``default``."""
        try:
            return self[key]
        except (KeyError, IndexError):
            return default

    def keys(self) -> KeysView[str]:
        """The task's names for them."""
        return self._by_name.keys()

    def __repr__(self) -> str:
        return repr(list(self._by_name.values()))


class UnknownModel(NotFound, KeyError):
    """A name no model of the task goes by."""

    def __str__(self) -> str:
        return self.message


class TaskModelsByKind(Mapping[str, ModelsList]):
    """``input`` and ``output``, as keys and as attributes."""

    def __init__(
        self, inputs: Sequence[Mapping[str, str]], outputs: Sequence[Mapping[str, str]]
    ) -> None:
        self.input = ModelsList({ref["name"]: Model(ref["id"]) for ref in inputs})
        self.output = ModelsList({ref["name"]: Model(ref["id"]) for ref in outputs})

    def __getitem__(self, key: str) -> ModelsList:
        if key not in ("input", "output"):
            raise UnknownModel(f"models are by 'input' and 'output', there is no {key!r}")
        return self.input if key == "input" else self.output

    def __iter__(self) -> Iterator[str]:
        return iter(("input", "output"))

    def __len__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return repr(dict(self))
