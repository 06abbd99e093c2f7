"""What differs between two tasks: execution, parameters, packages, results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dray.runtime.models import Task

#: Titles under which a machine's own samples are kept.
MONITOR = ":monitor:"
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(.*)$")


@dataclass(frozen=True)
class Difference:
    """One value that two tasks do not share.

    Attributes:
        section: ``execution``, ``parameters``, ``configuration``, ``packages``, ``installed``,
            ``metrics`` or ``task``.
        left: the first task's value; None where it has none.
        right: the second task's value; None where it has none.
    """

    section: str
    name: str
    left: str | None
    right: str | None


def compare(left: Task, right: Task) -> list[Difference]:
    """Every difference that explains why two tasks did not end alike, in reading order."""
    return [
        Difference(section, name, before.get(name), after.get(name))
        for section, (before, after) in _sections(left, right).items()
        for name in [*before, *(n for n in after if n not in before)]
        if before.get(name) != after.get(name)
    ]


def _sections(left: Task, right: Task) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    readers: dict[str, Any] = {
        "task": _outcome,
        "execution": _execution,
        "parameters": _parameters,
        "configuration": _configuration,
        "packages": _packages,
        "installed": _installed,
        "metrics": _metrics,
    }
    return {section: (read(left), read(right)) for section, read in readers.items()}


def _outcome(task: Task) -> dict[str, str]:
    return {"state": str(task.state), "cause": task.cause.message if task.cause else ""}


def _execution(task: Task) -> dict[str, str]:
    e = task.execution
    named: Mapping[str, Any] = {
        "repository": e.repository,
        "commit": e.commit,
        "branch": e.branch,
        "uncommitted changes": summary(e.diff),
        "snapshot": e.snapshot,
        "working_dir": e.working_dir,
        "entry_point": e.entry_point,
        "arguments": " ".join(e.arguments),
        "python_version": e.python_version,
        "index_urls": " ".join(e.index_urls),
        "resources": e.resources.label(),
        "output_uri": e.output_uri,
    }
    return {name: str(value) for name, value in named.items() if value}


def _parameters(task: Task) -> dict[str, str]:
    return {name: parameter.value for name, parameter in sorted(task.parameters.items())}


def _configuration(task: Task) -> dict[str, str]:
    return {name: summary(item.text) for name, item in sorted(task.configuration.items())}


def _packages(task: Task) -> dict[str, str]:
    return by_package(task.execution.packages)


def _installed(task: Task) -> dict[str, str]:
    environment = task.attempt.environment if task.attempt else None
    return by_package(environment.installed) if environment else {}


def _metrics(task: Task) -> dict[str, str]:
    found = {  # what the machine did meanwhile is no result
        f"{title}/{series}": f"{metric.last:.6g}"
        for title, by_series in sorted(task.metrics.items())
        if not title.startswith(MONITOR)
        for series, metric in sorted(by_series.items())
    }
    return found | {name: f"{v:.6g}" for name, v in sorted(task.single_values.items())}


def by_package(requirements: list[str]) -> dict[str, str]:
    """Requirement lines by normalised package name; lines that name none by themselves."""
    found: dict[str, str] = {}
    for line in requirements:
        match = _REQUIREMENT.match(line)
        if match is None:
            found[line] = line
        else:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            found[name] = match[2].strip() or "any version"
    return dict(sorted(found.items()))


def summary(text: str) -> str:
    """A long text as its size and a digest, so that a difference shows and does not flood."""
    if not text:
        return ""
    import hashlib

    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    lines = text.count("\n") + (not text.endswith("\n"))
    return f"{lines} line{'' if lines == 1 else 's'}, sha256 {digest}"
