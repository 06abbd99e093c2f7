"""``Task``: what users call. Two lines record a run, one more moves it to a cluster.

from dray import Task
task = Task.init(project_name="digits", task_name="baseline")
task.execute_remotely("gpu")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.sdk import argument_watch, session, task_start
from dray.sdk.handle import RunningHandle
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.task_parts import Parts, PartsBase

if TYPE_CHECKING:
    import os
    from typing import Any

    from dray.sdk.task_abort import TaskAbort
    from dray.sdk.task_before import TaskBefore
    from dray.sdk.task_configuration import TaskConfiguration
    from dray.sdk.task_iterations import TaskIterations
    from dray.sdk.task_labels import TaskLabels
    from dray.sdk.task_life import TaskLife
    from dray.sdk.task_models import TaskModels
    from dray.sdk.task_outputs import TaskOutputs
    from dray.sdk.task_parameters import TaskHyperparameters
    from dray.sdk.task_policy import TaskPolicy
    from dray.sdk.task_properties import TaskProperties
    from dray.sdk.task_requirements import TaskRequirements
    from dray.sdk.task_run import TaskRun

    Kind = type

    class Whole(
        TaskHyperparameters,
        TaskModels,
        TaskConfiguration,
        TaskProperties,
        TaskRequirements,
        TaskLabels,
        TaskOutputs,
        TaskIterations,
        TaskPolicy,
        TaskLife,
        TaskAbort,
        TaskRun,
        TaskBefore,
    ):
        """All parts, as type checkers see them."""
else:
    Kind, Whole = Parts, PartsBase

# Before ``Task.init``, so that a command line parsed above it is known to it.
argument_watch.watch()


class TaskTypes:
    """What a task may be for, as words; ``dray.TaskType`` has them as an enum."""

    training = "training"
    testing = "testing"
    inference = "inference"
    data_processing = "data_processing"
    application = "application"
    monitor = "monitor"
    controller = "controller"
    optimizer = "optimizer"
    service = "service"
    qc = "qc"
    custom = "custom"


class Task(Whole, metaclass=Kind):
    """A task: the one this process runs, or any other, looked at through the server.

    Get one from :meth:`init`, :meth:`create`, :meth:`get_task` or :meth:`clone`.
    """

    TaskTypes = TaskTypes

    @classmethod
    def init(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: str = "training",
        tags: str | Iterable[str] | None = None,
        reuse_last_task_id: bool | str = True,
        continue_last_task: bool | str | int = False,
        output_uri: str | os.PathLike[str] | bool | None = None,
        auto_connect_arg_parser: bool | Mapping[str, bool] = True,
        auto_connect_frameworks: bool | Mapping[str, Any] = True,
        auto_resource_monitoring: bool | Mapping[str, Any] | type = True,
        auto_connect_streams: bool | Mapping[str, bool] = True,
        deferred_init: bool = False,
    ) -> Task:
        """Record the run of this process as a task.

        Under an agent, and in processes this one starts, it joins the task that runs and names,
        type, tags and reuse do not matter. Without a server the run is recorded all the same, to
        be sent later; one that is silent for 3 seconds counts as none. A second call returns the
        same task. Code and packages are captured in a process beside this one.

        Args:
            project_name: full name, nested by ``/``; the repository's name unless said.
            task_name: the script's name unless said.
            task_type: what it is for, see ``Task.TaskTypes``.
            tags: to find it by.
            reuse_last_task_id: overwrite the last task of the same project, name and type if
                this machine began it within 72 hours (``DRAY_REUSE_WINDOW_H``), it was never in
                a queue, is not published or archived, left no artifacts or output models, and
                was not closed by this very process; or the id of a task. False, or
                ``DRAY_TASK_NO_REUSE=1``: always a new one.
            continue_last_task: go on with a failed or aborted task instead of beginning one:
                its outputs stay, its console goes on as a new attempt, and iterations count on
                from the last one reported. True: your last task of that project and name,
                however old, or the one that ``reuse_last_task_id`` names; a new task when there
                is none. Text: the task of that id. A number: as True, and add that number to
                iterations (0: count from 0 again). A completed task is final: clone or reset it.
            output_uri: where artifacts and models go: any URL that fsspec knows, such as
                ``s3://bucket/folder``, or a folder; True, False or nothing: the server's own
                store, or ``DRAY_DEFAULT_OUTPUT_URI``.
            auto_connect_arg_parser: record ``argparse`` arguments; a dict of argument name to
                bool picks some, ``"*"`` stands for the rest.
            auto_connect_frameworks: record what frameworks save, plot and log, as
                :mod:`dray.sdk.hooks` says; a dict picks some.
            auto_resource_monitoring: sample the machine, every few seconds and from another
                process; ``{"report_frequency_sec": 30}`` says how often, False switches it off.
            auto_connect_streams: keep ``stdout`` and ``stderr``; a dict picks one.
            deferred_init: leave the server to the process beside this one, as
                ``DRAY_DEFERRED_TASK_INIT=1`` does: nothing waits for an answer, and no earlier
                task is reused. A task to continue is asked for all the same.

        Raises:
            InvalidInput: a value that cannot be used.
            UsageError: another task is running here.
            IllegalTransition: the task to continue is pending, running, completed or published.
            ServerUnreachable: there is a task to continue, and no server to say how far it came.
            Unauthorized: the server does not know the token.
        """
        options = task_start.Options(
            tags=tags,
            reuse_last_task_id=reuse_last_task_id,
            continue_last_task=continue_last_task,
            output_uri=output_uri,
            auto_connect_arg_parser=auto_connect_arg_parser,
            auto_connect_frameworks=auto_connect_frameworks,
            auto_resource_monitoring=auto_resource_monitoring,
            auto_connect_streams=auto_connect_streams,
            deferred_init=deferred_init,
        )
        attempt = task_start.start(project_name, task_name, str(task_type), options)
        attempt.keeps_models = bool(output_uri)
        return cls(RunningHandle(attempt))

    @classmethod
    def current_task(cls) -> Task | None:
        """The task of this process or of the one that started it; None when there is none."""
        attempt = task_start.current()
        return None if attempt is None else cls(RunningHandle(attempt))

    @classmethod
    def create(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: str = "training",
        repo: str | None = None,
        branch: str | None = None,
        commit: str | None = None,
        script: str | None = None,
        working_directory: str | None = None,
        module: str | None = None,
        packages: bool | str | Iterable[str] | None = None,
        requirements_file: str | None = None,
        argparse_args: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        base_task_id: str | None = None,
        add_task_init_call: bool = True,
    ) -> Task:
        """A draft, without running anything.

        Args:
            project_name: full name; the repository's unless said.
            task_name: the script's name unless said.
            task_type: what it is for.
            repo: URL of a git repository to run from; without it, the code here is sent.
            branch: of ``repo``.
            commit: of ``repo``; its branch's head unless said.
            script: to run; relative to ``working_directory``.
            working_directory: to run in; relative to the repository with ``repo``.
            module: to run instead of a script, as ``python -m`` does.
            packages: requirement lines; unless said, what the script imports; ``False`` or
                empty for none.
            requirements_file: whose lines to install.
            argparse_args: command-line arguments by name.
            base_task_id: begin with a copy of that task.
            add_task_init_call: the script does not call ``Task.init``, so that is done for it.

        Raises:
            InvalidInput: no script, or one that is not there.
            ServerUnreachable: a draft lives at the server.
        """
        from dray.sdk import task_create

        draft = task_create.Draft(
            project=project_name,
            name=task_name,
            type=str(task_type),
            repo=repo or "",
            branch=branch or "",
            commit=commit or "",
            script=script,
            working_directory=working_directory,
            module=module,
            packages=packages,
            requirements_file=requirements_file,
            arguments=_pairs(argparse_args),
            base_task_id=base_task_id,
            bootstrap=add_task_init_call,
        )
        return cls(task_create.create(draft))

    @classmethod
    def get_task(
        cls,
        task_id: str | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: str | Iterable[str] | None = None,
    ) -> Task | None:
        """A task by id, or the newest of a name; None when no task has the name.

        Args:
            task_id: id or unique prefix.
            project_name: full name of its project.
            task_name: its whole name.
            tags: it has one of these.

        Raises:
            NotFound: no task has the id.
            AmbiguousId: several do.
            InvalidInput: neither id nor name was given.
        """
        from dray.sdk import task_find

        attempt = session.current()
        if attempt is not None and task_id == attempt.task_id:
            return cls(RunningHandle(attempt))
        if task_id:
            return cls(task_find.by_id(task_id))
        found = task_find.by_name(project_name, task_name, tags)
        return None if found is None else cls(found)

    @classmethod
    def get_tasks(
        cls,
        task_ids: Iterable[str] | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: str | Iterable[str] | None = None,
        task_filter: Mapping[str, Any] | None = None,
    ) -> list[Task]:
        """Every task that fits, newest first.

        Args:
            task_ids: these and no others.
            project_name: with its sub-projects.
            task_name: a part of the name.
            tags: they have one of these.
            task_filter: ``status``, ``type``, ``parent``, ``queue``, ``search_text``,
                ``order_by``.
        """
        from dray.sdk import task_find

        found = task_find.many(task_ids, project_name, task_name, tags, task_filter)
        return [cls(handle) for handle in found]

    @classmethod
    def query_tasks(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: str | Iterable[str] | None = None,
        task_filter: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Ids of every task that fits; takes what :meth:`get_tasks` takes."""
        from dray.sdk import task_find

        found = task_find.many(None, project_name, task_name, tags, task_filter)
        return [str(handle.data["id"]) for handle in found]

    @classmethod
    def clone(
        cls,
        source_task: Task | str,
        name: str | None = None,
        comment: str | None = None,
        parent: str | None = None,
        project: str | None = None,
    ) -> Task:
        """A draft with the code and parameters of a task, without its outputs.

        Args:
            source_task: the task or its id.
            name: ``Clone of …`` unless said.
            comment: of the source unless said.
            parent: id; the source's own parent, else the source, unless said.
            project: of the source unless said.
        """
        from dray.sdk import task_find

        changes = {"name": name, "comment": comment, "parent_id": parent, "project": project}
        given = {key: value for key, value in changes.items() if value is not None}
        return cls(task_find.clone(_id_of(source_task), given))

    @classmethod
    def enqueue(
        cls, task: Task | str, queue_name: str | None = None, priority: int | None = None
    ) -> Task:
        """Put a draft, failed or aborted task in a queue (``default`` unless said).

        Raises:
            NotFound: no such queue.
            IllegalTransition: the task's state does not allow it.
        """
        from dray.sdk import task_find

        return cls(task_find.enqueue(_id_of(task), queue_name, priority))

    @classmethod
    def dequeue(cls, task: Task | str) -> Task:
        """Take a pending task out of its queue; it is a draft again."""
        from dray.sdk import task_find

        return cls(task_find.dequeue(_id_of(task)))


def _pairs(given: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
    pairs: Any = given or ()  # Any: ``dict`` takes both, its types say so of neither union
    return dict(pairs)


def _id_of(task: Task | str) -> str:
    return task if isinstance(task, str) else task.id
