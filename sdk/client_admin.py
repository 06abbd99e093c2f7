"""Client calls about queues, agents, projects and the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dray.runtime import ids
from dray.runtime.answers import IntegrityReport, ServerInfo
from dray.runtime.codec import from_json, to_json
from dray.runtime.models import AgentRecord, Project, Queue, QueueEntry
from dray.sdk.transport import Transport, quoted

#: A large store is copied, or read from end to end, before the first byte of the answer.
UPKEEP_TIMEOUT_S = 3600.0


class AdminCalls:
    """Queues, agents, projects, server; mixed into :class:`dray.sdk.client.Client`."""

    _http: Transport

    def create_queue(self, name: str, *, elastic: bool = True) -> Queue:
        """A new queue; for one that is not ``elastic``, no agents are made as needed."""
        body = {"name": name, "elastic": elastic}
        return from_json(Queue, self._create("/queues", body))

    def get_queue(self, name: str) -> Queue:
        """A queue with how many tasks wait in it and whether it is served."""
        return from_json(Queue, self._http.call("GET", f"/queues/{quoted(name)}"))

    def list_queues(self) -> list[Queue]:
        """Every queue."""
        return [from_json(Queue, queue) for queue in self._items("/queues")]

    def delete_queue(self, name: str, *, force: bool = False) -> None:
        """Delete a queue; with ``force`` also one in which tasks wait."""
        self._http.call("DELETE", f"/queues/{quoted(name)}", query={"force": force or None})

    def queue_tasks(self, name: str) -> list[QueueEntry]:
        """What waits in a queue, in the order it will be taken."""
        return [from_json(QueueEntry, e) for e in self._items(f"/queues/{quoted(name)}/tasks")]

    def list_agents(self) -> list[AgentRecord]:
        """Every agent there is."""
        return [from_json(AgentRecord, agent) for agent in self._items("/agents")]

    def get_agent(self, name: str) -> AgentRecord:
        """One agent and what it runs."""
        return from_json(AgentRecord, self._http.call("GET", f"/agents/{quoted(name)}"))

    def drain_agent(self, name: str, reason: str) -> AgentRecord:
        """Give an agent no more work; what it holds stays held."""
        return self._of_agent(name, "drain", {"reason": reason})

    def resume_agent(self, name: str) -> AgentRecord:
        """Give a drained agent work again."""
        return self._of_agent(name, "resume")

    def stop_agent(self, name: str) -> AgentRecord:
        """End an agent; what it runs is stopped and goes back to its queue."""
        return self._of_agent(name, "stop")

    def _of_agent(self, name: str, verb: str, body: Any = None) -> AgentRecord:
        path = f"/agents/{quoted(name)}/{verb}"
        return from_json(AgentRecord, self._http.call("POST", path, body=body))

    def create_project(self, name: str, *, description: str = "") -> Project:
        """A new project; names nest by ``/``."""
        body = {"name": name, "description": description}
        return from_json(Project, self._create("/projects", body))

    def get_project(self, name: str) -> Project:
        """A project by name or id."""
        return from_json(Project, self._http.call("GET", f"/projects/{quoted(name)}"))

    def list_projects(self) -> list[Project]:
        """Every project."""
        return [from_json(Project, project) for project in self._items("/projects")]

    def edit_project(self, project: str, **changes: Any) -> Project:
        """Change ``name`` or ``description`` of the project of that name or id."""
        path = f"/projects/{quoted(project)}"
        return from_json(Project, self._http.call("PATCH", path, to_json(changes)))

    def delete_project(self, project: str) -> None:
        """Delete an empty project."""
        self._http.call("DELETE", f"/projects/{quoted(project)}")

    def server_info(self) -> ServerInfo:
        """Version, address and start of the server."""
        return from_json(ServerInfo, self._http.call("GET", "/server"))

    def check_store(self, *, deep: bool = False) -> IntegrityReport:
        """Whether the server's store keeps every invariant; ``deep`` also reads every blob."""
        query = {"deep": deep or None}
        answer = self._http.call(
            "GET", "/server/integrity", query=query, timeout_s=UPKEEP_TIMEOUT_S, retries=0
        )
        return from_json(IntegrityReport, answer)

    def backup(self) -> Iterator[bytes]:
        """Everything the server's store keeps, in blocks of one file.

        Raises:
            ServerUnreachable: also when it ends before it is whole.
        """
        return self._http.download("/server/backup", timeout_s=UPKEEP_TIMEOUT_S)

    def healthz(self) -> bool:
        """Whether a server answers at the address; needs no token and is not repeated.

        Raises:
            ServerUnreachable: none does.
        """
        self._http.call("GET", "/healthz", base="", retries=0)
        return True

    def _create(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": ids.new_id()}
        return self._http.call("POST", path, body, headers=headers, idempotent=True)

    def _items(self, path: str) -> list[Any]:
        answer = self._http.call("GET", path)
        found = list(answer["items"])
        while cursor := answer.get("next_cursor"):
            answer = self._http.call("GET", path, query={"cursor": cursor})
            found += answer["items"]
        return found
