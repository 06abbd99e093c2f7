"""The part of ``Task`` about which code it runs, in which container, and itself as a document."""

from __future__ import annotations

from collections.abc import Iterable

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any


class TaskCode(TaskBase):
    """Repository, script and container; editable in a draft and in its own run by hand."""

    def set_repo(
        self, repo: str | None = None, branch: str | None = None, commit: str | None = None
    ) -> None:
        """Run the code of a repository. Nothing happens in the run of an agent.

        Args:
            repo: URL of a git remote, or the folder of a checkout, which stands for its remote,
                branch and commit; empty: of none.
            branch: of a remote; ignored for a folder.
            commit: of a remote; ignored for a folder.

        Raises:
            InvalidInput: the folder is no git checkout, or has no remote.
            NotEditable: it is no draft, and does not run here.
        """
        from dray.sdk.capture.repositories import members_of

        self._put_code(members_of(repo, branch, commit))

    def set_script(
        self,
        repository: str | None = None,
        branch: str | None = None,
        commit: str | None = None,
        diff: str | None = None,
        working_dir: str | None = None,
        entry_point: str | None = None,
        binary: str | None = None,
    ) -> None:
        """Say what it runs; what is None stays, what is empty is cleared.

        Other code than a snapshot holds drops the snapshot. Nothing happens in the run of an
        agent.

        Args:
            repository: URL of a git remote.
            branch: branch or tag.
            commit: commit id.
            diff: changes against ``commit``, as git prints them.
            working_dir: to run in, relative to the root of the code.
            entry_point: script relative to ``working_dir``, or ``-m package.module``.
            binary: what runs it: ``python3.11``, or another program such as ``/bin/bash``.

        Raises:
            NotEditable: it is no draft, and does not run here.
        """
        from dray.sdk.tasks.export import binary_members

        given = {
            "repository": repository,
            "branch": branch,
            "commit": commit,
            "diff": diff,
            "working_dir": working_dir,
            "entry_point": entry_point,
        }
        members: dict[str, Any] = {k: str(v) for k, v in given.items() if v is not None}
        if binary is not None:
            members.update(binary_members(str(binary)))
        self._put_code(members)

    def get_script(self) -> dict[str, Any]:
        """What it runs: ``working_dir``, ``entry_point``, ``branch``, ``repository``."""
        execution = self.execution
        names = ("working_dir", "entry_point", "branch", "repository")
        return {name: execution.get(name) or "" for name in names}

    def set_base_docker(
        self,
        docker_cmd: str | None = None,
        docker_image: str | None = None,
        docker_arguments: str | Iterable[str] | None = None,
        docker_setup_bash_script: str | Iterable[str] | None = None,
    ) -> None:
        """Say which container it is to run in. Nothing happens in the run of an agent.

        Its agent's node needs Docker, Podman or Apptainer; what it installs is built inside, of
        the packages the task asks for.

        Args:
            docker_cmd: image and arguments in one text, as older programs say it.
            docker_image: such as ``nvidia/cuda:12.4.0-runtime-ubuntu22.04``; empty: the one of
                its queue or agent, else none.
            docker_arguments: as for ``docker run``, such as ``--ipc=host -e A=1``; what reaches out
                of the container, such as ``-v`` and ``--privileged``, its operator has to allow.
            docker_setup_bash_script: shell lines to run in it first; see also
                ``set_setup_script``, which needs no container.

        Raises:
            NotEditable: it is no draft, and does not run here.
        """
        self._put_code(
            {
                "container": container(
                    docker_cmd or docker_image, docker_arguments, docker_setup_bash_script
                )
            }
        )

    def get_base_docker(self) -> str | None:
        """Image and arguments of its container in one text; None when it has none."""
        execution: dict[str, Any] = self._data.get("execution") or {}
        found: dict[str, Any] = execution.get("container") or {}
        text = " ".join(filter(None, (found.get("image"), found.get("arguments"))))
        return text or None

    def export_task(self) -> dict[str, Any]:
        """The task as a dict that makes it again; JSON will hold it.

        Members are called as in ClearML: ``script``, ``hyperparams`` (section → name → value),
        ``configuration``, ``container``, ``tags`` …; what ClearML has no name for is under
        ``dray``. Results, artifacts and models it made are not in it.
        """
        from dray.sdk.tasks.export import exported
        from dray.sdk.tasks.handle import ServerHandle

        if isinstance(self._handle, ServerHandle):
            self.reload()
        return exported({**self._data, "execution": self.execution})

    def update_task(self, task_data: dict[str, Any]) -> bool:
        """Lay ``task_data`` (see :meth:`export_task`) over this draft, dict by dict; True.

        Raises:
            NotEditable: it is no draft.
            WrongType: it is no dict, or a member has another shape.
        """
        from dray.sdk.tasks import importing as task_import

        task_import.into(self, task_data, update=True)
        return True


def container(
    image: str | None,
    arguments: str | Iterable[str] | None = None,
    setup_script: str | Iterable[str] | None = None,
) -> dict[str, str]:
    """Members of a container; arguments after the image in one text are split off.

    Without an image they are for the one that the queue or the agent names.
    """
    name, _, rest = (image or "").strip().partition(" ")
    given = arguments if arguments else rest
    joined = given if isinstance(given, str) else " ".join(given)
    script = setup_script or ""
    lines = script if isinstance(script, str) else "\n".join(script)
    return {"image": name, "arguments": joined.strip(), "setup_script": lines}
