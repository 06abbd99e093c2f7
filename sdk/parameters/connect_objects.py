"""The values inside the user's own objects, one by one, each with the way to change it.

Libraries that an object comes from are recognised by the object; none is imported for it.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterator, Mapping

from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import values as parameters

if TYPE_CHECKING:
    from typing import Any

_BASIC = (str, int, float, bool, type(None), list, tuple, dict, enum.Enum)


class Leaf:
    """One value that can be a parameter.

    Attributes:
        name: below its section, with ``/`` where it is nested.
        value: that the code has.
        put: changes it in the user's object; may raise what that object raises.
        hint: annotated type; decides where the value is None.
        description: help text.
        is_checked: the object makes its type of any text itself.
    """

    __slots__ = ("description", "hint", "is_checked", "name", "put", "value")

    def __init__(
        self,
        name: str,
        value: Any,
        put: Callable[[Any], None],
        *,
        hint: Any = None,
        description: str = "",
        is_checked: bool = False,
    ) -> None:
        self.name = name
        self.value = value
        self.put = put
        self.hint = hint
        self.description = description
        self.is_checked = is_checked

    def read(self, text: str, type_name: str) -> Any:
        """The value of a stored text, of the type the code has.

        Raises:
            ValueError: it cannot be read as that.
        """
        try:
            return parameters.from_text(text, self.value, type_name=type_name, hint=self.hint)
        except ValueError:
            if self.is_checked:
                return text
            raise


def dict_leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[Leaf]:
    """Leaves of nested dicts."""
    holder = cast("dict[Any, Any]", values)
    for key in holder:
        if isinstance(holder[key], dict) and holder[key]:
            yield from dict_leaves(holder[key], f"{prefix}{key}/")
        else:
            yield Leaf(f"{prefix}{key}", holder[key], _into_dict(holder, key))


def is_structure(value: Any) -> bool:
    """Whether ``value`` says itself what fields it has."""
    return _fields_of(value) is not None


def object_leaves(instance: Any, prefix: str = "") -> Iterator[Leaf]:
    """Leaves of an object or a class, and of those it is made of."""
    leaves = _fields_of(instance)
    for leaf in _attributes(instance) if leaves is None else leaves:
        leaf.name = f"{prefix}{leaf.name}"
        value: Any = leaf.value
        if _fields_of(value) is not None:
            yield from object_leaves(value, f"{leaf.name}/")
        elif isinstance(value, dict) and value:
            yield from dict_leaves(cast("dict[Any, Any]", value), f"{leaf.name}/")
        else:
            yield leaf


def _fields_of(value: Any) -> Iterator[Leaf] | None:
    """Fields of an instance whose class states them; None for everything else."""
    if isinstance(value, type):
        return None
    kind = cast("Any", type(value))
    for mark, fields in _KINDS:
        if hasattr(kind, mark):
            return fields(value)
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and isinstance(value, omegaconf.DictConfig):
        return _omegaconf(value, omegaconf)
    return None


def _task_parameters(instance: Any) -> Iterator[Leaf]:
    for field in cast("Any", type(instance)).__dray_parameters__:
        value, put = getattr(instance, field.name), _into_object(instance, field.name)
        yield Leaf(field.name, value, put, hint=field.type, description=field.description)


def _pydantic(instance: Any) -> Iterator[Leaf]:
    kind = cast("Any", type(instance))
    fields: dict[str, Any] = kind.model_fields if _is_pydantic_2(kind) else kind.__fields__
    for name, field in fields.items():
        info = getattr(field, "field_info", field)  # one lies in the other since pydantic 2
        yield Leaf(
            name,
            getattr(instance, name),
            _into_pydantic(instance, name, field),
            hint=getattr(field, "annotation", None),
            description=str(getattr(info, "description", "") or ""),
            is_checked=True,
        )


def _attrs(instance: Any) -> Iterator[Leaf]:
    for field in cast("Any", type(instance)).__attrs_attrs__:
        if not field.name.startswith("_"):
            value, put = getattr(instance, field.name), _into_attrs(instance, field)
            yield Leaf(field.name, value, put, hint=field.type)


def _dataclass(instance: Any) -> Iterator[Leaf]:
    hints = _hints(instance)
    fields: dict[str, Any] = cast("Any", type(instance)).__dataclass_fields__
    for name, field in fields.items():
        if not hasattr(instance, name):  # ``ClassVar`` without a value, and the like
            continue
        help_text = str(field.metadata.get("help", "") or "")
        # Frozen ones too: their values are settled here, before the user's code goes on.
        put = _into_frozen(instance, name)
        hint = hints.get(name)
        yield Leaf(name, getattr(instance, name), put, hint=hint, description=help_text)


def _omegaconf(config: Any, omegaconf: Any) -> Iterator[Leaf]:
    container = omegaconf.OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    for leaf in dict_leaves(container):
        leaf.put = _into_omegaconf(config, omegaconf, leaf.name.replace("/", "."))
        yield leaf


#: (attribute of the class, its fields); the first that fits counts.
_KINDS: tuple[tuple[str, Callable[[Any], Iterator[Leaf]]], ...] = (
    ("__dray_parameters__", _task_parameters),
    ("model_fields", _pydantic),
    ("__validators__", _pydantic),  # pydantic 1
    ("__attrs_attrs__", _attrs),
    ("__dataclass_fields__", _dataclass),
)


def _attributes(instance: Any) -> Iterator[Leaf]:
    found: dict[str, Any] = {}
    kind = cast("type[Any]", instance if isinstance(instance, type) else type(instance))
    for base in reversed(kind.__mro__):
        if base.__module__ != "builtins":
            found.update(cast("dict[str, Any]", vars(base)))
    if not isinstance(instance, type):
        found.update(instance.__dict__)
    for name, value in found.items():
        if not name.startswith("_") and isinstance(value, _BASIC) and _is_json(value):
            yield Leaf(name, cast("Any", value), _into_object(instance, name))


def _is_json(value: Any) -> bool:
    if not isinstance(value, (list, tuple, dict)):
        return True
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False  # it holds objects: data of the program, not a setting
    return True


def _hints(instance: Any) -> dict[str, Any]:
    import typing

    try:
        return typing.get_type_hints(cast("type[Any]", type(instance)))
    except Exception:
        # Annotations may name what exists for type checkers only; then the value's type decides.
        return {}


def _into_dict(values: dict[Any, Any], key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        values[key] = value

    return put


def _into_object(instance: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(instance, name, value)


def _into_frozen(instance: Any, name: str) -> Callable[[Any], None]:
    return lambda value: object.__setattr__(instance, name, value)


def _into_attrs(instance: Any, field: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        if field.validator is not None:
            field.validator(instance, field, value)
        object.__setattr__(instance, field.name, value)

    return put


def _into_pydantic(instance: Any, name: str, field: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        if not _is_pydantic_2(type(instance)):
            checked, error = field.validate(value, dict(instance.__dict__), loc=name)
            if error:
                raise ValueError(str(getattr(error, "exc", error)))
        else:
            checked = _checked(instance, name, value)
        instance.__dict__[name] = checked

    return put


def _is_pydantic_2(kind: Any) -> bool:
    return hasattr(kind, "model_fields")


def _checked(instance: Any, name: str, value: Any) -> Any:
    """``value`` as a model of pydantic 2 takes it for a field, which may be frozen."""
    kind = cast("Any", type(instance))
    members = {key: getattr(instance, key) for key in kind.model_fields}
    twin = kind.model_construct(**members)
    return kind.__pydantic_validator__.validate_assignment(twin, name, value).__dict__[name]


def _into_omegaconf(config: Any, omegaconf: Any, key: str) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        flags = (config._get_flag("readonly"), config._get_flag("struct"))
        omegaconf.OmegaConf.set_readonly(config, False)
        omegaconf.OmegaConf.set_struct(config, False)
        try:
            omegaconf.OmegaConf.update(config, key, value, force_add=True)
        finally:
            omegaconf.OmegaConf.set_readonly(config, flags[0])
            omegaconf.OmegaConf.set_struct(config, flags[1])

    return put
