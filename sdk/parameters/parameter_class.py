"""Classes of parameters with types, ranges and validators: ``TaskParameters`` and ``param``.

They need no other library. Validators are called with instance, field and value, as those of
``attrs`` are, which can be used here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from dray.runtime.errors import InvalidInput

if TYPE_CHECKING:
    from dray.sdk.task import Task

    Validator = Callable[[Any, Any, Any], Any]

__all__ = ["TaskParameters", "param", "percent_param", "range_validator"]

_NOTHING: Any = object()


class Field:
    """One parameter of a class.

    Attributes:
        name: of the attribute.
        type: that values have; None for any.
        default: value when none is given.
        metadata: notes; ``desc`` is the description.
    """

    def __init__(
        self,
        validators: list[Validator],
        type: type[Any] | None,
        default: Any,
        factory: Callable[[], Any] | None,
        converter: Callable[[Any], Any] | None,
        metadata: Mapping[str, Any],
    ) -> None:
        self.name = ""
        self.type = type
        self.default = default
        self.metadata = dict(metadata)
        self._validators = validators
        self._factory = factory
        self._converter = converter

    @property
    def description(self) -> str:
        """Help text."""
        return str(self.metadata.get("desc") or "")

    @property
    def is_required(self) -> bool:
        """Whether a value must be given."""
        return self.default is _NOTHING and self._factory is None

    def initial(self) -> Any:
        """The value when none is given."""
        return self._factory() if self._factory is not None else copy.copy(self.default)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        try:
            return instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(f"{self.name} has no value yet") from None

    def __set__(self, instance: Any, value: Any) -> None:
        if self._converter is not None:
            value = self._converter(value)
        for validator in self._validators:
            validator(instance, self, value)
        instance.__dict__[self.name] = value


def param(
    validator: Validator | Iterable[Validator] | None = None,
    range: tuple[float | None, float | None] | None = None,
    type: type[Any] | None = None,
    desc: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    default: Any = _NOTHING,
    factory: Callable[[], Any] | None = None,
    converter: Callable[[Any], Any] | None = None,
) -> Any:
    """A parameter of a :class:`TaskParameters` class.

    Args:
        validator: called with instance, field and value when it is set; or several.
        range: least and greatest value, both allowed; None for no limit.
        type: that values must have; None (the value) is allowed too.
        desc: help text.
        metadata: notes of your own.
        default: value when none is given; without one it must be given.
        factory: makes the default.
        converter: applied to values before they are checked.
    """
    validators: list[Validator] = []
    if isinstance(validator, Iterable):
        validators += cast("Iterable[Validator]", validator)
    elif validator is not None:
        validators.append(validator)
    if type is not None:
        validators.append(_type_validator(type))
    if range is not None:
        validators.append(range_validator(*range))
    notes = {**(metadata or {}), "desc": desc}
    return Field(validators, type, default, factory, converter, notes)


def percent_param(*args: Any, **kwargs: Any) -> Any:
    """A float from 0 to 1; takes what :func:`param` takes."""
    return param(*args, **{"range": (0, 1), "type": float, **kwargs})


def range_validator(min_value: float | None, max_value: float | None) -> Validator:
    """A validator that refuses values below or above; None for no limit."""

    def check(instance: Any, field: Any, value: Any) -> None:
        del instance
        too_low = min_value is not None and value is not None and value < min_value
        if too_low or (max_value is not None and value is not None and value > max_value):
            raise ValueError(f"{field.name} must be in range [{min_value}, {max_value}]")

    return check


class TaskParameters:
    """Parameters as attributes of a class of your own.

    class Training(TaskParameters):
        epochs = param(type=int, default=3, range=(1, 100), desc="passes over the data")
        dropout = percent_param(default=0.5)

    training = task.connect(Training(epochs=5), name="Training")

    Raises:
        TypeError: a value of another type, a name that does not exist, or one that is missing.
        ValueError: a value out of range.
    """

    __dray_parameters__: tuple[Field, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = {field.name: field for field in cls.__dray_parameters__}
        found.update({k: v for k, v in vars(cls).items() if isinstance(v, Field)})
        cls.__dray_parameters__ = tuple(found.values())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields = type(self).__dray_parameters__
        if len(args) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} values, got {len(args)}")
        given = dict(zip((field.name for field in fields), args, strict=False))
        twice = set(given) & set(kwargs)
        unknown = set(kwargs) - {field.name for field in fields}
        if twice or unknown:
            name = sorted(twice or unknown)[0]
            what = "more than one value for" if twice else "no parameter"
            raise TypeError(f"{type(self).__name__} has {what} {name!r}")
        given.update(kwargs)
        for field in fields:
            if field.name not in given and field.is_required:
                raise TypeError(f"{type(self).__name__} needs a value for {field.name!r}")
            value = given[field.name] if field.name in given else field.initial()
            setattr(self, field.name, value)

    def to_dict(self) -> dict[str, Any]:
        """Values by name; a new dict."""
        return {field.name: getattr(self, field.name) for field in type(self).__dray_parameters__}

    def update_from_dict(self, source_dict: Mapping[str, Any]) -> None:
        """Set values by name.

        Raises:
            InvalidInput: a name that does not exist.
        """
        for name, value in source_dict.items():
            if not hasattr(self, name):
                there = ", ".join(field.name for field in type(self).__dray_parameters__)
                raise InvalidInput(
                    f"{type(self).__name__} has no parameter {name!r}; it has {there}", field=name
                )
            setattr(self, name, value)

    def connect(self, task: Task, name: str | None = None) -> Any:
        """The same as ``task.connect(self, name)``."""
        return task.connect(self, name)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and cast("TaskParameters", other).to_dict() == (
            self.to_dict()
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]  (its values change)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"{type(self).__name__}({shown})"


def _type_validator(kind: type[Any]) -> Validator:
    def check(instance: Any, field: Any, value: Any) -> None:
        del instance
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{field.name} must be of type {kind.__name__}, got {value!r} of type "
                f"{type(value).__name__}"
            )

    return check
