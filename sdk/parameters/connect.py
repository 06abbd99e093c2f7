"""Hyperparameters in the user's own objects: what is stored, and what a stored value changes.

Started by hand, the values of the code are stored; under an agent the stored ones are put into
the code's object, cast to the types it has. Part of the child's path.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

from dray.runtime.errors import WrongType
from dray.sdk import session
from dray.sdk.hooks.watch import tell_once
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import values as parameters
from dray.sdk.parameters.connect_objects import Leaf, dict_leaves, is_structure, object_leaves

if TYPE_CHECKING:
    from typing import Any, Protocol

    from dray.sdk.tasks.handle import Handle

    Records = dict[str, dict[str, str]]

    class Target(Protocol):
        """The task that values are connected to: a ``Session``, or an :class:`Elsewhere`."""

        @property
        def is_remote(self) -> bool:
            """Whether stored values win."""
            ...

        @property
        def task(self) -> dict[str, Any]:
            """JSON of ``models.Task``."""
            ...

        def parameters(self, section: str) -> Records:
            """Stored parameters that win, by name."""
            ...

        def put_parameters(self, values: Records) -> None:
            """Store parameters by flat name."""
            ...

        def drop_parameters(self, names: Iterable[str]) -> None:
            """Take parameters away, by flat name."""
            ...


#: Section of what ``task.connect`` is given without a name.
DEFAULT_SECTION = "General"
#: Hidden parameter of a section that says whether stored values are left alone.
IGNORE = "_ignore_remote_overrides_"
_IGNORE_HELP = (
    "True: the values of the code are used under an agent too. Set it to False to have the "
    "values stored here"
)


class Elsewhere:
    """A task that does not run in this process: values go to it, none come back."""

    is_remote = False

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def task(self) -> dict[str, Any]:
        """JSON of ``models.Task``."""
        return self._handle.data

    def parameters(self, section: str) -> Records:
        """Nothing: stored values are for the process that runs the task."""
        del section
        return {}

    def put_parameters(self, values: Records) -> None:
        """Edit the task."""
        if values:
            self._handle.put_parameters(values)

    def drop_parameters(self, names: Iterable[str]) -> None:
        """Edit the task."""
        for name in names:
            self._handle.drop_parameter(name)


class Binding:
    """One section of one task.

    Args:
        target: the task.
        section: of its parameters.
        is_overridden: whether values stored there win over those of the code.
    """

    def __init__(self, target: Target, section: str, is_overridden: bool) -> None:
        self._target = target
        self._section = section
        self._stored = target.parameters(section) if is_overridden else {}

    def bind(self, leaves: Iterable[Leaf], *, tell: bool = False) -> None:
        """Store the leaves; where the task has values of its own, put those into them.

        Args:
            leaves: of the user's object.
            tell: name what keeps its stored value, as something the code has just set.
        """
        news: Records = {}
        for leaf in list(leaves):
            flat = f"{self._section}/{leaf.name}"
            members = self._stored.get(leaf.name)
            if members is not None:
                self._override(leaf, flat, members, tell=tell)
            elif parameters.is_storable(leaf.value):
                standing: Records = self._target.task.get("parameters") or {}
                news[flat] = parameters.as_record(leaf.value, leaf.description, standing.get(flat))
            else:
                tell_once(
                    flat,
                    f"parameter {flat} is not stored: a {type(leaf.value).__name__} is no number, "
                    "text, list or dict",
                )
        self._target.put_parameters(news)

    def drop(self, names: Iterable[str]) -> None:
        """Take parameters away; under an agent those that were stored stay."""
        gone = [f"{self._section}/{name}" for name in names if name not in self._stored]
        self._target.drop_parameters(gone)

    def _override(self, leaf: Leaf, flat: str, members: Mapping[str, str], *, tell: bool) -> None:
        text = members["value"]
        try:
            read = leaf.read(text, members.get("type", ""))
            if read is not leaf.value:
                leaf.put(read)
        except (ValueError, TypeError, ArithmeticError, AttributeError) as exc:
            session.say(
                f"warning: parameter {flat} = {text!r} cannot be used "
                f"({exc}); going on with {leaf.value!r}"
            )
            return
        if tell and read != leaf.value:
            tell_once(flat, f"parameter {flat} keeps its stored value {read!r}")


class ConnectedDict(dict["Any", "Any"]):
    """A dict whose changes are stored as parameters; nested dicts are connected too.

    The dict it was made from is changed along, so that it does not matter which one is used.

    Args:
        source: that dict.
        prefix: of the names of its keys, ``opt/`` for what lies in the dict called ``opt``.
        settle: called with the prefix and ``{key: value}`` before it is set; it may change the
            value.
        drop: called with the names of values that are gone.
    """

    def __init__(
        self,
        source: dict[Any, Any],
        prefix: str,
        settle: Callable[[str, dict[Any, Any]], None],
        drop: Callable[[list[str]], None],
    ) -> None:
        super().__init__()
        self._source = source
        self._prefix = prefix
        self._settle = settle
        self._drop = drop
        for key, value in source.items():
            super().__setitem__(key, self._adopted(key, value))

    def __setitem__(self, key: Any, value: Any) -> None:
        holder: dict[Any, Any] = {key: _plain(value)}
        self._settle(self._prefix, holder)
        self._source[key] = holder[key]
        super().__setitem__(key, self._adopted(key, holder[key]))

    def __delitem__(self, key: Any) -> None:
        gone = [leaf.name for leaf in dict_leaves({key: self[key]}, self._prefix)]
        super().__delitem__(key)
        self._source.pop(key, None)
        self._drop(gone)

    def update(self, *others: Any, **named: Any) -> None:
        """Set several keys; each is stored."""
        for key, value in dict(*others, **named).items():
            self[key] = value

    def __ior__(self, other: Any) -> ConnectedDict:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.update(other)
        return self

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, set and stored when it has none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove a key and its parameter; returns its value."""
        if key not in self:
            return super().pop(key, *default)
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        """Remove the last key and its parameter."""
        if not self:
            return super().popitem()
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Remove every key and its parameter."""
        for key in list(self):
            del self[key]

    def copy(self) -> dict[Any, Any]:
        """A plain dict, connected to nothing."""
        return {
            key: value.copy() if isinstance(value, ConnectedDict) else value
            for key, value in self.items()
        }

    to_dict = copy

    @property
    def source(self) -> dict[Any, Any]:
        """The user's own dict behind this one."""
        return self._source

    def __reduce__(self) -> tuple[type[dict[Any, Any]], tuple[dict[Any, Any]]]:
        # Sent to another process or copied, it is plain data.
        return dict, (self.copy(),)

    def _adopted(self, key: Any, value: Any) -> Any:
        if isinstance(value, dict) and value:
            nested = cast("dict[Any, Any]", value)
            return ConnectedDict(nested, f"{self._prefix}{key}/", self._settle, self._drop)
        return cast("Any", value)


