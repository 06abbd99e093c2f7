"""What differs between two tasks: code, environment, parameters, packages, results.

Pure: what has to be asked for, such as the files of their code, is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
        section: ``task``, ``execution``, ``files``, ``environment``, ``packages``,
            ``installed``, ``parameters``, ``configuration`` or ``metrics``.
        left: the first task's value; None where it has none.
        right: the second task's value; None where it has none.
        text: the lines that differ, where they were asked for.
    """

    section: str
    name: str
    left: str | None
    right: str | None
    text: str = ""


def compare(left: Task, right: Task, files: Sequence[Difference] = ()) -> list[Difference]:
    """Every difference that explains why two tasks did not end alike, in reading order.

    Args:
        files: of their code, that differ.
    """
    found: list[Difference] = []
    for section, (before, after) in _sections(left, right).items():
        if section == "environment":
            found += files
        found += [
            Difference(section, name, before.get(name), after.get(name))
            for name in [*before, *(n for n in after if n not in before)]
            if before.get(name) != after.get(name)
        ]
    return found


def _sections(left: Task, right: Task) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    readers: dict[str, Any] = {
        "task": _outcome,
        "execution": _execution,
        "environment": _environment,
        "packages": _packages,
        "installed": _installed,
        "parameters": _parameters,
        "configuration": _configuration,
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
        "binary": e.binary,
        "python_version": e.python_version,
        "environment_manager": e.environment_manager,
        "packages_from": e.packages_from,
        "extras": " ".join(e.extras),
        "groups": " ".join(e.groups),
        "constraints": " ".join(e.constraints),
        "index_urls": " ".join(e.index_urls),
        "find_links": " ".join(e.find_links),
        "torch_backend": e.torch_backend,
        "container": " ".join(filter(None, (e.container.image, e.container.arguments))),
        "container setup script": summary(e.container.setup_script),
        "system_packages": " ".join(e.system_packages),
        "setup_script": summary(e.setup_script),
        "python_path": " ".join(e.python_path),
        **{f"variables.{name}": value for name, value in sorted(e.variables.items())},
        "resources": e.resources.label(),
        "output_uri": e.output_uri,
    }
    return {name: str(value) for name, value in named.items() if value}


def _environment(task: Task) -> dict[str, str]:
    """What an agent prepared; how long that took, and whether it was there, explains nothing."""
    report = task.attempt.environment if task.attempt else None
    if report is None:
        return {}
    named = {
        "python": report.python,
        "platform": report.platform,
        "manager": report.manager,
        "built from": report.origin,
        "cuda": report.cuda,
        "torch_backend": report.torch_backend,
        "image": report.image,
        "commit": report.commit,
    }
    return {name: value for name, value in named.items() if value}


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
