"""What a run of the chaos says: the faults that really happened, and each promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from dray.selftest import nemesis
from dray.selftest.history import History
from dray.selftest.judge import Verdict, judge

#: What the audit calls a write of an attempt that was over.
_LATE_WRITE = "stale_write_refused"


@dataclass(frozen=True)
class FaultCount:
    """How often one kind of fault happened.

    Attributes:
        n: times it was seen to take effect; a network trouble that touched nobody is none.
        n_long: those that lasted longer than a lease.
    """

    action: str
    target: str
    n: int
    n_long: int = 0


@dataclass(frozen=True)
class Report:
    """A run, as ``--json`` shows it.

    Attributes:
        tasks: how many ended in each state.
        causes: how many attempts ended by each kind of cause.
        never: faults that never happened in this run, which therefore proves nothing of them.
        n_late_writes: writes of attempts that were over, all refused.
    """

    seed: int
    duration_s: float
    quiet_after_s: float
    n_tasks: int
    n_attempts: int
    n_aborts: int
    n_late_writes: int
    tasks: dict[str, int]
    causes: dict[str, int]
    faults: list[FaultCount]
    never: list[str]
    promises: list[Verdict]
    folder: str = ""
    notes: list[str] = field(default_factory=list[str])

    @property
    def is_clean(self) -> bool:
        """Whether no promise was broken."""
        return all(verdict.held is not False for verdict in self.promises)


def report(
    history: History, seed: int, duration_s: float, quiet_after_s: float, lease_ttl_s: float
) -> Report:
    """Judge a history and say what it was."""
    faults = _count(history, lease_ttl_s)
    stories = history.stories.values()
    attempts = [attempt for story in stories for attempt in story.attempts]
    return Report(
        seed=seed,
        duration_s=duration_s,
        quiet_after_s=quiet_after_s,
        n_tasks=len(history.stories),
        n_attempts=len(attempts),
        n_aborts=len(history.orders.aborts),
        n_late_writes=_late_writes(history),
        tasks=dict(Counter(str(s.task.state) if s.task else "unknown" for s in stories)),
        causes=dict(Counter(str(a.cause.kind) if a.cause else "none" for a in attempts)),
        faults=faults,
        never=[f"{f.action} {f.target}" for f in faults if f.n == 0],
        promises=judge(history),
    )


def text(found: Report) -> str:
    """The report for people."""
    lines = [
        f"{found.n_tasks} tasks, {found.n_attempts} attempts, {found.n_aborts} aborts in "
        f"{found.duration_s:.0f} s of faults (seed {found.seed}); "
        f"all quiet {found.quiet_after_s:.0f} s later",
        f"  tasks     {_counts(found.tasks)}",
        f"  attempts  {_counts(found.causes)}",
        f"  late writes refused  {found.n_late_writes}",
        "",
        "Faults that really happened:",
        *(f"  {line}" for line in _fault_lines(found.faults)),
    ]
    if found.never:
        lines.append(f"  never: {', '.join(found.never)}; this run proves nothing of them")
    lines += ["", "Promises:", *(line for each in found.promises for line in _promise_lines(each))]
    lines += found.notes
    n_broken = sum(verdict.held is False for verdict in found.promises)
    lines += ["", f"{n_broken} of {len(found.promises)} promises were violated."]
    return "\n".join(lines)


def _count(history: History, lease_ttl_s: float) -> list[FaultCount]:
    landed = [fault for fault in history.faults if fault.landed]
    counts: list[FaultCount] = []
    for card in nemesis.DECK:
        mine = [fault for fault in landed if fault.card == card]
        n_long = sum(fault.lasted_s > lease_ttl_s for fault in mine)
        counts.append(FaultCount(card.action, card.target, len(mine), n_long))
    return counts


def _late_writes(history: History) -> int:
    """Of each attempt the last row counts them all, since it says how many there were."""
    most: dict[tuple[str, int], int] = {}
    for task_id, story in history.stories.items():
        for entry in story.audit:
            if entry.event == _LATE_WRITE:
                key = (task_id, int(entry.details.get("epoch", entry.epoch)))
                n = int(entry.details.get("n_refused", 1))
                most[key] = max(most.get(key, 0), n)
    return sum(most.values())


def _fault_lines(faults: list[FaultCount]) -> list[str]:
    lines: list[str] = []
    for action in dict.fromkeys(fault.action for fault in faults):
        mine = [fault for fault in faults if fault.action == action]
        total, n_long = sum(f.n for f in mine), sum(f.n_long for f in mine)
        long = f" ({n_long} longer than a lease)" if n_long else ""
        parts = ", ".join(f"{fault.target} {fault.n}" for fault in mine)
        lines.append(f"{action:8} {total:4}  {parts}{long}")
    return lines


def _promise_lines(verdict: Verdict) -> list[str]:
    word = {True: "held", False: "VIOLATED", None: "not put to the test"}[verdict.held]
    about = ", ".join(str(number) for number in verdict.invariants)
    lines = [f"  {word:9} {verdict.words} [invariant {about}; {verdict.n_checked} checked]"]
    return lines + [f"            - {evidence}" for evidence in verdict.evidence]


def _counts(by_name: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(by_name.items(), key=lambda i: -i[1]))
