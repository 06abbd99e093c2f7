"""The part of ``Task`` about what surrounds its process: who installs, variables, setup script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    import os
    from typing import Any


class TaskSurroundings(TaskBase):
    """Editable in a draft and in its own run by hand; nothing happens in the run of an agent."""

    def set_environment(
        self,
        manager: str | None = None,
        packages_from: str | None = None,
        python_version: str | None = None,
        index_urls: str | Iterable[str] | None = None,
        find_links: str | Iterable[str] | None = None,
        constraints: str | Iterable[str] | None = None,
        extras: str | Iterable[str] | None = None,
        groups: str | Iterable[str] | None = None,
        torch_backend: str | None = None,
    ) -> None:
        """Say how its packages are chosen and installed; what is None stays, what is empty goes.

        Args:
            manager: ``uv``, ``pip``, ``conda``, ``poetry``, or ``system``: the Python of its
                container as it is. Empty: what the queue, the agent or the code says.
            packages_from: ``lock``, ``task`` or ``repository``; empty: the first there is.
            python_version: ``3.11`` or ``3.11.7``; exactly that.
            index_urls: package indexes, the default one first. ``${NAME}`` in one stands for a
                secret of the node.
            find_links: pages and folders to look for packages on.
            constraints: requirement lines that limit what is installed without asking for it.
            extras: of the project that the code is.
            groups: dependency groups of that project.
            torch_backend: builds of PyTorch: ``cpu``, ``cu128``; empty: for the node's driver.

        Raises:
            NotEditable: it is no draft, and does not run here.
        """
        texts = {
            "environment_manager": manager,
            "packages_from": packages_from,
            "python_version": python_version,
            "torch_backend": torch_backend,
        }
        lists = {
            "index_urls": index_urls,
            "find_links": find_links,
            "constraints": constraints,
            "extras": extras,
            "groups": groups,
        }
        members: dict[str, Any] = {k: str(v) for k, v in texts.items() if v is not None}
        members.update({k: _listed(v) for k, v in lists.items() if v is not None})
        self._put_code(members)

    def set_variables(self, variables: Mapping[str, object]) -> None:
        """Environment variables of its process, in place of those set before.

        Args:
            variables: name → value; ``${NAME}`` in a value stands for a secret of the node, so
                that the task itself holds none.

        Raises:
            WrongType: no mapping.
            NotEditable: it is no draft, and does not run here.
        """
        try:
            pairs = {str(name): str(value) for name, value in variables.items()}
        except AttributeError as exc:
            kind = type(variables).__name__
            raise WrongType(
                f"variables is a {kind}; give a dict of names", field="variables"
            ) from exc
        self._put_code({"variables": pairs})

    def set_setup_script(self, script: str | os.PathLike[str] | Iterable[str] | None) -> None:
        """Shell lines to run before it, where it runs: in its container, or on the node.

        They run in its working directory. What they export counts for the task; the first of
        them that fails ends it.

        Args:
            script: the lines, or a path object of a file that has them; empty: none.

        Raises:
            InvalidInput: the file cannot be read.
            NotEditable: it is no draft, and does not run here.
        """
        import os

        text = "" if script is None else script
        if isinstance(text, os.PathLike):
            path = os.fspath(text)
            try:
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError) as exc:
                raise InvalidInput(
                    f"setup script {path} cannot be read: {exc}", field="script", value=path
                ) from exc
        elif not isinstance(text, str):
            text = "\n".join(text)
        self._put_code({"setup_script": text})

    def set_python_path(self, folders: str | Iterable[str]) -> None:
        """Folders of its code to import from besides the script's own, in place of those before.

        Args:
            folders: relative to the root of the code, such as ``src``; empty: none.

        Raises:
            NotEditable: it is no draft, and does not run here.
        """
        self._put_code({"python_path": _listed(folders)})

    def set_system_packages(self, names: str | Iterable[str]) -> None:
        """Debian packages to install before it; in containers only (see ``set_base_docker``).

        Args:
            names: such as ``libgl1``; empty: none.

        Raises:
            NotEditable: it is no draft, and does not run here.
        """
        self._put_code({"system_packages": _listed(names)})


def _listed(given: str | Iterable[str]) -> list[str]:
    lines = [given] if isinstance(given, str) else [str(line) for line in given]
    return [line for line in lines if line.strip()]
