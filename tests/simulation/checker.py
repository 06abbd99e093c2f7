"""The checker: hears of everything that happens and raises at the first broken promise.

It believes nothing that the simulated store says of itself. Processes are counted where they
live, and what a rule should have done is worked out again from the history of the task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dray.runtime import causes, machine, resources
from dray.runtime.causes import CauseKind
from dray.runtime.machine import Command, Head
from dray.runtime.models import OnLost
from dray.runtime.resources import Resources
from dray.runtime.states import TERMINAL, Phase, State
from tests.simulation.promises import Promise, Violation

#: A user's word, and the end of an attempt, are all that may change a state otherwise.
_BY_USERS = (machine.Enqueue, machine.StartLocal, machine.Reset)
#: How much of a lease must really have passed before its holder is called unreachable. What is
#: missing is what the server's clocks may part without its noticing.
PATIENCE_SHARE = 0.9


@dataclass
class Story:
    """What is known of one task.

    Attributes:
        heard_at: true time of the last word of its open attempt that the store took.
        n_lost: attempts lost with a worker since somebody enqueued it.
        n_failed: attempts that ended by their own failure and were tried again, likewise.
        lost_agents: agents that died under it, likewise.
        stop_asked: somebody wants it to end, and nobody has wanted it to run since.
        claims: {claim id: epoch}.
        alive: {epoch: on which agent}, its processes.
        exits: {epoch: exit code}, of processes that ended by themselves.
    """

    heard_at: float = 0.0
    n_lost: int = 0
    n_failed: int = 0
    lost_agents: set[str] = field(default_factory=set[str])
    stop_asked: bool = False
    claims: dict[str, int] = field(default_factory=dict[str, int])
    alive: dict[int, str] = field(default_factory=dict[int, str])
    exits: dict[int, int] = field(default_factory=dict[int, int])
    policy_requeues: bool = True


class Checker:
    """Told by the simulation of each step; see :class:`Promise` for what must hold.

    Args:
        now: true time.
        lease_ttl_s: length of a lease.
    """

    def __init__(self, now: Callable[[], float], lease_ttl_s: float) -> None:
        self._now = now
        self._ttl_s = lease_ttl_s
        self.stories: defaultdict[str, Story] = defaultdict(Story)
        #: Tasks whose submit was acknowledged.
        self.accepted: set[str] = set()
        self._gone: set[str] = set()
        #: When the server was last found to have been absent for long.
        self._back_at = 0.0

    def acknowledge(self, task_id: str) -> None:
        """A user was told that a task is submitted."""
        self.accepted.add(task_id)

    # What the store did.

    def commit(self, before: Head, command: Command, after: Head) -> None:
        """A step was written down."""
        story = self.stories[after.task_id]
        story.policy_requeues = after.policy.on_lost is OnLost.REQUEUE
        self._check_shape(after)
        self._check_epoch(before, command, after, story)
        self._check_final(before, command, after)
        self._check_cause(before, after, story)
        self._check_stop(command, before, after, story)
        self._check_budgets(before, command, after, story)
        self._check_wait(command, before)
        if isinstance(command, machine.LoseContact) and after != before:
            self._check_patience(story, after)
        opens = after.epoch > before.epoch
        if opens or isinstance(command, machine.Renew):
            story.heard_at = self._now()

    def _check_shape(self, head: Head) -> None:
        running = head.state is State.RUNNING
        held = (head.agent != "", head.lease_expires_at is not None, head.phase is not None)
        if any(held) is not running or all(held) is not running or (running and not head.epoch):
            self._broken(Promise.RUNNING_IS_LEASED, f"{head}")
        if (head.phase is Phase.UNREACHABLE) is (head.phase_before is None):
            self._broken(Promise.RUNNING_IS_LEASED, f"{head.phase} before {head.phase_before}")

    def _check_epoch(self, before: Head, command: Command, after: Head, story: Story) -> None:
        opens = isinstance(command, (machine.Claim, machine.StartLocal)) and after != before
        if after.epoch != before.epoch + opens:
            self._broken(
                Promise.EPOCHS_GROW, f"{after.task_id}: {before.epoch} → {after.epoch} by {command}"
            )
        if isinstance(command, (machine.Claim, machine.StartLocal)):
            epoch = story.claims.setdefault(command.claim_id, after.epoch)
            if epoch != after.epoch:
                self._broken(
                    Promise.ONE_CLAIM,
                    f"{after.task_id}: {command.claim_id} opened {epoch} and {after.epoch}",
                )
        spoken_for = getattr(command, "epoch", before.epoch)
        if spoken_for != before.epoch and after != before:
            self._broken(
                Promise.ONE_WRITER,
                f"{after.task_id} at attempt {before.epoch} was changed by {command}",
            )

    def _check_final(self, before: Head, command: Command, after: Head) -> None:
        left = before.state in TERMINAL and after.state is not before.state
        if left and not isinstance(command, (*_BY_USERS, machine.Publish)):
            self._broken(
                Promise.FINAL,
                f"{after.task_id} left {before.state} for {after.state} by {command}",
            )

    def _check_cause(self, before: Head, after: Head, story: Story) -> None:
        if after.state in (State.FAILED, State.ABORTED) and after.cause is None:
            self._broken(Promise.CAUSED, f"{after.task_id} is {after.state} without a cause")
        if after.state is State.COMPLETED is not before.state:
            exit_code = story.exits.get(before.epoch)
            if exit_code != 0:
                self._broken(
                    Promise.CAUSED,
                    f"{after.task_id} completed, but attempt {before.epoch} exited {exit_code}",
                )

    def _check_stop(self, command: Command, before: Head, after: Head, story: Story) -> None:
        if isinstance(command, _BY_USERS):
            story.stop_asked = False
        elif isinstance(command, machine.RequestStop):
            story.stop_asked = True
        elif story.stop_asked and after.state is State.PENDING:
            self._broken(Promise.STOP_KEPT, f"{after.task_id} is pending again by {command}")
        elif story.stop_asked and after.epoch > before.epoch:
            self._broken(Promise.STOP_KEPT, f"{after.task_id} starts attempt {after.epoch}")

    def _check_budgets(self, before: Head, command: Command, after: Head, story: Story) -> None:
        if isinstance(command, _BY_USERS) and after != before:
            story.n_lost = story.n_failed = 0
            story.lost_agents.clear()
        if before.state is not State.RUNNING or after.state is State.RUNNING:
            return
        if isinstance(command, machine.ProveDead) and command.agent_died:
            story.lost_agents.add(before.agent)
        if after.state is not State.PENDING:
            return
        cause = after.cause
        if cause is None or causes.is_infrastructure(cause):
            story.n_lost += 1
        elif cause.kind is not CauseKind.PREEMPTED:
            story.n_failed += 1
            if before.epoch not in story.exits:
                self._broken(
                    Promise.OWN_BUDGETS,
                    f"{after.task_id}: attempt {before.epoch} was retried for {cause.message!r}, "
                    "but its process did not end by itself",
                )
        policy = after.policy
        if story.n_lost > policy.max_requeues:
            self._broken(Promise.BOUNDED, f"{after.task_id} was sent back {story.n_lost} times")
        if 0 < policy.quarantine_after <= len(story.lost_agents):
            self._broken(
                Promise.BOUNDED, f"{after.task_id} was sent back after {story.lost_agents} died"
            )
        if story.n_failed > policy.retries or after.n_retries != story.n_failed:
            self._broken(
                Promise.OWN_BUDGETS,
                f"{after.task_id}: {story.n_failed} of {policy.retries} retries are used, "
                f"the head says {after.n_retries}",
            )

    def _check_wait(self, command: Command, before: Head) -> None:
        proven = isinstance(command, machine.ProveDead)
        if proven and before.policy.on_lost is OnLost.WAIT and before.agent not in self._gone:
            self._broken(
                Promise.PATIENCE,
                f"{before.task_id} waits, and Ray never said that {before.agent} is gone",
            )

    def gone(self, agent: str) -> None:
        """Ray said that an agent, or its node, is gone."""
        self._gone.add(agent)

    def _check_patience(self, story: Story, after: Head) -> None:
        silent_s = self._now() - max(story.heard_at, self._back_at)
        if silent_s < PATIENCE_SHARE * self._ttl_s:
            self._broken(
                Promise.PATIENCE,
                f"{after.task_id} is unreachable after {silent_s:.1f} s of {self._ttl_s:g} s",
            )

    def absent(self) -> None:
        """The server was stopped or down for a good part of a lease, until now."""
        self._back_at = self._now()

    def looked(self, heads: Iterable[Head], wall: float, began: float) -> None:
        """A look that found nothing wrong with the clocks was carried out to its end.

        Args:
            heads: as they are now.
            wall: when the look began, on the clock that dates leases.
            began: the same as true time.
        """
        for head in heads:
            if head.state is not State.RUNNING or head.phase is Phase.UNREACHABLE:
                continue
            if head.lease_expires_at is None or head.lease_expires_at < wall:
                self._broken(Promise.RUNNING_IS_LEASED, f"{head} at {wall}")
            silent_s = began - self.stories[head.task_id].heard_at
            if silent_s > self._ttl_s * 1.1:
                self._broken(
                    Promise.NO_ZOMBIE,
                    f"{head.task_id} was silent for {silent_s:.1f} s and is {head.phase}",
                )

    def extended(self, heads: Iterable[Head]) -> None:
        """All leases were extended, which counts as having heard of everybody."""
        for head in heads:
            self.stories[head.task_id].heard_at = self._now()

    def store_is(
        self, heads: Mapping[str, Head], waiting: set[str], open_attempts: Iterable[tuple[str, int]]
    ) -> None:
        """What the tables hold after a commit."""
        for task_id in self.accepted - heads.keys():
            self._broken(Promise.NOTHING_LOST, f"accepted task {task_id} is not in the store")
        pending = {h.task_id for h in heads.values() if h.state is State.PENDING}
        if pending != waiting:
            self._broken(
                Promise.NOTHING_LOST, f"pending or in a queue, not both: {pending ^ waiting}"
            )
        running = {(h.task_id, h.epoch) for h in heads.values() if h.state is State.RUNNING}
        if running != set(open_attempts):
            self._broken(
                Promise.ONE_WRITER,
                f"running or with an open attempt, not both: {running ^ set(open_attempts)}",
            )

    def leased(self, node: str, held: Iterable[Resources], total: Mapping[str, float]) -> None:
        """What open attempts hold on a node."""
        free: Mapping[str, float] = total
        for shape in held:
            free = resources.subtract(free, shape)
        short = {name: amount for name, amount in free.items() if amount < -resources.GRAIN / 2}
        if short:
            self._broken(Promise.CAPACITY, f"node {node} of {dict(total)} lacks {short}")

    # What really happened.

    def wrote(self, head: Head, epoch: int) -> None:
        """An attempt's effect was taken in, with the task's head at that time."""
        if head.epoch != epoch or head.state is not State.RUNNING:
            self._broken(
                Promise.ONE_WRITER,
                f"attempt {epoch} of {head.task_id} wrote while it was {head.state} at "
                f"attempt {head.epoch}",
            )

    def process_started(self, task_id: str, epoch: int, agent: str) -> None:
        """A process of a task began to live."""
        story = self.stories[task_id]
        if epoch in story.alive or epoch in story.exits:
            self._broken(Promise.ONE_PROCESS, f"attempt {epoch} of {task_id} started twice")
        story.alive[epoch] = agent
        if story.policy_requeues and len(story.alive) > 1:
            self._broken(Promise.ONE_PROCESS, f"{task_id} lives as attempts {story.alive}")

    def process_ended(self, task_id: str, epoch: int, exit_code: int | None) -> None:
        """A process is gone; by itself when there is an exit code."""
        story = self.stories[task_id]
        story.alive.pop(epoch, None)
        if exit_code is not None:
            story.exits[epoch] = exit_code

    def at_rest(self, heads: Iterable[Head], excused: Callable[[Head], bool]) -> None:
        """Faults stopped long ago."""
        for head in heads:
            if head.state in (State.PENDING, State.RUNNING) and not excused(head):
                self._broken(Promise.LIVENESS, f"{head}")
            if alive := self.stories[head.task_id].alive:
                self._broken(Promise.LIVENESS, f"{head.task_id} still lives as {alive}")

    def _broken(self, promise: Promise, text: str) -> None:
        raise Violation(promise, self._now(), text)
