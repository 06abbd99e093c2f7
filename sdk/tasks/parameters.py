"""The part of ``Task`` about hyperparameters: ``connect``, and reading and writing them by name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput, NotEditable, WrongType
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import connect
from dray.sdk.parameters import values as parameters
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any, TypeVar

    from dray.sdk.parameters.connect import Target

    T = TypeVar("T")

    Given = Mapping[str, Any] | Iterable[tuple[str, Any]]


class TaskHyperparameters(TaskBase):
    """Parameters by their flat name ``Section/name``."""

    def connect(
        self, mutable: T, name: str | None = None, ignore_remote_overrides: bool = False
    ) -> T:
        """Bind hyperparameters of the script to the task.

        Started by hand, the values are stored. Under an agent stored values are put into
        ``mutable``, cast to the types it has. For a task that does not run in this process the
        values are stored, whoever runs this.

        Args:
            mutable: a dict (use the one that is returned: setting its keys stores them; a key
                that the task has a value for keeps that under an agent), a ``TaskParameters``,
                dataclass, pydantic or attrs instance, an OmegaConf config, an object or class
                with attributes, an ``argparse.ArgumentParser``, the namespace one returned, or an
                ``InputModel`` or ``OutputModel``.
            name: section, or name of the model; ``General`` unless said, ``Args`` for command
                lines.
            ignore_remote_overrides: use the values of the script under an agent too. Stored as
                hidden parameter, which a clone can have turned off.

        Returns:
            What to use from now on: ``mutable``, or the connected dict.

        Raises:
            WrongType: nothing can be bound.
        """
        if type(mutable).__module__.startswith("dray.sdk.models."):
            model = cast("Any", mutable)
            extra = {"ignore_remote_overrides": True} if ignore_remote_overrides else {}
            model.connect(self, name=name, **extra)
            return mutable
        # A dict of the yacs kind looks every attribute up among its keys.
        if not isinstance(mutable, dict) and hasattr(mutable, "parse_known_args"):
            self._connect_parser(cast("Any", mutable), ignore_remote_overrides)
            return mutable
        default = "Args" if connect.is_namespace(mutable) else connect.DEFAULT_SECTION
        section = name or default
        bound = connect.connect(self._target(), mutable, section, ignore=ignore_remote_overrides)
        return cast("T", bound)

    def get_parameters(
        self, backwards_compatibility: bool = True, cast: bool = False
    ) -> dict[str, Any]:
        """Every parameter by flat name.

        Args:
            backwards_compatibility: without effect: there are no parameters without section.
            cast: as values of their stored types; unless said as text.
        """
        del backwards_compatibility
        stored = self._stored()
        if not cast:
            return {name: members["value"] for name, members in stored.items()}
        return {
            name: parameters.guess(members["value"], members.get("type", ""))
            for name, members in stored.items()
        }

    def get_parameters_as_dict(self, cast: bool = False) -> dict[str, Any]:
        """Every parameter in nested dicts: ``Section/a/b`` becomes ``{Section: {a: {b: …}}}``."""
        nested: dict[str, Any] = {}
        for name, value in self.get_parameters(cast=cast).items():
            *folders, leaf = name.split("/")
            at: Any = nested
            for folder in folders:
                if not isinstance(at.setdefault(folder, {}), dict):  # ``a`` and ``a/b`` exist
                    at[folder] = {"": at[folder]}
                at = at[folder]
            at[leaf] = value
        return nested

    def get_parameter(self, name: str, default: Any = None, cast: bool = False) -> Any:
        """One parameter, ``default`` when there is none; without a section ``General`` is meant."""
        values = self.get_parameters(cast=cast)
        return values.get(name, values.get(f"{connect.DEFAULT_SECTION}/{name}", default))

    def set_parameter(
        self, name: str, value: Any, description: str | None = None, value_type: Any = None
    ) -> None:
        """Set one parameter.

        Args:
            name: flat name; without a section it goes to ``General``.
            value: made text.
            description: help text; the one that stands unless said.
            value_type: a type or its name; the one that stands, if it fits, or that of ``value``
                unless said.
        """
        flat = _flat(name)
        members = parameters.as_record(value, description or "", self._stored().get(flat))
        if value_type is not None:
            members["type"] = getattr(value_type, "__name__", str(value_type))
        self._handle.put_parameters({flat: members})

    def update_parameters(self, *args: Given, **kwargs: Any) -> None:
        """Add and change parameters; nested dicts are flattened with ``/``.

        Args:
            args: dicts, or iterables of name and value.
            kwargs: name to value.
        """
        self._handle.put_parameters(self._records(args, kwargs))

    def set_parameters(self, *args: Given, **kwargs: Any) -> None:
        """Have exactly these parameters, given as for :meth:`update_parameters`."""
        self._handle.put_parameters(self._records(args, kwargs), replace=True)

    def set_parameters_as_dict(self, dictionary: Mapping[str, Any]) -> None:
        """As :meth:`update_parameters`, from ``{section: {name: value}}``."""
        self.update_parameters(dictionary)

    def delete_parameter(self, name: str, force: bool = False) -> bool:
        """Take a parameter away.

        Args:
            name: flat name; without a section ``General`` is meant.
            force: without effect: a draft and the task of this process can be edited, and no
                other.

        Returns:
            Whether it was there and is gone.
        """
        del force
        flat = _flat(name)
        if flat not in self._stored():
            return False
        try:
            self._handle.drop_parameter(flat)
        except NotEditable as exc:
            session.say(f"warning: parameter {flat} stays: {exc.message}")
            return False
        return True

    def _connect_parser(self, parser: Any, ignore: bool) -> None:
        if "ipykernel" in sys.modules:
            return  # the command line is the kernel's
        from dray.sdk.parameters import arguments

        arguments.bind(parser, self._target(), ignore=ignore)

    def _target(self) -> Target:
        attempt = self._attempt
        return attempt if attempt is not None else connect.Elsewhere(self._handle)

    def _stored(self) -> dict[str, dict[str, str]]:
        return self._data.get("parameters") or {}

    def _records(
        self, given: tuple[Given, ...], named: Mapping[str, Any]
    ) -> dict[str, dict[str, str]]:
        values: dict[str, Any] = {}
        for some in (*given, named):
            try:
                values.update(dict(cast("Any", some)))
            except (TypeError, ValueError) as exc:
                raise WrongType(
                    f"parameters are dicts or pairs of name and value, not {some!r}", field="args"
                ) from exc
        records: dict[str, dict[str, str]] = {}
        stored = self._stored()
        for name, value in values.items():
            # What is stored as one dict stays one.
            is_whole = _is_stored_dict(stored, name) or not isinstance(value, Mapping)
            pairs: list[tuple[str, Any]] = [(name, value)]
            for inner, leaf in pairs if is_whole else list(connect.flatten({name: value})):
                flat = _flat(inner)
                records[flat] = parameters.as_record(leaf, "", stored.get(flat))
        return records


def _is_stored_dict(stored: Mapping[str, Mapping[str, str]], name: object) -> bool:
    flat = name if "/" in str(name) else f"{connect.DEFAULT_SECTION}/{name}"
    return stored.get(str(flat), {}).get("type", "").startswith("dict")


def _flat(name: object) -> str:
    text = str(name)
    if not text or text.strip() != text:
        raise InvalidInput(f"{text!r} cannot be a parameter's name", field="name", value=text)
    return text if "/" in text else f"{connect.DEFAULT_SECTION}/{text}"
