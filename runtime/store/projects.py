"""Projects: folders of tasks, nested by the slashes in their names."""

from __future__ import annotations

import builtins
import sqlite3

from dray.runtime.clock import Clock
from dray.runtime.errors import Conflict, InvalidInput, NotFound
from dray.runtime.ids import is_id, new_id
from dray.runtime.models import Project
from dray.runtime.store import database
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

#: The sub-tree of a name is a range of names: '0' follows '/'.
_COLUMNS = """
p.*, (SELECT COUNT(*) FROM tasks t JOIN projects q ON q.id = t.project_id
      WHERE q.name = p.name OR (q.name >= p.name || '/' AND q.name < p.name || '0')) AS n_tasks
"""
_GET = f"SELECT {_COLUMNS} FROM projects p WHERE p.id = ? OR p.name = ?"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM projects p WHERE p.name > ? ORDER BY p.name LIMIT ?"  # noqa: S608
_ADD = """
INSERT OR IGNORE INTO projects (id, name, created_at, description) VALUES (?, ?, ?, '')
"""
_NAME = "SELECT name FROM projects WHERE id = ?"
_ID = "SELECT id FROM projects WHERE name = ?"
_SUBTREE = "SELECT id, name FROM projects WHERE name = ? OR (name >= ? AND name < ?)"
_RENAME = "UPDATE projects SET name = ? WHERE id = ?"
_DESCRIBE = "UPDATE projects SET description = ? WHERE id = ?"
_DELETE = "DELETE FROM projects WHERE id = ?"


def clean_name(name: str) -> str:
    """``name`` without empty parts and outer spaces.

    Raises:
        InvalidInput: nothing is left of it.
    """
    cleaned = "/".join(part.strip() for part in name.split("/") if part.strip())
    if not cleaned:
        raise InvalidInput(f"project {name!r} is empty; give it a name", field="project")
    return cleaned


def subtree(name: str) -> tuple[str, str, str]:
    """Parameters for ``name = ? OR (name >= ? AND name < ?)``: a project and all below it."""
    return name, f"{name}/", f"{name}0"


async def name_of(connection: Session, id_or_name: str) -> str:
    """The full name of the project with that id; a name as it is."""
    if is_id(id_or_name):
        row = await database.row(connection, _NAME, (id_or_name,))
        if row is not None:
            return str(row["name"])
    return clean_name(id_or_name)


async def ensure(connection: Session, name: str, now: float) -> str:
    """The id of a project by its full name; it and its parents are made when missing.

    The id of a project that is there is taken too.
    """
    cleaned = await name_of(connection, name)
    row = await database.row(connection, _ID, (cleaned,))
    if row is None:
        parts = cleaned.split("/")
        for i in range(1, len(parts) + 1):
            await connection.execute(_ADD, (new_id(), "/".join(parts[:i]), now))
        row = await database.row(connection, _ID, (cleaned,))
    if row is None:
        raise NotFound(f"project {cleaned!r} could not be made", project=cleaned)
    return str(row["id"])


class Projects:
    """The folders."""

    def __init__(self, state: Database, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def ensure(self, name: str) -> Project:
        """The project of that name, made with its parents when it is not there."""

        async def unit(connection: Session) -> str:
            return await ensure(connection, name, self._clock.now())

        return await self.get(await self._state.write(unit))

    async def get(self, id_or_name: str) -> Project:
        """One project by its id or its full name.

        Raises:
            NotFound: there is none.
        """
        row = await self._state.row(_GET, (id_or_name, id_or_name.strip("/")))
        if row is None:
            raise NotFound(f"there is no project {id_or_name!r}", project=id_or_name)
        return _project_of(row)

    async def list(self, after: str = "", limit: int = 1000) -> builtins.list[Project]:
        """Projects by name; ``after`` is the last name of the page before."""
        return [_project_of(row) for row in await self._state.rows(_LIST, (after, limit))]

    async def edit(
        self, id_or_name: str, *, name: str | None = None, description: str | None = None
    ) -> Project:
        """Rename a project together with everything below it, or describe it.

        Raises:
            Conflict: the new name is taken, or lies below the old one.
        """
        project = await self.get(id_or_name)

        async def unit(connection: Session) -> None:
            if description is not None:
                await connection.execute(_DESCRIBE, (description, project.id))
            if name is not None and clean_name(name) != project.name:
                await self._rename(connection, project.name, clean_name(name))

        await self._state.write(unit)
        return await self.get(project.id)

    async def _rename(self, connection: Session, old: str, new: str) -> None:
        taken = await database.row(connection, _ID, (new,))
        if taken is not None or new.startswith(f"{old}/"):
            raise Conflict(
                f"project {old!r} cannot become {new!r}: choose a free name", field="name"
            )
        if "/" in new:
            await ensure(connection, new.rpartition("/")[0], self._clock.now())
        for row in await database.rows(connection, _SUBTREE, subtree(old)):
            await connection.execute(_RENAME, (new + row["name"][len(old) :], row["id"]))

    async def delete(self, id_or_name: str) -> None:
        """Remove an empty project.

        Raises:
            Conflict: it has tasks or sub-projects.
        """
        project = await self.get(id_or_name)

        async def unit(connection: Session) -> None:
            n_below = len(await database.rows(connection, _SUBTREE, subtree(project.name))) - 1
            try:
                if n_below:
                    raise Conflict(
                        f"project {project.name!r} has {n_below} sub-projects; delete them first"
                    )
                await connection.execute(_DELETE, (project.id,))
            except sqlite3.IntegrityError as exc:
                raise Conflict(
                    f"project {project.name!r} has tasks or models; move or delete them first"
                ) from exc

        await self._state.write(unit)


def _project_of(row: sqlite3.Row) -> Project:
    return Project(
        id=row["id"],
        name=row["name"],
        created_at=row["created_at"],
        description=row["description"],
        n_tasks=row["n_tasks"],
    )
