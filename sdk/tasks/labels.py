"""The part of ``Task`` that people sort and find by: names, tags, comment, parent, progress."""

from __future__ import annotations

from collections.abc import Iterable

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.tasks.base import TaskBase
from dray.sdk.tasks.word_sets import TaskTypes

if TYPE_CHECKING:
    from dray.sdk.tasks.records import Record

#: System tag of tasks that were put away.
ARCHIVED = "archived"


class TaskLabels(TaskBase):
    """Names, tags and comment are editable in every state, type and parent until its end."""

    archived_tag = ARCHIVED

    def set_name(self, name: str) -> None:
        """Rename the task."""
        self._handle.put_label(name=str(name))

    def rename(self, new_name: str) -> bool:
        """Rename the task; True."""
        self.set_name(new_name)
        return True

    def set_project(
        self, project_id: str | None = None, project_name: str | None = None
    ) -> bool | None:
        """Move it to another project, which is made when it is not there.

        Nothing happens in the run of an agent.

        Args:
            project_id: id of a project, or its full name; wins over ``project_name``.
            project_name: full name, nested by ``/``.

        Raises:
            InvalidInput: neither was given.
        """
        if self._is_run_of_agent():
            return None
        wanted = project_id or project_name
        if not wanted:
            raise InvalidInput("give project_id or project_name", field="project_name")
        self._handle.put_label(project=wanted)
        return None

    def move_to_project(
        self,
        new_project_id: str | None = None,
        new_project_name: str | None = None,
        system_tags: Iterable[str] | None = None,
    ) -> bool:
        """Move it to another project, which is made when it is not there; True.

        Args:
            new_project_id: id of a project, or its full name.
            new_project_name: full name, nested by ``/``.
            system_tags: refused: projects have no tags here.

        Raises:
            InvalidInput: no project was given, or system tags were.
        """
        if system_tags:
            raise InvalidInput("projects have no system tags; leave them out", field="system_tags")
        wanted = new_project_id or new_project_name
        if not wanted:
            raise InvalidInput("give new_project_id or new_project_name", field="new_project_name")
        self._handle.put_label(project=wanted)
        return True

    def get_project_object(self) -> Record | None:
        """Its project: ``id``, ``name``, ``description``, ``created``, ``n_tasks`` and more."""
        from dray.sdk.tasks.find import project_record

        client = self._handle.client()
        return project_record(client.get_project(self.project))

    def get_tags(self) -> list[str]:
        """Its tags, in the order they were added."""
        return list(cast("list[str]", self._data.get("tags") or []))

    def set_tags(self, tags: str | Iterable[str]) -> None:
        """Have exactly these tags."""
        self._handle.put_tags(tag_list(tags))

    def add_tags(self, tags: str | Iterable[str]) -> None:
        """Add tags; text is split at spaces."""
        self._handle.put_tags(list(dict.fromkeys([*self.get_tags(), *tag_list(tags)])))

    def remove_tags(self, tags: str | Iterable[str]) -> None:
        """Remove tags; those that are not there do not matter."""
        gone = tag_list(tags)
        self._handle.put_tags([tag for tag in self.get_tags() if tag not in gone])

    def get_system_tags(self) -> list[str]:
        """Tags that programs set, such as ``archived``."""
        return list(cast("list[str]", self._data.get("system_tags") or []))

    def set_system_tags(self, tags: str | Iterable[str]) -> None:
        """Have exactly these system tags."""
        self._handle.put_label(system_tags=tag_list(tags))

    def set_archived(self, archive: bool) -> None:
        """Put the task away, or take it out again: system tag ``archived``."""
        others = [tag for tag in self.get_system_tags() if tag != ARCHIVED]
        self._handle.put_label(system_tags=[*others, ARCHIVED] if archive else others)

    def get_archived(self) -> bool:
        """Whether it was put away."""
        return ARCHIVED in self.get_system_tags()

    def set_parent(self, parent: str | TaskBase | None) -> None:
        """Have another task as its parent.

        Args:
            parent: a task or its id; None: it has none.

        Raises:
            InvalidInput: the task itself, or no id.
            NotEditable: it has ended.
        """
        parent_id = parent.id if isinstance(parent, TaskBase) else parent or ""
        self._handle.put_label(parent_id=parent_id)

    def set_task_type(self, task_type: str) -> None:
        """Say what it is for, one of ``Task.TaskTypes``.

        Raises:
            InvalidInput: none of them.
            NotEditable: it has ended.
        """
        self._handle.put_label(type=str(TaskTypes(task_type)))

    @property
    def comment(self) -> str:
        """What somebody wrote about it."""
        return str(self._data.get("comment") or "")

    @comment.setter
    def comment(self, value: str) -> None:
        self._handle.put_comment(str(value))

    def set_comment(self, comment: str | None) -> None:
        """Replace the comment."""
        self._handle.put_comment(str(comment or ""))

    def set_progress(self, progress: float) -> None:
        """Say how far the run is, in percent.

        Raises:
            InvalidInput: not between 0 and 100, or not the running task.
        """
        if not 0 <= progress <= 100:
            raise InvalidInput(
                f"progress is in percent, 0 to 100; got {progress!r}", field="progress"
            )
        self._handle.put_progress(float(progress))

    def get_progress(self) -> float | None:
        """How far the run is, in percent; None when it never said."""
        return cast("float | None", self._data.get("progress"))

    def _is_run_of_agent(self) -> bool:
        """Whether this is the task of this process, and an agent runs it."""
        attempt = self._attempt
        return attempt is not None and attempt.is_remote


def tag_list(tags: str | Iterable[str]) -> list[str]:
    """``tags`` as a list without repetitions; text is split at spaces.

    Raises:
        WrongType: neither text nor texts.
    """
    try:
        given = tags.split() if isinstance(tags, str) else list(tags)
    except TypeError as exc:
        raise WrongType(f"tags {tags!r} are no list of texts", field="tags") from exc
    for tag in given:
        if not isinstance(cast("object", tag), str):
            raise WrongType(f"tag {tag!r} is no text", field="tags")
    return list(dict.fromkeys(given))
