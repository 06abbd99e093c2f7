"""The part of ``Task`` about configurations kept as whole texts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.parameters import connect_configuration as configurations
from dray.sdk.parameters.connect import Elsewhere
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")


class TaskConfiguration(TaskBase):
    """Configuration objects by name."""

    def connect_configuration(
        self,
        configuration: T,
        name: str | None = None,
        description: str | None = None,
        ignore_remote_overrides: bool = False,
    ) -> T:
        """Bind a configuration: a dict, a list, or the path of a text file.

        Under an agent the stored one wins: a dict or list is changed in place, and for a path
        the path of a file with the stored text is returned.

        Args:
            configuration: the script's own.
            name: of the configuration; ``General`` unless said.
            description: help text.
            ignore_remote_overrides: use the script's own under an agent too. Stored as hidden
                parameter, which a clone can have turned off.

        Returns:
            What to use from now on, of the type given. Changes of a dict are stored.

        Raises:
            InvalidInput: the file cannot be read.
            WrongType: it is neither dict, list nor path.
        """
        attempt = self._attempt
        return configurations.connect(
            attempt if attempt is not None else Elsewhere(self._handle),
            configuration,
            name or configurations.DEFAULT,
            self._handle.put_configuration,
            description=description or "",
            ignore=ignore_remote_overrides,
            folder=os.path.join(self._handle.spool, "configuration"),
        )

    def get_configuration_object(self, name: str) -> str | None:
        """Text of a configuration object; None when there is none by that name."""
        return self.get_configuration_objects().get(name)

    def get_configuration_object_as_dict(self, name: str) -> dict[str, Any] | list[Any] | None:
        """A configuration object as what its text stands for; None when there is none.

        Raises:
            ValueError: the text is neither a dict nor a list.
        """
        text = self.get_configuration_object(name)
        return configurations.parsed(text) if text else None

    def get_configuration_objects(self) -> dict[str, str]:
        """Every configuration object's text by name."""
        stored: dict[str, dict[str, str]] = self._data.get("configuration") or {}
        return {name: members["text"] for name, members in stored.items()}

    def set_configuration_object(
        self,
        name: str,
        config_text: str | None = None,
        description: str | None = None,
        config_type: str | None = None,
        config_dict: Mapping[str, Any] | list[Any] | None = None,
    ) -> None:
        """Store a configuration, as text or as a dict.

        Args:
            name: of the configuration.
            config_text: any text.
            description: help text.
            config_type: what the text is, such as ``yaml``.
            config_dict: a dict or list, instead of a text.

        Raises:
            UsageError: both text and dict are given, or neither.
        """
        members = configurations.members_of_either(
            config_text, config_dict, description, config_type
        )
        self._handle.put_configuration(name, members)

    def set_model_config(
        self, config_text: str | None = None, config_dict: Mapping[str, Any] | None = None
    ) -> None:
        """The configuration ``General``; :meth:`set_configuration_object` takes any name."""
        self.set_configuration_object(
            configurations.DEFAULT, config_text=config_text, config_dict=config_dict
        )

    def get_model_config_text(self) -> str:
        """Text of the configuration ``General``; empty when there is none."""
        return self.get_configuration_object(configurations.DEFAULT) or ""

    def get_model_config_dict(self) -> dict[str, Any]:
        """The configuration ``General`` as a dict; empty when there is none."""
        found = self.get_configuration_object_as_dict(configurations.DEFAULT)
        return found if isinstance(found, dict) else {}
