"""The part of ``Task`` about this process: moving its run to a queue, splitting it, closing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dray.runtime.errors import InvalidInput, UsageError
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks import start as task_start
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.runs.local_run import LocalRun
    from dray.sdk.task import Task


class TaskRun(TaskBase):
    """What only the process that runs a task can do with it."""

    def execute_remotely(
        self, queue_name: str | None = None, clone: bool = False, exit_process: bool = True
    ) -> Task | None:
        """Go on in a queue: this process ends here, an agent runs the script from its start.

        Nothing happens under an agent, where the script comes to this line again. Of a task that
        does not run here, the task (or its copy) is put in the queue and None is returned.

        Args:
            queue_name: where to go on; None leaves a draft in no queue, to be edited and enqueued.
            clone: send a copy and leave this run as it is; the copy is returned.
            exit_process: end this process when the run has moved.

        Raises:
            NotFound: no such queue; nothing was given up.
            InvalidInput: the task does not run here and no queue is named.
            ServerUnreachable: the run is recorded without a server, and goes on.
            TooLarge: the code is over the limit of a snapshot.
        """
        from dray.sdk.task import Task

        attempt = self._attempt
        if attempt is None:
            if not queue_name:
                raise InvalidInput(
                    f"task {self.id[:8]} does not run here, so execute_remotely only puts it in a "
                    "queue: give queue_name",
                    field="queue_name",
                )
            Task.enqueue(Task.clone(self.id) if clone else self.id, queue_name)
            return None
        if attempt.is_remote:
            return None
        run = _own_run("execute_remotely")
        from dray.sdk.runs import hand_over

        if clone:
            copy = hand_over.clone(run, queue=queue_name)
            if exit_process:
                raise SystemExit(0)
            return Task.get_task(copy)
        if queue_name:
            hand_over.hand_over(run, queue_name)
        else:
            hand_over.leave_draft(run)
        task_start.forget()
        if exit_process:
            raise SystemExit(0)
        return Task.get_task(self.id)

    @staticmethod
    def list_code(script: str | None = None, folder: str | None = None) -> list[dict[str, Any]]:
        """The files that ``execute_remotely`` or ``create`` would send; nothing is sent.

        Args:
            script: whose code; the one that runs here unless said.
            folder: that is the code, all of it; else what belongs to the script.

        Returns:
            For each file ``path`` relative to the root of the code, ``n_bytes``, ``is_new``
            (whether the server lacks it; None without a server), ``executable`` and ``link``.

        Raises:
            InvalidInput: there is no code, or git cannot list it.
            TooLarge: it is over the limit of a snapshot; the largest files are named.
        """
        from dray.sdk.capture import preview

        return preview.list_code(script, folder)

    def create_function_task(
        self,
        func: Callable[..., Any],
        func_name: str | None = None,
        task_name: str | None = None,
        **kwargs: Any,
    ) -> Task | None:
        """A draft that runs the script up to this call, then ``func(**kwargs)``, then ends.

        Enqueue what is returned. In its run, the call with the same name calls ``func`` with the
        arguments as its ``Function`` section has them, and ends the process; the calls with
        other names return None.

        Args:
            func: called there; any callable the script has at this line.
            func_name: names the call; unique in a task; the function's own name unless said.
            task_name: ``task <func_name>`` unless said.
            kwargs: arguments; those of basic types can be edited in the draft's ``Function``
                section.

        Returns:
            The draft; None in the run of another function's task.

        Raises:
            InvalidInput: no callable, a name used before, or the task does not run here.
            ServerUnreachable: a draft lives at the server.
        """
        from dray.sdk.runs import function_task
        from dray.sdk.task import Task

        made = function_task.create(self, func, func_name, task_name, kwargs)
        return None if made is None else Task.get_task(made)

    def launch_multi_node(
        self,
        total_num_nodes: int,
        port: int | None = 29500,
        queue: str | None = None,
        wait: bool = False,
        addr: str | None = None,
        devices: int | Sequence[int] | None = None,
        hide_children: bool = False,
    ) -> dict[str, Any]:
        """Run this task on several nodes: an agent's run enqueues its copies as ranks 1 and up.

        By hand nothing is launched: the configuration is recorded and returned. Each copy waits
        in the queue for an agent of its own; nodes are not started together yet, so have as many
        free agents as nodes, or the first ones wait for the last.

        Args:
            total_num_nodes: with this one; can be edited in the section ``launch_multi_node``.
            port: where rank 0 listens; ``DRAY_MULTI_NODE_MASTER_DEF_PORT`` and ``MASTER_PORT`` win.
            queue: of the copies; this task's own unless said.
            wait: return when every copy runs or has ended.
            addr: of rank 0; ``DRAY_MULTI_NODE_MASTER_DEF_ADDR`` and ``MASTER_ADDR`` win; the
                private address of this machine unless said.
            devices: of a node, as a number, indices, or -1 for all that torch sees; each is a rank.
            hide_children: give the copies the system tag ``hidden``.

        Returns:
            ``master_addr``, ``master_port``, ``total_num_nodes``, ``queue``, ``node_rank``,
            ``wait`` and ``devices``. Under an agent ``MASTER_ADDR``, ``MASTER_PORT``, ``RANK``,
            ``NODE_RANK`` and ``WORLD_SIZE`` are set too.

        Raises:
            UsageError: less than one node, or no queue to put the copies in.
        """
        from dray.sdk.runs import multi_node

        if self._attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run here: call launch_multi_node in its script",
                field="launch_multi_node",
            )
        wanted = multi_node.Wanted(total_num_nodes, port, queue, wait, addr, devices)
        return multi_node.launch(self, wanted, hide_children=hide_children)

    def close(self) -> None:
        """End the run as completed, unless it was marked; a later ``Task.init`` begins another.

        Returns at once: a process beside this one sends what is left, and whoever asks for the
        task from here waits for it. Under an agent the run ends with its process, so nothing
        happens.
        """
        run, attempt = task_start.current_run(), self._attempt
        if run is None or attempt is None or attempt is not run.attempt or not attempt.is_master:
            return
        run.close()
        task_start.forget()

    def get_offline_mode_folder(self) -> Any:
        """The folder (a ``Path``) of a run recorded without a server; None with one.

        It is whole once the run has ended: :meth:`import_offline_session` and ``dray sync`` send
        it, as a folder or as a zip made of it.
        """
        from pathlib import Path

        attempt = self._attempt
        return Path(attempt.spool) if attempt is not None and attempt.is_offline else None


def _own_run(what: str) -> LocalRun:
    run = task_start.current_run()
    if run is None:
        raise UsageError(
            f"{what} belongs in the process that called Task.init, not in one it started, and "
            "not after close()",
            field=what,
        )
    return run


def running_locally() -> bool:
    """Whether no agent runs this process."""
    attempt = session.current()
    return attempt is None or not attempt.is_remote
