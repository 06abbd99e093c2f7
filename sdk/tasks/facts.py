"""The part of ``Task`` of small facts that scripts ask for: addresses, folders, classes."""

from __future__ import annotations

import os

from dray.runtime.errors import InvalidInput
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.artifacts import TaskArtifacts
from dray.sdk.tasks.base import TaskBase
from dray.sdk.tasks.models import TaskModels

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


class TaskFacts(TaskModels, TaskArtifacts):
    """What a task's other members say, said another way."""

    @property
    def cache_dir(self) -> Path:
        """A folder of this machine for files of the task that may be lost; not made here."""
        from dray.runtime import config

        return config.load().settings.cache / "tasks" / self.id

    @property
    def storage_uri(self) -> str | None:
        """The same as :attr:`output_uri`."""
        return self.output_uri

    @storage_uri.setter
    def storage_uri(self, value: str | bool | os.PathLike[str] | None) -> None:
        self.output_uri = value

    def get_output_destination(self, extra_path: str | None = None, **kwargs: Any) -> str | None:
        """Where artifacts and models of the task go; None: the server's own store.

        Args:
            extra_path: added behind it.
            kwargs: without effect: nothing can go wrong here.
        """
        del kwargs
        uri = self.output_uri
        return f"{uri.rstrip('/')}/{extra_path.lstrip('/')}" if uri and extra_path else uri

    @classmethod
    def get_task_output_log_web_page(
        cls, task_id: str, project_id: str | None = None, app_server_host: str | None = None
    ) -> str:
        """Address of a task's page.

        Args:
            task_id: its id.
            project_id: without effect: the page's address has no project in it.
            app_server_host: address of the server; the one in use unless said.
        """
        del project_id
        if app_server_host is None:
            from dray.sdk.tasks.find import client

            app_server_host = client().url
        return f"{app_server_host.rstrip('/')}/#/tasks/{task_id}"

    @classmethod
    def normalize_id(cls, id: str) -> str | None:
        """An id without the blanks around it; None for an empty one."""
        return id.strip() if id else None

    @classmethod
    def resolve_id(cls, obj: Any) -> Any:
        """The id of a task; anything else as it is."""
        return obj.id if isinstance(obj, TaskBase) else obj

    def get_num_of_classes(self) -> int:
        """One more than the highest number among the labels; 0 when there are none."""
        numbers = [int(number) for number in self.get_labels_enumeration().values()]
        if not numbers:
            return 0
        highest, n_positive = max(numbers), sum(number > 0 for number in numbers)
        if highest != n_positive:
            session.say(
                f"warning: the highest label is {highest}, while {n_positive} labels are above 0"
            )
        return highest + 1

    def get_label_num_description(self) -> dict[int, str]:
        """Name of each class by its number.

        Raises:
            InvalidInput: two names have one number.
        """
        names: dict[int, str] = {}
        for name, number in self.get_labels_enumeration().items():
            if int(number) in names:
                raise InvalidInput(
                    f"labels {names[int(number)]!r} and {name!r} are both {number}",
                    field="labels",
                )
            names[int(number)] = name
        return dict(sorted(names.items()))

    def update_model_desc(self, new_model_desc_file: str | os.PathLike[str] | None = None) -> None:
        """Take the description of the network from a file; see :meth:`set_model_config`.

        Raises:
            InvalidInput: there is no such file, or it cannot be read as text.
        """
        try:
            with open(new_model_desc_file or "", encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError) as exc:
            raise InvalidInput(
                f"new_model_desc_file {str(new_model_desc_file)!r} cannot be read: {exc}",
                field="new_model_desc_file",
            ) from exc
        self.set_model_config(config_text=text)
