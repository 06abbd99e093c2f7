"""What is measured: a stable name, a unit, what it means, and the bar it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Bar:
    """A limit on the ratio to what was measured beside it, or on the value itself."""

    of: Literal["ratio", "value"]
    sense: Literal["<=", ">="]
    limit: float

    def holds(self, value: float, ratio: float | None) -> bool:
        """Whether what was measured keeps to it."""
        seen = value if self.of == "value" else ratio
        if seen is None:
            return False
        return seen <= self.limit if self.sense == "<=" else seen >= self.limit

    def __str__(self) -> str:
        return f"{self.of} {self.sense} {self.limit:g}"


@dataclass(frozen=True)
class Spec:
    """One measure.

    Attributes:
        subject: module of this folder that measures it; those of one module run together.
        says: one sentence for the page.
        bar: None where it is only reported.
    """

    name: str
    subject: str
    unit: str
    says: str
    bar: Bar | None = None


def _at_most(limit: float) -> Bar:
    return Bar("ratio", "<=", limit)


CATALOGUE = (
    Spec(
        "import-dray",
        "children",
        "ms",
        "what `import dray; from dray import Task` adds to the start of a child, "
        "against a bare start",
        _at_most(2),
    ),
    Spec(
        "task-init-in-child",
        "children",
        "ms",
        "what the import and `Task.init` of a child that an agent started add, "
        "against a bare start",
        _at_most(2),
    ),
    Spec(
        "task-init-local",
        "inits",
        "ms",
        "`Task.init` of a script started by hand without a server, beside a bare start",
        Bar("value", "<=", 150),
    ),
    Spec(
        "task-init-with-server",
        "inits",
        "ms",
        "the same with a server on this machine",
        Bar("value", "<=", 300),
    ),
    Spec(
        "task-close",
        "inits",
        "ms",
        "`task.close()` of both, which leaves the rest to the process beside the script",
        Bar("value", "<=", 50),
    ),
    Spec(
        "report-scalar",
        "scalars",
        "µs",
        "one `report_scalar` of a million in a tight loop, against encoding and writing the same "
        "JSON line by hand",
        _at_most(1.5),
    ),
    Spec(
        "report-scalar-in-training",
        "scalars",
        "µs",
        "the same between the steps of a training loop of NumPy and scikit-learn",
        _at_most(1.5),
    ),
    Spec(
        "report-scalar-p99",
        "scalars",
        "µs",
        "of the million calls 99 % take less, against the same by hand",
        Bar("value", "<=", 500),
    ),
    Spec(
        "report-scalar-worst",
        "scalars",
        "ms",
        "the slowest of 100,000 calls in the best of the rounds, against the same by hand",
        Bar("value", "<=", 5),
    ),
    Spec(
        "report-scalar-tensorboardx",
        "scalars",
        "µs",
        "one `add_scalar` of tensorboardX's SummaryWriter, against the same line by hand, to "
        "compare with",
    ),
    Spec(
        "hooks-step-time",
        "hooks",
        "µs",
        "a training step of a perceptron on MNIST's shapes with all hooks installed and nothing "
        "saved, against the same without",
        _at_most(1.01),
    ),
    Spec(
        "hooks-tensorboard",
        "hooks",
        "µs",
        "one `add_scalar` of tensorboardX's SummaryWriter that is recorded too, against the same "
        "without hooks",
    ),
    Spec(
        "claim-cost-depth",
        "claims",
        "µs",
        "pick and claim one task with 100,000 pending, against 100 pending",
        _at_most(1.5),
    ),
    Spec(
        "history-ready",
        "history",
        "ms",
        "from opening a store of 1,000,000 finished tasks, none of it in memory, until a gateway "
        "serves and a scheduler has read what waits and runs, against 1,000 tasks",
        Bar("value", "<=", 2000),
    ),
    Spec(
        "history-list",
        "history",
        "µs",
        "a page of 50 tasks with 1,000,000 in the store, against 1,000",
        _at_most(1.5),
    ),
    Spec(
        "history-why",
        "history",
        "µs",
        "what the store is asked for the reason why a task waits, likewise",
        _at_most(1.5),
    ),
    Spec(
        "history-claim",
        "history",
        "µs",
        "one task from the head of the queue over claim and end, and another one enqueued, "
        "likewise",
        _at_most(1.5),
    ),
    Spec(
        "cold-environment",
        "environments",
        "ms",
        "an environment built for a new key and looked through, against `uv venv` and `uv pip "
        "install` by hand, both with the packages in uv's cache",
        _at_most(1.1),
    ),
    Spec(
        "warm-environment",
        "environments",
        "ms",
        "what an environment with packages that is there already adds to a bare start, from asking "
        "for it to the first line of the script",
        Bar("value", "<=", 10),
    ),
    Spec(
        "same-key-environment",
        "environments",
        "ms",
        "the start of a second task with the same packages on a node, against that of a task "
        "without packages",
        _at_most(1.1),
    ),
    Spec(
        "environment-lookup",
        "environments",
        "ms",
        "an environment found among 1,000 in a node's cache, from its specification to holding it",
        Bar("value", "<=", 5),
    ),
    Spec(
        "submit-unchanged",
        "submits",
        "ms",
        "`dray run --queue` of a script in a repository of 10,000 files that nobody changed since "
        "the last time, as a whole, with a server on this machine",
        Bar("value", "<=", 1000),
    ),
    Spec(
        "snapshot-layout",
        "submits",
        "ms",
        "the 10,000 files laid out on a node from its cache, each held against its hash, against "
        "`cp -r`",
        _at_most(2),
    ),
    Spec(
        "points-per-second",
        "points",
        "1/s",
        "scalars from a spool through shipper, gateway and store until a query finds them, "
        "against decoding and inserting them by hand in one process",
        Bar("value", ">=", 100_000),
    ),
    Spec(
        "points-flood",
        "points",
        "ms",
        "an answer of the gateway to `/healthz` while such a backlog of scalars comes in, against "
        "the same at rest",
        Bar("value", "<=", 100),
    ),
    Spec(
        "points-flood-claim",
        "points",
        "ms",
        "a task over creation, enqueueing and start by hand meanwhile, against the same at rest",
        Bar("value", "<=", 250),
    ),
    Spec(
        "idle-memory",
        "memory",
        "MiB",
        "the idle control plane (gateway, scheduler, two queues), against Ray's own idle processes",
        _at_most(1),
    ),
    Spec(
        "idle-memory-with-agent",
        "memory",
        "MiB",
        "the same and one warm agent",
    ),
    Spec(
        "enqueue-to-first-line",
        "latency",
        "ms",
        "from the call that enqueues to the first line of user code, agent and environment "
        "warm, against a bare start",
        _at_most(3),
    ),
    Spec(
        "enqueue-to-first-line-visible",
        "latency",
        "ms",
        "the same until a client that follows the console has that line",
    ),
    Spec(
        "abort-obeying",
        "abort",
        "ms",
        "from the request that aborts a task to the end of the last of its three processes, "
        "one of them a daemon, all of which end at the first signal",
        Bar("value", "<=", 1000),
    ),
    Spec(
        "abort-ignoring",
        "abort",
        "ms",
        "the same of processes that ignore INT and TERM, with a grace of 2 s",
        Bar("value", "<=", 4000),
    ),
    Spec(
        "killed-agent",
        "detection",
        "ms",
        "from the SIGKILL of an agent until its task is back in its queue",
        Bar("value", "<=", 5000),
    ),
    Spec(
        "killed-node",
        "detection",
        "ms",
        "from the SIGKILL of another node's raylet until its task is back in its queue, "
        "with a lease of 30 s",
        Bar("value", "<=", 45000),
    ),
    Spec(
        "killed-gateway",
        "detection",
        "ms",
        "from the SIGKILL of the gateway until a request is answered, a running task unharmed",
        Bar("value", "<=", 5000),
    ),
    Spec(
        "throughput-200-noop",
        "throughput",
        "1/s",
        "200 tasks that do nothing on two slots, from the first enqueue to the last end, "
        "against `xargs -P2` with the same python and script",
        Bar("ratio", ">=", 0.5),
    ),
    Spec(
        "throughput-200-noop-hyperqueue",
        "throughput",
        "1/s",
        "the same 200 processes by HyperQueue, against `xargs -P2`, to compare with",
    ),
    Spec(
        "console-flood",
        "floods",
        "ms",
        "an answer of the gateway to `/healthz` while one task writes 100 MB/s to its console "
        "for 30 s and others come and go, against the same at rest",
        Bar("value", "<=", 100),
    ),
)

BY_NAME = {spec.name: spec for spec in CATALOGUE}
