"""The part of ``Task`` that people sort and find by: names, tags, comment, progress."""

from __future__ import annotations

from collections.abc import Iterable

from dray.runtime.errors import InvalidInput
from dray.sdk.light import cast
from dray.sdk.task_base import TaskBase


class TaskLabels(TaskBase):
    """Editable in every state."""

    def set_name(self, name: str) -> None:
        """Rename the task."""
        self._handle.put_label(name=name)

    def rename(self, new_name: str) -> bool:
        """Rename the task."""
        self.set_name(new_name)
        return True

    def set_project(self, project_name: str) -> None:
        """Move it to another project, which is made when it is not there."""
        self._handle.put_label(project=project_name)

    def move_to_project(self, new_project_name: str) -> bool:
        """The same as :meth:`set_project`."""
        self.set_project(new_project_name)
        return True

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

    @property
    def comment(self) -> str:
        """What somebody wrote about it."""
        return str(self._data.get("comment") or "")

    @comment.setter
    def comment(self, text: str) -> None:
        self._handle.put_comment(text)

    def set_comment(self, comment: str) -> None:
        """Replace the comment."""
        self._handle.put_comment(comment)

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


def tag_list(tags: str | Iterable[str]) -> list[str]:
    """``tags`` as a list without repetitions; text is split at spaces."""
    return list(dict.fromkeys(tags.split() if isinstance(tags, str) else tags))
