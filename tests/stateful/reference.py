"""What Dray promises, in plain dicts: a second, smaller telling of the rules to compare with.

Each method is one request. It answers the status the server must answer, and changes the model
only where that is a success. Nothing here is shared with the code under test.
"""

from __future__ import annotations

from typing import Any

TERMINAL = ("completed", "failed", "aborted", "published")
OK, MADE, GONE, REFUSED, NO_CONTENT = 200, 201, 404, 409, 204
#: How each end that a process can come to is told, and what it does to a task nobody stopped.
OWN_FAILURES = ("exit_code", "signal", "out_of_memory")
FOR_GOOD = ("time_limit", "environment_failed", "source_failed", "vanished")

Task = dict[str, Any]


class Reference:
    """All tasks and queues by name; ``refused`` counts late writes since the last start."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.queues: dict[str, dict[str, tuple[int, int]]] = {}  # {queue: {task: (priority, rank)}}
        self.refused = 0
        self._next_rank = 0
        self._epochs_of_deleted: dict[str, int] = {}

    # Making and removing.

    def create(self, id: str, parent: str, priority: int, policy: dict[str, Any]) -> int:
        if id in self.tasks:
            return REFUSED
        self.tasks[id] = {
            "state": "draft",
            "phase": None,
            "phase_before": None,
            "epoch": self._epochs_of_deleted.get(id, 0),
            "queue": "",
            "agent": "",
            "claim": "",
            "over": set(),  # claims whose attempts have ended
            "cause": None,
            "comment": "",
            "priority": priority,
            "policy": policy,
            "parent": parent,
            "follows": parent != "",
            "expires_at": None,
            "console": {},  # {epoch: bytes}
            "n_points": 0,
            "handed_over": set(),  # epochs
            "ends": {},  # {epoch: kind of its cause}
            **_fresh(),
        }
        return MADE

    def clone(self, source: str, id: str, parent: str | None) -> int:
        if source not in self.tasks:
            return GONE
        of = self.tasks[source]
        origin = parent
        if parent is None:
            # Its first other id: the one it is given may have been a deleted parent's.
            origin = next((one for one in (of["parent"], source) if one not in ("", id)), "")
        status = self.create(id, origin, of["priority"], of["policy"])
        if status == MADE:
            self.tasks[id].update(follows=bool(parent), comment=of["comment"])
        return status

    def delete(self, id: str, force: bool) -> int:
        if id not in self.tasks:
            return GONE
        task = self.tasks[id]
        if task["state"] in ("running", "published") and not force:
            return REFUSED
        self._leave_queue(id)
        self._epochs_of_deleted[id] = task["epoch"]
        del self.tasks[id]
        return NO_CONTENT

    def make_queue(self, name: str) -> int:
        if name in self.queues:
            return REFUSED
        self.queues[name] = {}
        return MADE

    def delete_queue(self, name: str, force: bool) -> int:
        if name not in self.queues:
            return GONE
        if self.queues[name] and not force:
            return REFUSED
        for id in list(self.queues[name]):
            self.dequeue(id)
        del self.queues[name]
        return NO_CONTENT

    # Steps of a life.

    def edit(self, id: str, comment: str, priority: int | None) -> int:
        task = self.tasks.get(id)
        if task is None:
            return GONE
        if priority is not None and task["state"] != "draft":
            return REFUSED
        task["comment"] = comment
        if priority is not None:
            task["priority"] = priority
        return OK

    def enqueue(self, id: str, queue: str, priority: int | None) -> int:
        task = self.tasks.get(id)
        if task is None or queue not in self.queues:
            return GONE
        again = task["state"] == "pending" and task["queue"] == queue
        if not again and task["state"] not in ("draft", "failed", "aborted"):
            return REFUSED
        if priority is not None:
            task["priority"] = priority
            if again:
                rank = self.queues[queue][id][1]
                self.queues[queue][id] = (priority, rank)
        if not again:
            self._close(id, "pending", None)
            task.update(_fresh())
            self._enter_queue(id, queue)
        return OK

    def dequeue(self, id: str) -> int:
        return self._from(id, ("pending",), lambda task: self._close(id, "draft", task["cause"]))

    def claim(self, id: str, agent: str, claim: str, expires_at: float) -> int | None:
        """The epoch, or None where the task is not to be had."""
        task = self.tasks.get(id)
        if task is None or claim in task["over"]:
            return None
        if task["state"] == "running" and task["claim"] == claim:
            return int(task["epoch"])
        if task["state"] != "pending":
            return None
        return self._open(id, agent, claim, expires_at, "preparing")

    def start(self, id: str, claim: str, expires_at: float) -> int:
        task = self.tasks.get(id)
        if task is None:
            return GONE
        if task["state"] == "running" and task["claim"] == claim:
            return OK
        if task["state"] not in ("draft", "failed", "aborted"):
            return REFUSED
        task.update(queue="", **_fresh())
        self._open(id, "local:laptop", claim, expires_at, "executing")
        return OK

    def frame(
        self, id: str, epoch: int, offset: int, data: bytes, executing: bool, expires_at: float
    ) -> int:
        if id not in self.tasks:
            return GONE
        stored = self.tasks[id]["console"].get(epoch, b"")
        if offset > len(stored) and self.is_open(id, epoch):
            return REFUSED
        status = self.renew(id, epoch, expires_at)
        task = self.tasks[id]
        if status == OK:
            if executing and task["phase"] == "preparing":
                task["phase"] = "executing"
            task["console"][epoch] = stored + data[len(stored) - offset :]
        return status

    def renew(self, id: str, epoch: int, expires_at: float) -> int:
        if id not in self.tasks:
            return GONE
        task = self.tasks[id]
        if not self.is_open(id, epoch):
            self.refused += 1
            return REFUSED
        if task["phase"] == "unreachable":
            task.update(phase=task["phase_before"], phase_before=None)
        task["expires_at"] = expires_at
        return OK

    def finish(self, id: str, epoch: int, kind: str, code: int, now: float) -> int:
        if id not in self.tasks:
            return GONE
        task = self.tasks[id]
        if task["ends"].get(epoch) == (kind, code):
            return OK  # said before
        if not self.is_open(id, epoch):
            self.refused += 1
            return REFUSED
        if kind == "exit_code" and code == 0:
            self._close(id, "completed", kind)
        elif kind == "aborted":
            self._close(id, "aborted", kind)
        elif _is_stopping(task):
            self._close(id, _asked_for(task), task["cause"])
        elif kind == "worker_lost":
            self._lose(id, kind)
        elif kind == "preempted":
            self._requeue(id, kind) if task["queue"] else self._close(id, "failed", kind)
        elif (
            kind in OWN_FAILURES
            and task["queue"]
            and (task["n_retries"] < task["policy"]["retries"])
        ):
            delay_s = min(task["policy"]["retry_delay_s"] * 2 ** task["n_retries"], 3600.0)
            self._requeue(id, kind)
            task["n_retries"] += 1
            task["not_before"] = now + delay_s
        else:
            assert kind in (*OWN_FAILURES, *FOR_GOOD)
            self._close(id, "failed", kind)
        task["ends"][epoch] = (kind, code)
        return OK

    def mark(self, id: str, outcome: str) -> int:
        task = self.tasks.get(id)
        if task is None:
            return GONE
        if task["state"] != "running":
            return OK if task["cause"] == f"marked {outcome}" else REFUSED
        if not task["queue"] or task["phase"] == "unreachable":
            self._close(id, outcome, f"marked {outcome}")
        elif not _is_stopping(task):
            task.update(phase="stopping", cause=f"marked {outcome}")
        return OK

    def lose_contact(self, id: str) -> None:
        task = self.tasks[id]
        if task["phase"] != "unreachable":
            task.update(phase="unreachable", phase_before=task["phase"])

    def prove_dead(self, id: str, agent_died: bool) -> None:
        task = self.tasks[id]
        if _is_stopping(task):
            self._close(id, _asked_for(task), task["cause"])
            return
        if agent_died and task["agent"] not in task["lost_agents"]:
            task["lost_agents"].append(task["agent"])
            if 0 < task["policy"]["quarantine_after"] <= len(task["lost_agents"]):
                self._close(id, "failed", "quarantined")
                return
        self._lose(id, "worker_lost")

    def abort(self, id: str) -> int:
        task = self.tasks.get(id)
        if task is None:
            return GONE
        if task["state"] not in ("pending", "running"):
            return REFUSED
        for one in [id, *self._followers(id)]:
            if self.tasks[one]["state"] == "pending":
                self._close(one, "aborted", "aborted")
            elif self.tasks[one]["state"] == "running" and not _is_stopping(self.tasks[one]):
                hidden = self.tasks[one]["phase"] == "unreachable"
                phase = "phase_before" if hidden else "phase"
                self.tasks[one].update({phase: "stopping", "cause": "aborted"})
        return OK

    def reset(self, id: str) -> int:
        def anew(task: Task) -> None:
            self._close(id, "draft", None)
            task.update(console={}, ends={}, handed_over=set(), **_fresh())

        return self._from(id, ("completed", "failed", "aborted"), anew)

    def publish(self, id: str) -> int:
        def publish(task: Task) -> None:
            task["state"] = "published"

        return self._from(id, TERMINAL, publish)

    def hand_over(self, id: str, epoch: int, queue: str) -> int:
        task = self.tasks.get(id)
        if task is None or queue not in self.queues:
            return GONE
        if epoch in task["handed_over"]:
            return OK
        if not self.is_open(id, epoch):
            self.refused += 1
            return REFUSED
        self._close(id, "pending", "handed_over")
        self._enter_queue(id, queue)
        task["handed_over"].add(epoch)
        return OK

    # What others ask.

    def is_open(self, id: str, epoch: int) -> bool:
        task = self.tasks.get(id)
        return task is not None and task["state"] == "running" and task["epoch"] == epoch

    def line(self, queue: str) -> list[str]:
        """Task ids in the order in which they are claimed."""
        entries = self.queues[queue]
        return sorted(entries, key=lambda id: (-entries[id][0], entries[id][1]))

    # Parts of steps.

    def _from(self, id: str, states: tuple[str, ...], change: Any) -> int:
        if id not in self.tasks:
            return GONE
        if self.tasks[id]["state"] not in states:
            return REFUSED
        change(self.tasks[id])
        return OK

    def _open(self, id: str, agent: str, claim: str, expires_at: float, phase: str) -> int:
        task = self.tasks[id]
        self._leave_queue(id)
        task.update(
            state="running",
            phase=phase,
            phase_before=None,
            epoch=task["epoch"] + 1,
            agent=agent,
            claim=claim,
            cause=None,
            expires_at=expires_at,
            not_before=None,
        )
        return int(task["epoch"])

    def _close(self, id: str, state: str, cause: str | None) -> None:
        self._leave_queue(id)
        self.tasks[id]["over"] |= {self.tasks[id]["claim"]} - {""}
        self.tasks[id].update(
            state=state,
            phase=None,
            phase_before=None,
            agent="",
            claim="",
            cause=cause,
            expires_at=None,
            not_before=None,
        )

    def _lose(self, id: str, kind: str) -> None:
        task = self.tasks[id]
        policy = task["policy"]
        may = policy["on_lost"] == "requeue" and task["queue"] != ""
        if may and task["n_requeues"] < policy["max_requeues"]:
            task["n_requeues"] += 1
            self._requeue(id, kind)
        else:
            self._close(id, "failed", kind)

    def _requeue(self, id: str, cause: str) -> None:
        """Back to where it came from, before everything that waits now."""
        self._close(id, "pending", cause)
        queue = self.tasks[id]["queue"]
        self.queues.setdefault(queue, {})
        waiting = [rank for entries in self.queues.values() for _, rank in entries.values()]
        self._enter_queue(id, queue, min(waiting) - 1 if waiting else None)

    def _enter_queue(self, id: str, queue: str, rank: int | None = None) -> None:
        if rank is None:
            self._next_rank += 1
            rank = self._next_rank
        self.tasks[id]["queue"] = queue
        self.queues[queue][id] = (self.tasks[id]["priority"], rank)

    def _leave_queue(self, id: str) -> None:
        for entries in self.queues.values():
            entries.pop(id, None)

    def _followers(self, id: str) -> list[str]:
        """Those that were given it as their parent, and theirs, each once."""
        found = [id]
        for one in found:  # it grows while it is walked
            found += [
                other
                for other, task in self.tasks.items()
                if task["parent"] == one and task["follows"] and other not in found
            ]
        return found[1:]


def _fresh() -> dict[str, Any]:
    """Budgets as they are when somebody decided that a task is to run."""
    return {"n_requeues": 0, "n_retries": 0, "lost_agents": [], "not_before": None}


def _is_stopping(task: Task) -> bool:
    return "stopping" in (task["phase"], task["phase_before"])


def _asked_for(task: Task) -> str:
    """The state that whoever asked it to stop wants it to end in."""
    return str(task["cause"]).partition("marked ")[2] or "aborted"
