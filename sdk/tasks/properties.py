"""The part of ``Task`` about user properties: notes by name, which can be edited in every state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput
from dray.sdk.hooks.watch import tell_once
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import values as parameters
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any

#: Section that ClearML names user properties by.
SECTION = "properties"


class TaskProperties(TaskBase):
    """User properties."""

    def set_user_properties(
        self,
        *iterables: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        **properties: Any,
    ) -> bool:
        """Set properties; they can be edited in every state, also when the task has ended.

        Args:
            iterables: dicts of name to value, lists of ``{"name": .., "value": ..}``, or such
                a dict itself.
            properties: name to value. Everywhere a value may be ``{"value": ..}``; ``type`` and
                ``description`` beside it are not kept.

        Returns:
            True; what cannot be done raises.

        Raises:
            InvalidInput: an entry without name or value.
        """
        values: dict[str, Any] = {}
        for given in iterables:
            values.update(_named_values(given))
        values.update(properties)
        texts: dict[str, str | None] = {}
        for name, value in values.items():
            texts[str(name)] = parameters.to_text(_value_of(str(name), value))[0]
        if texts:
            self._handle.put_properties(texts)
        return True

    def get_user_properties(self, value_only: bool = False) -> dict[str, Any]:
        """Properties by name.

        Args:
            value_only: only the value, as text.

        Returns:
            ``{name: {"section": "properties", "name": .., "value": .., "type": ..,
            "description": ..}}``, or ``{name: value}``.
        """
        stored: dict[str, str] = self._data.get("properties") or {}
        if value_only:
            return dict(stored)
        return {
            name: {
                "section": SECTION,
                "name": name,
                "value": value,
                "type": "",
                "description": "",
            }
            for name, value in stored.items()
        }

    def delete_user_properties(self, *iterables: Any) -> bool:
        """Remove properties.

        Args:
            iterables: names, ``{"section": "properties", "name": ..}``, or pairs of section and
                name; lists of these too.

        Returns:
            Whether all of them were there.
        """
        names = [name for given in iterables for name in _names_of(given)]
        stored: dict[str, str] = self._data.get("properties") or {}
        there = [name for name in names if name in stored]
        if there:
            self._handle.put_properties(dict.fromkeys(there))
        return len(there) == len(names)


def _named_values(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        entry = cast("Mapping[str, Any]", given)
        if "name" in entry and "value" in entry:
            return {str(entry["name"]): entry}
        return dict(entry)
    found: dict[str, Any] = {}
    for item in given:
        if not isinstance(item, Mapping) or "name" not in item or "value" not in item:
            raise InvalidInput(
                f'a property is {{"name": .., "value": ..}}, not {item!r}', field="iterables"
            )
        found[str(cast("Any", item)["name"])] = item
    return found


def _value_of(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    entry = cast("Mapping[str, Any]", value)
    if "value" not in entry:
        raise InvalidInput(f'property {name!r} has no "value" in {value!r}', field=name)
    if entry.get("type") or entry.get("description"):
        tell_once("properties", "type and description of a user property are not kept")
    return entry["value"]


def _names_of(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given.removeprefix(f"{SECTION}/")]
    if isinstance(given, Mapping):
        return [str(cast("Mapping[str, Any]", given)["name"])]
    items = list(given)
    if len(items) == 2 and items[0] == SECTION:
        return [str(items[1])]
    return [name for item in items for name in _names_of(item)]
