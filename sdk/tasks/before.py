"""The part of ``Task`` that is said before ``Task.init``: packages, seeds, server, offline mode."""

from __future__ import annotations

import os

from dray.runtime.errors import NotFound, UsageError
from dray.sdk import session
from dray.sdk.tasks import start as task_start
from dray.sdk.tasks.run import running_locally


class TaskBefore:
    """What the next run of this process begins with."""

    @staticmethod
    def running_locally() -> bool:
        """Whether no agent runs this process."""
        return running_locally()

    @staticmethod
    def running_remotely() -> bool:
        """Whether an agent runs this process, or ``debug_simulate_remote_task`` says so."""
        return not running_locally()

    @staticmethod
    def add_requirements(package_name: str, package_version: str | None = None) -> None:
        """Before :meth:`init`: have this requirement, whatever is detected.

        Args:
            package_name: distribution, ``-e PATH``, or the path of a requirements file.
            package_version: a version, or a condition such as ``>=2``; empty for any; the
                installed one unless said.
        """
        from dray.sdk.capture import packages as capture_packages

        name = os.fspath(package_name)
        if name.startswith("-e "):
            lines = {name: name}
        else:
            lines = capture_packages.forced_lines(name, package_version)
        task_start.wishes().forced.update(lines)

    @staticmethod
    def ignore_requirements(package_name: str) -> None:
        """Before :meth:`init`: leave this distribution out."""
        task_start.wishes().forced[package_name] = ""

    @staticmethod
    def force_requirements_env_freeze(
        force: bool = True, requirements_file: str | os.PathLike[str] | None = None
    ) -> None:
        """Before :meth:`init`: list the whole environment, or a file's lines, as they are."""
        from dray.sdk.capture import packages as capture_packages

        wishes = task_start.wishes()
        wishes.freeze = force
        wishes.verbatim = (
            capture_packages.lines_of(os.fspath(requirements_file))
            if force and requirements_file
            else None
        )

    @staticmethod
    def force_store_standalone_script(force: bool = True) -> None:
        """Before :meth:`init`: record the script and what it imports beside it, no repository."""
        task_start.wishes().standalone = force

    @staticmethod
    def set_random_seed(random_seed: int | None) -> None:
        """Seed Python, numpy, torch and TensorFlow when a run begins; now, if one has begun.

        What is not imported yet is seeded when it is. None seeds nothing, which is how it is
        unless this was called: a recorder that changes results behind one's back is none.

        Raises:
            WrongType: no whole number.
        """
        from dray.sdk.runs import seeds

        seeds.choose(random_seed)
        if session.current() is not None:
            seeds.apply()

    @staticmethod
    def get_random_seed() -> int | None:
        """What :meth:`set_random_seed` was given last; None: nothing is seeded."""
        from dray.sdk.runs import seeds

        return seeds.chosen()

    @staticmethod
    def set_resource_monitor_iteration_timeout(
        seconds_from_start: float = 30.0,
        wait_for_first_iteration_to_start_sec: float = 180.0,
        max_wait_for_first_iteration_to_start_sec: float = 1800.0,
    ) -> bool:
        """Nothing to set: charts of the machine count seconds from the start and wait for nobody.

        Returns:
            True, as scripts expect.
        """
        del seconds_from_start, wait_for_first_iteration_to_start_sec
        del max_wait_for_first_iteration_to_start_sec
        return True

    @staticmethod
    def set_offline(offline_mode: bool = False) -> None:
        """Before :meth:`init`: record without a server, as ``DRAY_OFFLINE=1`` does, or with one.

        Raises:
            UsageError: a run that is recorded offline goes on; ``close()`` it first.
        """
        attempt = session.current()
        if attempt is not None and attempt.is_remote:
            return
        if not offline_mode and attempt is not None and attempt.is_offline:
            raise UsageError(
                f"task {attempt.task_id[:8]} is recorded offline and goes on: close() it before "
                "set_offline(False)",
                field="offline_mode",
                value=offline_mode,
            )
        os.environ["DRAY_OFFLINE"] = "1" if offline_mode else "0"

    @staticmethod
    def is_offline() -> bool:
        """Whether runs are recorded without a server."""
        from dray.runtime import config

        return config.load().settings.offline

    @staticmethod
    def import_offline_session(
        session_folder_zip: str | os.PathLike[str],
        previous_task_id: str | None = None,
        iteration_offset: int | None = 0,
    ) -> str | None:
        """Send a run that was recorded without a server; ``dray sync`` does the same.

        As often as one likes: what the server has is not sent again.

        Args:
            session_folder_zip: folder of the run, or a zip of it.
            previous_task_id: a failed or aborted task that the run goes on with, as an attempt
                of its own; unless said, it is the task it was recorded as.
            iteration_offset: added to every iteration of it.

        Returns:
            The id of the task.

        Raises:
            InvalidInput: no folder or zip of a run.
            IllegalTransition: the previous task is completed, published, or runs.
            ServerUnreachable: try again later.
        """
        from dray.sdk.runs import offline

        return offline.send(session_folder_zip, previous_task_id or "", iteration_offset or 0)

    @staticmethod
    def set_credentials(
        api_host: str | None = None,
        web_host: str | None = None,
        files_host: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        store_conf_file: bool = False,
    ) -> None:
        """Before :meth:`init`: the server to talk to where none is configured.

        Settings and ``DRAY_URL`` win, as does the server that ``dray up`` started here.

        Args:
            api_host: URL of the server.
            web_host: not needed: one address serves all.
            files_host: not needed: one address serves all.
            key: the token, when there is no ``secret``.
            secret: the token.
            store_conf_file: keep both in ``~/.config/dray/config.toml``, unless it is there.
        """
        from dray.sdk.runs import credentials

        del web_host, files_host
        if running_locally():
            credentials.set_default(api_host or "", secret or key or "", store=store_conf_file)

    @staticmethod
    def debug_simulate_remote_task(task_id: str, reset_task: bool = False) -> None:
        """Before :meth:`init`: have this process run a stored task as an agent would.

        Stored parameters win over those of the code, :meth:`running_remotely` is true, and what
        the run reports is recorded to the task. One that is completed, published or running is
        left alone: a clone of it runs.

        Args:
            task_id: id or unique prefix.
            reset_task: reset it first, which deletes its outputs.

        Raises:
            NotFound: no task has the id.
            ServerUnreachable: its values are at the server.
        """
        if session.current() is not None:
            return
        from dray.runtime import config
        from dray.sdk.client import Client
        from dray.sdk.runs import simulate

        if not task_id:
            raise NotFound("debug_simulate_remote_task: task_id is empty", task_id=task_id)
        with Client.from_settings(config.load().settings) as client:
            simulate.ask(client, task_id, reset=reset_task)