def connect(target: Target, mutable: Any, section: str, *, ignore: bool = False) -> Any:
    """Bind ``mutable`` to the parameters of ``section``; returns what to use from now on.

    Args:
        target: the task.
        mutable: a dict, a dataclass, pydantic or attrs instance, an OmegaConf config, any object
            or class with attributes.
        section: name of the section.
        ignore: leave stored values alone, under an agent too.

    Raises:
        WrongType: it holds nothing that could be a parameter.
    """
    is_overridden = not is_ignoring(target, f"{section}/{IGNORE}", ignore) and target.is_remote
    binding = Binding(target, section, is_overridden)
    if isinstance(mutable, dict):
        given = cast("dict[Any, Any]", mutable)
        source = given.source if isinstance(given, ConnectedDict) else given
        binding.bind(dict_leaves(source))

        def settle(prefix: str, holder: dict[Any, Any]) -> None:
            binding.bind(dict_leaves(holder, prefix), tell=True)

        return ConnectedDict(source, "", settle, binding.drop)
    is_function = callable(mutable) and not isinstance(mutable, type)
    if not is_structure(mutable) and (not hasattr(mutable, "__dict__") or is_function):
        raise WrongType(
            f"cannot connect a {type(mutable).__name__}: give a dict, a dataclass instance, an "
            "object with attributes, a model, or an argparse parser or namespace",
            field="mutable",
        )
    binding.bind(object_leaves(mutable))
    return mutable


def is_ignoring(target: Target, flat: str, asked: bool) -> bool:
    """Whether stored values are left alone: as the code asks, or the hidden parameter says.

    Args:
        target: the task.
        flat: name of the hidden parameter, stored where the code asks for it.
        asked: what the code says.
    """
    if not target.is_remote:
        if asked:
            members = {"value": "True", "type": "bool", "description": _IGNORE_HELP}
            target.put_parameters({flat: members})
        return asked
    section, _, name = flat.partition("/")
    stored = target.parameters(section).get(name)
    return asked if stored is None else parameters.to_bool(stored["value"])


def flatten(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dicts by their names joined with ``/``."""
    for leaf in dict_leaves(values, prefix):
        yield leaf.name, leaf.value


def is_namespace(value: Any) -> bool:
    """Whether ``value`` is what an ``argparse`` parser returned."""
    argparse = sys.modules.get("argparse")
    return argparse is not None and isinstance(value, argparse.Namespace)


def _plain(value: Any) -> Any:
    if isinstance(value, ConnectedDict):
        return value.copy()
    return dict(cast("dict[Any, Any]", value)) if isinstance(value, dict) else value
