"""The part of ``Task`` about what may be done with it when things go wrong."""

from __future__ import annotations

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any

    from dray.runtime.models import OnLost
    from dray.runtime.policy_changes import Duration


class TaskPolicy(TaskBase):
    """Retries, time limit, and what becomes of the task when its worker is lost."""

    def get_policy(self) -> dict[str, Any]:
        """Its policy by member, as ``models.Policy`` names them; durations in seconds."""
        from dray.runtime.codec import from_json, to_json
        from dray.runtime.models import Policy

        members: dict[str, Any] = to_json(from_json(Policy, self._data.get("policy") or {}))
        return members

    def set_policy(
        self,
        *,
        retries: int | None = None,
        retry_delay: Duration | None = None,
        max_run_time: Duration | None = None,
        on_lost: str | OnLost | None = None,
        max_requeues: int | None = None,
        quarantine_after: int | None = None,
        stop_grace: Duration | None = None,
    ) -> None:
        """Say what may be done with the task in a queue; what is not given stays as it is.

        Set it on a draft, or in the script before :meth:`execute_remotely`, which takes it
        along. Under an agent the stored policy counts, and nothing happens here. A run started
        by hand is never retried or requeued, for it has no queue to go back to, and keeps the
        time limit it began with.

        Args:
            retries: how often its own failure (exit code, signal, out of memory) is tried again.
                A lost worker uses up none of them.
            retry_delay: before the first retry; each further one waits twice as long, at most an
                hour. Seconds, a ``timedelta`` or a text such as ``"2h30m"``.
            max_run_time: its process may run so long in one attempt; ``"none"`` for no limit.
            on_lost: when its worker is lost: ``"requeue"``, or ``"wait"`` for it to come back.
            max_requeues: how often lost workers may send it back before it fails.
            quarantine_after: it fails for good once so many agents died under it; 0 never.
            stop_grace: between the signals that stop it; ``"none"`` for the cluster's.

        Raises:
            InvalidInput: a value that cannot be used.
            NotEditable: it is no draft, and does not run here.
        """
        from dray.runtime.codec import from_json, to_json
        from dray.runtime.models import Policy
        from dray.runtime.policy_changes import PolicyChanges

        changes = PolicyChanges(
            retries=retries,
            retry_delay=retry_delay,
            max_run_time=max_run_time,
            on_lost=None if on_lost is None else str(on_lost),
            max_requeues=max_requeues,
            quarantine_after=quarantine_after,
            stop_grace=stop_grace,
        )
        changed = changes.applied(from_json(Policy, self._data.get("policy") or {}))
        self._handle.put_policy(to_json(changed))
