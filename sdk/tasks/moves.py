"""The part of ``Task`` that makes other tasks and moves them in and out of queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import UsageError, WrongType
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks import start as task_start
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    import os
    from typing import Any

    from typing_extensions import Self

    from dray.sdk.tasks.records import Record


class TaskMoves(TaskBase):
    """Drafts, clones and queues."""

    @classmethod
    def create(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: str | None = None,
        repo: str | None = None,
        branch: str | None = None,
        commit: str | None = None,
        script: str | os.PathLike[str] | None = None,
        working_directory: str | os.PathLike[str] | None = None,
        packages: bool | str | Iterable[str] | None = None,
        requirements_file: str | os.PathLike[str] | None = None,
        docker: str | None = None,
        docker_args: str | None = None,
        docker_bash_setup_script: str | None = None,
        argparse_args: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        base_task_id: str | None = None,
        add_task_init_call: bool = True,
        force_single_script_file: bool = False,
        binary: str | None = None,
        module: str | None = None,
        detect_repository: bool = True,
    ) -> Self:
        """A draft, without running anything.

        Args:
            project_name: full name; that of the running task, else the repository's, unless said.
            task_name: the script's name unless said.
            task_type: what it is for, see ``Task.TaskTypes``; ``training`` unless said.
            repo: URL of a git repository, or a folder here, to run from: of a checkout what git
                does not ignore is sent, of another folder all of it; without it, the code around
                ``script`` is sent. :meth:`list_code` shows which files.
            branch: of a ``repo`` that is a URL.
            commit: of a ``repo`` that is a URL; its branch's head unless said.
            script: to run; relative to ``working_directory``. A notebook runs without a kernel,
                what ends in ``.sh`` is run by ``/bin/bash``, an executable file by itself.
            working_directory: to run in; relative to the repository with ``repo``.
            packages: requirement lines; unless said, what the script imports; ``False`` or
                empty for none.
            requirements_file: whose lines to install.
            docker: image of the container to run in; see :meth:`set_base_docker`.
            docker_args: arguments for the container.
            docker_bash_setup_script: shell lines to run in it first.
            argparse_args: command-line arguments by name.
            base_task_id: begin with a copy of that task.
            add_task_init_call: the script does not call ``Task.init``, so that is done for it.
            force_single_script_file: send the script alone, whatever it imports beside it.
            binary: what runs it: ``python3.11``, or another program such as ``/bin/bash``; without
                script and module, a program of the node to run alone.
            module: to run instead of a script, as ``python -m`` does; its arguments may follow.
            detect_repository: False: take no notice of a git repository around the script.

        Without script, module and base it is an empty draft, to be filled in later.

        Raises:
            InvalidInput: a script that is not there, or ``repo`` without one.
            UsageError: script and module, or the process records offline.
            ServerUnreachable: a draft lives at the server.
        """
        from dray.sdk.tasks import create as task_create

        if script and module:
            raise UsageError("give script or module, not both", field="module")
        attempt = session.current()
        if project_name is None and attempt is not None:
            project_name = str(attempt.task.get("project") or "") or None
        draft = task_create.Draft(
            project=project_name,
            name=task_name,
            type=None if task_type is None else str(task_type),
            repo=repo or "",
            branch=branch or "",
            commit=commit or "",
            script=None if script is None else str(script),
            working_directory=None if working_directory is None else str(working_directory),
            module=module,
            packages=packages,
            requirements_file=None if requirements_file is None else str(requirements_file),
            arguments=_pairs(argparse_args),
            base_task_id=base_task_id,
            bootstrap=add_task_init_call,
            docker=docker,
            docker_args=docker_args,
            docker_setup=docker_bash_setup_script,
            only_script=force_single_script_file,
            binary=binary or "",
            in_repository=detect_repository,
        )
        return cls(task_create.create(draft))

    @classmethod
    def clone(
        cls,
        source_task: TaskBase | str | None = None,
        name: str | None = None,
        comment: str | None = None,
        parent: TaskBase | str | None = None,
        project: str | None = None,
        packages: str = "requested",
    ) -> Self:
        """A draft with the code and parameters of a task, without its outputs.

        Args:
            source_task: the task or its id.
            name: ``Clone of …`` unless said.
            comment: of the source unless said.
            parent: a task or its id; the source's own parent, else the source, unless said.
            project: id or full name; of the source unless said.
            packages: ``requested``: those its source asks for; ``resolved``: exactly those that
                an agent installed for its source, with the same Python.

        Raises:
            InvalidInput: no agent has prepared the source, so nothing is resolved.
            WrongType: no task and no id.
            UnknownTask: no task has the id.
        """
        from dray.sdk.tasks import find as task_find

        changes = {
            "name": name,
            "comment": comment,
            "parent_id": None if parent is None else _id_of(parent, "parent"),
            "project": project,
            "packages": None if packages == "requested" else packages,
        }
        given = {key: value for key, value in changes.items() if value is not None}
        source_id = _id_of(source_task, "source_task")
        run = task_start.current_run()
        if run is not None and run.attempt.task_id == source_id and not run.attempt.is_remote:
            from dray.sdk.runs import hand_over

            return cls(task_find.by_id(hand_over.clone(run, given.pop("name", ""), **given)))
        return cls(task_find.clone(source_id, given))

    @classmethod
    def enqueue(
        cls,
        task: TaskBase | str,
        queue_name: str | None = None,
        queue_id: str | None = None,
        force: bool = False,
        priority: int | None = None,
    ) -> Record:
        """Put a draft, failed or aborted task in a queue.

        Args:
            task: the task or its id.
            queue_name: its name; ``default`` when neither name nor id is given.
            queue_id: its id, instead.
            force: reset the task first, where its state does not allow to enqueue it.
            priority: to wait with; higher is sooner.

        Returns:
            ``queued`` and ``updated`` (1), ``fields`` (``status``, ``execution.queue`` …), and
            ``task``, the JSON of the task as it is now.

        Raises:
            UnknownQueue: (a ``NotFound`` and a ``ValueError``) those there are, are listed.
            IllegalTransition: the task's state does not allow it, without ``force``.
            UsageError: name and id of a queue.
        """
        from dray.sdk.tasks import queue as task_queue

        place = task_queue.Place(queue_name, queue_id, priority)
        return task_queue.enqueue(_id_of(task, "task"), place, force=force)

    @classmethod
    def dequeue(cls, task: TaskBase | str) -> Record:
        """Take a pending task out of its queue; it is a draft again.

        Returns:
            ``dequeued`` and ``updated`` (1), ``fields``, and ``task``, as of :meth:`enqueue`.

        Raises:
            IllegalTransition: it does not wait in a queue.
        """
        from dray.sdk.tasks import queue as task_queue

        return task_queue.dequeue(_id_of(task, "task"))

    @classmethod
    def import_task(
        cls,
        task_data: dict[str, Any],
        target_task: TaskBase | str | None = None,
        update: bool = False,
    ) -> Self:
        """A draft made of what :meth:`export_task` returned, or a draft made like it.

        Args:
            task_data: the document.
            target_task: a draft (or its id) to change instead of making one; it keeps its id and
                its project.
            update: what the document does not name stays as it is in ``target_task``.

        Raises:
            WrongType: ``task_data`` is no dict, or ``target_task`` no task.
            InvalidInput: the document names no project.
            NotEditable: ``target_task`` is no draft.
        """
        from dray.sdk.tasks import find as task_find
        from dray.sdk.tasks import importing as task_import

        if target_task is None:
            return cls(task_import.new(task_data))
        target = cls(task_find.by_id(_id_of(target_task, "target_task")))
        task_import.into(target, task_data, update=update)
        return target


def _pairs(given: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
    pairs: Any = given or ()  # Any: ``dict`` takes both, its types say so of neither union
    try:
        return dict(pairs)
    except (TypeError, ValueError) as exc:
        raise WrongType(
            f"argparse_args {given!r} is no list of (name, value)", field="argparse_args"
        ) from exc


def _id_of(task: object, argument: str) -> str:
    if isinstance(task, TaskBase):
        return task.id
    if not isinstance(task, str) or not task:
        raise WrongType(f"{argument} {task!r} is neither a task nor its id", field=argument)
    return task
