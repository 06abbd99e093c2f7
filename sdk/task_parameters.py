"""The part of ``Task`` about parameters, configuration, user properties and packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput
from dray.sdk import connect, parameters
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.session import Session
from dray.sdk.task_base import TaskBase

if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")


class TaskParameters(TaskBase):
    """Parameters by their flat name ``Section/name``."""

    def connect(self, mutable: T, name: str | None = None) -> T:
        """Bind hyperparameters of the script to the task.

        Started by hand, the values are stored. Under an agent stored values are put into
        ``mutable``, cast to the types it has.

        Args:
            mutable: a dict (use the one that is returned: setting its keys stores them), a
                dataclass instance, an object or class with attributes, an
                ``argparse.ArgumentParser``, or the namespace one returned.
            name: section; ``General`` unless said, ``Args`` for command lines.

        Raises:
            InvalidInput: this is not the task of this process, or nothing can be bound.
        """
        attempt = self._own("connect")
        if connect.is_namespace(mutable):
            return cast("T", connect.connect(attempt, mutable, name or "Args"))
        if hasattr(mutable, "parse_known_args"):
            from dray.sdk import arguments

            arguments.bind(cast("Any", mutable))
            return mutable
        section = name or connect.DEFAULT_SECTION
        return cast("T", connect.connect(attempt, mutable, section))

    def connect_configuration(
        self, configuration: T, name: str | None = None, description: str = ""
    ) -> T:
        """Bind a configuration: a dict, a list, or the path of a text file.

        Under an agent the stored one wins: a dict or list is changed in place, and for a path
        the path of a file with the stored text is returned.
        """
        attempt = self._own("connect_configuration")
        bound = connect.configuration(attempt, configuration, name)
        if description:
            key = name or connect.DEFAULT_CONFIGURATION
            members = {**self._data["configuration"][key], "description": description}
            self._handle.put_configuration(key, members)
        return cast("T", bound)

    def get_configuration_object(self, name: str) -> str | None:
        """Text of a configuration object; None when there is none by that name."""
        stored: dict[str, dict[str, str]] = self._data.get("configuration") or {}
        return stored[name]["text"] if name in stored else None

    def set_configuration_object(
        self, name: str, config_text: str = "", description: str = "", config_type: str = ""
    ) -> None:
        """Store a configuration text."""
        members = {"text": config_text, "type": config_type, "description": description}
        self._handle.put_configuration(name, members)

    def get_parameters(self, cast: bool = False) -> dict[str, Any]:
        """Every parameter by flat name, as text; with ``cast`` as values of their types."""
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
        self, name: str, value: Any, description: str = "", value_type: Any = None
    ) -> None:
        """Set one parameter.

        Args:
            name: flat name; without a section it goes to ``General``.
            value: made text.
            description: help text.
            value_type: a type or its name, when it is not that of ``value``.
        """
        members = parameters.as_record(value, description)
        if value_type is not None:
            members["type"] = getattr(value_type, "__name__", str(value_type))
        self._handle.put_parameters({_flat(name): members})

    def update_parameters(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Add and change parameters; nested dicts are flattened with ``/``."""
        self._handle.put_parameters(self._records(args, kwargs))

    def set_parameters(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Have exactly these parameters; a running task can only add and change."""
        self._handle.put_parameters(self._records(args, kwargs), replace=True)

    def set_parameters_as_dict(self, dictionary: Mapping[str, Any]) -> None:
        """As :meth:`set_parameters`, from ``{section: {name: value}}``."""
        self.set_parameters(dictionary)

    def set_user_properties(
        self, *iterables: Mapping[str, Any] | Iterable[Mapping[str, Any]], **properties: Any
    ) -> bool:
        """Set properties; they can be edited in every state.

        Args:
            iterables: dicts of name to value, or lists of ``{"name": .., "value": ..}``.
            properties: name to value; a value may be ``{"value": ..}``.
        """
        values: dict[str, Any] = {}
        for given in iterables:
            values.update(_named_values(given))
        values.update(properties)
        texts: dict[str, str | None] = {}
        for name, value in values.items():
            inner = value["value"] if _is_described(value) else value
            texts[name] = parameters.to_text(inner)[0]
        self._handle.put_properties(texts)
        return True

    def get_user_properties(self, value_only: bool = True) -> dict[str, Any]:
        """Properties by name; with ``value_only=False`` as ``{"name": .., "value": ..}``."""
        stored: dict[str, str] = self._data.get("properties") or {}
        if value_only:
            return dict(stored)
        return {name: {"name": name, "value": value} for name, value in stored.items()}

    def delete_user_properties(self, *names: str) -> bool:
        """Remove properties."""
        self._handle.put_properties(dict.fromkeys(names))
        return True

    def set_packages(self, packages: str | Iterable[str]) -> None:
        """Have exactly these requirements, whatever was detected.

        Args:
            packages: requirement lines, or the path of a requirements file; empty for none.
        """
        from dray.sdk.capture_packages import lines_of

        self._handle.put_execution({"packages": lines_of(packages)})

    def get_requirements(self) -> list[str]:
        """Requirement lines of the task."""
        execution: dict[str, Any] = self._data.get("execution") or {}
        return list(execution.get("packages") or [])

    def set_resources(
        self,
        cpus: float | None = None,
        gpus: float | None = None,
        memory_gib: float | None = None,
        custom: Mapping[str, float] | None = None,
    ) -> None:
        """What the machine that runs the task must have; what is not given stays as it is.

        Args:
            cpus: logical CPUs.
            gpus: GPUs; a fraction below 1 shares one.
            memory_gib: memory to reserve.
            custom: other resources of the cluster by name.
        """
        given: dict[str, Any] = {
            "cpus": None if cpus is None else float(cpus),
            "gpus": None if gpus is None else float(gpus),
            "memory_bytes": None if memory_gib is None else int(memory_gib * 2**30),
            "custom": None if custom is None else dict(custom),
        }
        execution: dict[str, Any] = self._data.get("execution") or {}
        wanted = {name: value for name, value in given.items() if value is not None}
        standing: dict[str, Any] = execution.get("resources") or {}
        self._handle.put_execution({"resources": {**standing, **wanted}})

    def _own(self, what: str) -> Session:
        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"{what} binds values of a running script; task {self.id[:8]} is not the one "
                "running here. Edit a draft with set_parameters or update_parameters",
                field=what,
            )
        return attempt

    def _stored(self) -> dict[str, dict[str, str]]:
        return self._data.get("parameters") or {}

    def _records(
        self, dictionaries: tuple[Mapping[str, Any], ...], named: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = {}
        for given in (*dictionaries, named):
            for name, value in connect.flatten(given):
                flat = _flat(name)
                known = self._stored().get(flat, {})
                records[flat] = parameters.as_record(value, known.get("description", ""))
        return records


def _flat(name: str) -> str:
    if not name or name.strip() != name:
        raise InvalidInput(f"{name!r} cannot be a parameter's name", field="name", value=name)
    return name if "/" in name else f"{connect.DEFAULT_SECTION}/{name}"


def _named_values(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(cast("Mapping[str, Any]", given))
    return {str(item["name"]): item["value"] for item in given}


def _is_described(value: object) -> bool:
    return isinstance(value, Mapping) and "value" in value
