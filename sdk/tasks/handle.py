"""How a ``Task`` object reaches its task: the running one by records, any other by the server.

``RunningHandle`` is on the child's path and imports little; the client is imported when a
question is asked that only the server can answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from dray.runtime.errors import InvalidInput, ServerUnreachable
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.session import Session

if TYPE_CHECKING:
    from typing import Any, Protocol

    from dray.sdk.client import Client

    Json = dict[str, Any]

    class Handle(Protocol):
        """What the facade asks of a task, wherever it is."""

        @property
        def data(self) -> Json:
            """JSON of ``models.Task``, as it is known here."""
            ...

        @property
        def spool(self) -> str:
            """Folder of the run's records; empty for a task that does not run here."""
            ...

        def client(self) -> Client:
            """The server."""
            ...

        def reload(self) -> None:
            """Ask the server how the task is now."""
            ...

        def put_parameters(self, values: dict[str, Json], *, replace: bool = False) -> None:
            """Set parameters by flat name."""
            ...

        def drop_parameter(self, name: str) -> None:
            """Take a parameter away, by flat name."""
            ...

        def put_configuration(self, name: str, members: dict[str, str]) -> None:
            """Set a configuration object."""
            ...

        def put_properties(self, values: Mapping[str, str | None]) -> None:
            """Set user properties; None removes one."""
            ...

        def put_tags(self, tags: list[str]) -> None:
            """Have exactly these tags."""
            ...

        def put_comment(self, text: str) -> None:
            """Set the comment."""
            ...

        def put_execution(self, members: Json) -> None:
            """Change what the task runs."""
            ...

        def put_policy(self, members: Json) -> None:
            """Set what may be done with it when things go wrong."""
            ...

        def put_progress(self, percent: float) -> None:
            """Say how far it is."""
            ...

        def put_label(self, **members: Any) -> None:
            """Change what says nothing of how it runs, by the names of ``TaskEdit``."""
            ...

        def mark(self, outcome: str, reason: str) -> None:
            """State its end: ``completed``, ``failed`` or ``aborted``."""
            ...


class RunningHandle:
    """The task of this process: each change is one record of its spool."""

    def __init__(self, attempt: Session) -> None:
        self.attempt = attempt
        self._client: Client | None = None

    @property
    def data(self) -> Json:
        """As the attempt began, with what was recorded here since."""
        return self.attempt.task

    @property
    def spool(self) -> str:
        """Folder of the run's records."""
        return self.attempt.spool

    def client(self) -> Client:
        """The server that knows of this run.

        Raises:
            ServerUnreachable: it is recorded without one.
        """
        if self._client is None:
            from dray.runtime import config
            from dray.sdk.client import Client

            url = self.attempt.attempt.get("url") or None
            if self.attempt.is_offline and url is None:
                raise ServerUnreachable(
                    "this run is recorded without a server, which this question would need; "
                    f"send it with `dray sync {self.attempt.spool}` first"
                )
            self._client = Client.from_settings(config.load({"url": url}).settings)
        return self._client

    def reload(self) -> None:
        """Take the server's word for all but what this run records itself."""
        from dray.runtime.codec import to_json

        own = (
            "parameters",
            "configuration",
            "artifacts",
            "models",
            "labels",
            "execution",
            "properties",
            "policy",
        )
        fresh = to_json(self.client().get_task(self.attempt.task_id))
        self.attempt.task.update({k: v for k, v in fresh.items() if k not in own})

    def put_parameters(self, values: dict[str, Json], *, replace: bool = False) -> None:
        """Record parameters, and with ``replace`` that the others are gone."""
        if replace:
            self.attempt.drop_parameters(set(self.data.get("parameters") or {}) - set(values))
        self.attempt.put_parameters(values)

    def drop_parameter(self, name: str) -> None:
        """Record that a parameter is gone."""
        self.attempt.drop_parameters([name])

    def put_configuration(self, name: str, members: dict[str, str]) -> None:
        """Record a configuration object."""
        standing = self.data.setdefault("configuration", {})
        if standing.get(name) != members:
            standing[name] = members
            self.attempt.record("configuration", values={name: members})

    def put_properties(self, values: Mapping[str, str | None]) -> None:
        """Record user properties, and those that are gone."""
        standing: dict[str, str | None] = {**(self.data.get("properties") or {}), **values}
        self.data["properties"] = {k: v for k, v in standing.items() if v is not None}
        self.attempt.record("properties", values=dict(values))

    def put_tags(self, tags: list[str]) -> None:
        """Record which tags come and go."""
        standing = cast("list[str]", self.data.get("tags") or [])
        add = [tag for tag in tags if tag not in standing]
        remove = [tag for tag in standing if tag not in tags]
        self.data["tags"] = tags
        if add or remove:
            self.attempt.record("tags", add=add, remove=remove)

    def put_comment(self, text: str) -> None:
        """Record the comment."""
        self.data["comment"] = text
        self.attempt.record("comment", text=text)

    def put_execution(self, members: Json) -> None:
        """Record what is known of the code and packages now."""
        self.data.setdefault("execution", {}).update(members)
        self.attempt.stated.update(members)
        self.attempt.record("execution", values=members)

    def put_policy(self, members: Json) -> None:
        """Keep it until the run moves to a queue; under an agent the stored one counts."""
        if not self.attempt.is_remote:
            self.data["policy"] = members

    def put_progress(self, percent: float) -> None:
        """Record how far it is."""
        self.data["progress"] = percent
        self.attempt.record("progress", v=percent)

    def put_label(self, **members: Any) -> None:
        """Change it at the server: there is no record for it; offline, in the spool."""
        if not self.attempt.is_offline:
            self.client().edit_task(self.attempt.task_id, **members)
        self.data.update(members)
        if self.attempt.is_offline:
            import os

            from dray.sdk.session import TASK_FILE, write_file

            write_file(os.path.join(self.spool, TASK_FILE), self.data)

    def mark(self, outcome: str, reason: str) -> None:
        """Record the end; it counts when the process has exited, with whatever code."""
        event = {"completed": "complete", "failed": "fail", "aborted": "abort"}[outcome]
        self.attempt.mark(event, reason)


