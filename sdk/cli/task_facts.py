"""What ``dray task show`` says of a task, group by group."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dray.runtime import durations
from dray.sdk.cli import words
from dray.sdk.cli.output import Facts
from dray.sdk.cli.task_diff import MONITOR

if TYPE_CHECKING:
    from dray.runtime.execution import EnvironmentReport
    from dray.runtime.models import Attempt, Metric, StreamReceipt, Task


#: Gaps of a stream that are listed, of the many a long flood leaves.
_GAPS_SHOWN = 5


def facts_of(task: Task, why: str = "", page: str = "", attempts: Sequence[Attempt] = ()) -> Facts:
    """Everything worth reading about ``task``.

    Args:
        task: the task, with its latest attempt and metrics.
        why: the reason it waits, when it is pending or unreachable.
        page: where to look at it in a browser.
        attempts: all of them, where there are several.
    """
    facts = Facts()
    _add_identity(facts, task, why)
    facts.add("page", page)
    if task.attempt is not None:
        _add_attempt(facts, task, task.attempt)
    _add_earlier(facts, [attempt for attempt in attempts if attempt.epoch != task.epoch])
    _add_policy(facts, task)
    _add_execution(facts, task)
    facts.group("Parameters")
    for name, parameter in sorted(task.parameters.items()):
        facts.add(name, parameter.value)
    _add_results(facts, task)
    return facts


def _add_identity(facts: Facts, task: Task, why: str) -> None:
    facts.add("task", task.name)
    facts.add("id", task.id)
    facts.add("project", task.project)
    facts.add("type", task.type)
    facts.add("state", task.state)
    facts.add("phase", task.phase)
    facts.add("progress", None if task.progress is None else f"{task.progress:g} %")
    if task.cause is not None:
        facts.add("cause", task.cause.message)
        facts.add("evidence", (task.cause.evidence or "").rstrip())
    facts.add("waits because" if task.phase is None else "unreachable", why)
    facts.add("queue", task.queue)
    facts.add("priority", task.priority or None)
    facts.add("owner", task.owner)
    facts.add("tags", ", ".join(task.tags))
    facts.add("system tags", ", ".join(task.system_tags))
    facts.add("labels", ", ".join(f"{name}={number}" for name, number in task.labels.items()))
    facts.add("on completion", "published" if task.publish_on_completion else None)
    facts.add("comment", task.comment)
    facts.add("parent", task.parent_id)
    facts.add("created", words.moment(task.created_at))
    facts.add("enqueued", words.moment(task.enqueued_at))
    facts.add("started", words.moment(task.started_at))
    facts.add("ended", words.moment(task.ended_at))


def _add_attempt(facts: Facts, task: Task, attempt: Attempt) -> None:
    facts.group("Attempt")
    facts.add("attempt", attempt.epoch)
    facts.add("agent", attempt.agent)
    facts.add("node", attempt.node)
    facts.add("environment", environment(attempt.environment))
    _add_report(facts, attempt.environment)
    facts.add("first line after", words.duration(seconds_to_first_line(task)))
    facts.add("counts from iteration", task.initial_iteration or None)
    facts.add("unreachable since", words.moment(attempt.unreachable_since))
    facts.group("Console")
    for stream, receipt in attempt.receipt.items():
        facts.add(stream, receipt_words(receipt))


def _add_report(facts: Facts, report: EnvironmentReport | None) -> None:
    """What was really prepared, where that is more than was asked for."""
    if report is None:
        return
    by = (report.manager, f"from {report.origin}" if report.origin else "")
    facts.add("built by", " ".join(filter(None, by)))
    facts.add("built in", words.duration(report.build_seconds) if report.build_seconds else None)
    facts.add("platform", report.platform)
    facts.add("CUDA of the driver", report.cuda)
    facts.add("builds of PyTorch", report.torch_backend)
    facts.add("image", report.image)
    facts.add("commit that ran", report.commit)
    facts.add("installed", ", ".join(report.installed))


def _add_earlier(facts: Facts, attempts: Sequence[Attempt]) -> None:
    """How each attempt before the latest ended."""
    facts.group("Earlier attempts")
    for attempt in attempts:
        cause = attempt.cause
        lasted = words.duration(attempt.ended_at and attempt.ended_at - attempt.claimed_at)
        told = (attempt.agent, lasted, cause.message if cause is not None else "")
        facts.add(f"attempt {attempt.epoch}", ", ".join(filter(None, told)))
        evidence = (cause.evidence or "").rstrip() if cause is not None else ""
        facts.add(f"evidence {attempt.epoch}", evidence)


def _add_policy(facts: Facts, task: Task) -> None:
    """What may be done with it when things go wrong, and how much of that is used up."""
    policy = task.policy
    facts.group("Policy")
    facts.add("when its worker is lost", policy.on_lost)
    facts.add("requeued", f"{task.n_requeues} of {policy.max_requeues}")
    if policy.retries or task.n_retries:
        facts.add("retried", f"{task.n_retries} of {policy.retries}")
        facts.add("first retry after", durations.written(policy.retry_delay_s))
    facts.add("next retry", words.moment(task.not_before))
    if policy.quarantine_after:
        facts.add("quarantined after", f"{policy.quarantine_after} agents that died under it")
    if policy.max_run_time_s is not None:
        facts.add("may run", durations.written(policy.max_run_time_s))
    if policy.stop_grace_s is not None:
        facts.add("grace to stop", durations.written(policy.stop_grace_s))


def _add_execution(facts: Facts, task: Task) -> None:
    execution = task.execution
    facts.group("Execution")
    facts.add("repository", execution.repository)
    facts.add("commit", execution.commit)
    facts.add("branch", execution.branch)
    n_changed = sum(line.startswith("diff --git") for line in execution.diff.splitlines())
    facts.add("uncommitted", words.count(n_changed, "changed file") if execution.diff else None)
    facts.add("snapshot", execution.snapshot)
    facts.add("working dir", execution.working_dir if execution.working_dir != "." else None)
    facts.add("runs", shlex.join([*execution.entry_point.split(), *execution.arguments]))
    facts.add("run by", execution.binary)
    container = execution.container
    facts.add("container", " ".join(filter(None, (container.image, container.arguments))))
    facts.add("container setup", container.setup_script)
    facts.add("output to", execution.output_uri)
    facts.add("system packages", " ".join(execution.system_packages))
    facts.add("setup script", execution.setup_script.rstrip())
    variables = [f"{name}={value}" for name, value in sorted(execution.variables.items())]
    facts.add("variables", shlex.join(variables))
    facts.add("imports from", " ".join(execution.python_path))
    facts.add("python", execution.python_version)
    facts.add("manager", execution.environment_manager)
    facts.add("packages from", execution.packages_from)
    facts.add("packages", ", ".join(execution.packages))
    facts.add("extras", ", ".join(execution.extras))
    facts.add("groups", ", ".join(execution.groups))
    facts.add("constraints", ", ".join(execution.constraints))
    facts.add("indexes", " ".join(execution.index_urls))
    facts.add("find links", " ".join(execution.find_links))
    facts.add("torch backend", execution.torch_backend)
    facts.add("resources", execution.resources.label())


def _add_results(facts: Facts, task: Task) -> None:
    facts.group("Results")
    for name, number in sorted(task.single_values.items()):
        facts.add(name, words.value(number))
    machine, reported = _split(task)
    for title, by_series in reported.items():
        for series, metric in sorted(by_series.items()):
            at = f"at iteration {metric.last_iteration}"
            facts.add(f"{title}/{series}", f"{words.value(metric.last)} {at}, {_range(metric)}")
    facts.group("Machine")
    for by_series in machine.values():
        for series, metric in sorted(by_series.items()):
            facts.add(series, f"{words.value(metric.last)}, {_range(metric)}")
    facts.group("Artifacts")
    for artifact in task.artifacts:
        facts.add(artifact.name, artifact.uri or f"{artifact.type}, {artifact.n_bytes:,} bytes")


def _split(task: Task) -> tuple[dict[str, dict[str, Metric]], dict[str, dict[str, Metric]]]:
    """Metrics sampled from the machine, and those the script reported."""
    machine = {t: found for t, found in sorted(task.metrics.items()) if t.startswith(MONITOR)}
    return machine, {t: found for t, found in sorted(task.metrics.items()) if t not in machine}


def _range(metric: Metric) -> str:
    return f"min {words.value(metric.min)}, max {words.value(metric.max)}"


def environment(report: EnvironmentReport | None) -> str:
    """Whether an environment was built or found, and how long that took."""
    if report is None:
        return ""
    made = "reused" if report.reused else "built"
    python = f", python {report.python}" if report.python else ""
    n_installed = words.count(len(report.installed), "package")
    return f"{made} in {words.duration(report.seconds)} ({report.key[:12]}{python}, {n_installed})"


def seconds_to_first_line(task: Task) -> float | None:
    """Seconds from the queue to the first byte of console; None when one is missing."""
    attempt = task.attempt
    if attempt is None or attempt.first_output_at is None or task.enqueued_at is None:
        return None
    waited = attempt.first_output_at - task.enqueued_at
    return waited if waited >= 0 else None


def receipt_words(receipt: StreamReceipt) -> str:
    """What a stream came to: exact, or what is missing."""
    written = words.count(receipt.n_bytes, "byte")
    if receipt.exact and not receipt.missing_bytes:
        return f"{written}, stored exactly (sha256 {receipt.sha256[:12]})"
    told = f"{written} written, {receipt.stored_bytes:,} stored"
    if not receipt.missing_bytes:
        return f"{told}: the console has a gap"
    exactly = " exactly" if receipt.exact else ""
    gaps = ", ".join(f"{g.offset:,}+{g.n_bytes:,}" for g in receipt.gaps[:_GAPS_SHOWN])
    more = ", …" if len(receipt.gaps) > _GAPS_SHOWN else ""
    return f"{told}{exactly}, {receipt.missing_bytes:,} not stored (gaps: {gaps}{more})"
