"""``Task``: what users call. Two lines record a run, one more moves it to a cluster.

from dray import Task
task = Task.init(project_name="digits", task_name="baseline")
task.execute_remotely("gpu")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.parameters import argument_watch
from dray.sdk.tasks import start as task_start
from dray.sdk.tasks.handle import RunningHandle
from dray.sdk.tasks.parts import Parts, PartsBase
from dray.sdk.tasks.word_sets import TaskTypes

if TYPE_CHECKING:
    import os
    from typing import Any

    from dray.sdk.tasks.abort import TaskAbort
    from dray.sdk.tasks.before import TaskBefore
    from dray.sdk.tasks.code import TaskCode
    from dray.sdk.tasks.configuration import TaskConfiguration
    from dray.sdk.tasks.facts import TaskFacts
    from dray.sdk.tasks.found import TaskFound
    from dray.sdk.tasks.iterations import TaskIterations
    from dray.sdk.tasks.labels import TaskLabels
    from dray.sdk.tasks.life import TaskLife
    from dray.sdk.tasks.models import TaskModels
    from dray.sdk.tasks.moves import TaskMoves
    from dray.sdk.tasks.outputs import TaskOutputs
    from dray.sdk.tasks.parameters import TaskHyperparameters
    from dray.sdk.tasks.policy import TaskPolicy
    from dray.sdk.tasks.properties import TaskProperties
    from dray.sdk.tasks.requirements import TaskRequirements
    from dray.sdk.tasks.run import TaskRun
    from dray.sdk.tasks.surroundings import TaskSurroundings

    Kind = type

    class Whole(
        TaskHyperparameters,
        TaskFacts,
        TaskModels,
        TaskConfiguration,
        TaskProperties,
        TaskRequirements,
        TaskSurroundings,
        TaskLabels,
        TaskCode,
        TaskFound,
        TaskMoves,
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
        task_type: str | None = "training",
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
        be sent later; one that is silent for 5 seconds counts as none. A second call returns the
        same task. Code and packages are captured in a process beside this one.

        Args:
            project_name: full name, nested by ``/``; the repository's name unless said.
            task_name: the script's name unless said.
            task_type: what it is for, see ``Task.TaskTypes``; None is ``training``.
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
            auto_connect_streams: keep ``stdout`` and ``stderr``; a dict names those that
                are kept, ``logging`` among them: what it says and no kept stream shows.
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
        attempt = task_start.start(project_name, task_name, str(task_type or "training"), options)
        attempt.keeps_models = bool(output_uri)
        return cls(RunningHandle(attempt))

    @classmethod
    def current_task(cls) -> Task | None:
        """The task of this process or of the one that started it; None when there is none."""
        attempt = task_start.current()
        return None if attempt is None else cls(RunningHandle(attempt))