class ServerHandle:
    """A task that does not run in this process: everything goes through the client."""

    def __init__(self, client: Client, data: Json, *, is_partial: bool = False) -> None:
        self._client = client
        self.data = data
        self._is_partial = is_partial

    def complete(self) -> None:
        """Read what lists leave out, unless it was read."""
        if self._is_partial:
            self.reload()

    @property
    def spool(self) -> str:
        """Nothing of it is here."""
        return ""

    def client(self) -> Client:
        """The server it was read from."""
        return self._client

    def reload(self) -> None:
        """Read it again."""
        self._take(self._client.get_task(self._id))

    def put_parameters(self, values: dict[str, Json], *, replace: bool = False) -> None:
        """Edit the draft's parameters."""
        self._edit(parameters=values, replace_parameters=replace)

    def drop_parameter(self, name: str) -> None:
        """Take a parameter from the draft."""
        self._edit(parameters={name: None})

    def put_configuration(self, name: str, members: dict[str, str]) -> None:
        """Edit the draft's configuration."""
        self._edit(configuration={name: members})

    def put_properties(self, values: Mapping[str, str | None]) -> None:
        """Edit user properties, in any state."""
        self._edit(properties=dict(values))

    def put_tags(self, tags: list[str]) -> None:
        """Edit the tags, in any state."""
        self._edit(tags=tags)

    def put_comment(self, text: str) -> None:
        """Edit the comment, in any state."""
        self._edit(comment=text)

    def put_execution(self, members: Json) -> None:
        """Edit what the draft runs."""
        self._edit(execution=members)

    def put_policy(self, members: Json) -> None:
        """Edit the draft's policy."""
        self._edit(policy=members)

    def put_progress(self, percent: float) -> None:
        """Only a run knows how far it is."""
        raise InvalidInput(
            f"progress {percent:g} of task {self._id[:8]} can only be told by its own run",
            field="progress",
        )

    def put_label(self, **members: Any) -> None:
        """Edit what says nothing of how it runs."""
        self._edit(**members)

    def mark(self, outcome: str, reason: str) -> None:
        """State the end of the running task."""
        self._take(self._client.mark(self._id, outcome, reason=reason))

    @property
    def _id(self) -> str:
        return str(self.data["id"])

    def _edit(self, **changes: Any) -> None:
        self._take(self._client.edit_task(self._id, **changes))

    def _take(self, task: Any) -> None:
        from dray.runtime.codec import to_json

        self.data = to_json(task)
        self._is_partial = False
