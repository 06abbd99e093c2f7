"""``docs/reference/``, made from the docstrings: ``python docs/make_reference.py``.

Griffe reads the sources; nothing is imported.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
_MADE = "Made from the docstrings by `make reference`; every name here is imported from `dray`.\n"
#: A role of reStructuredText such as ``:meth:`~dray.Task.init```.
_ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]+\.)?(\w+)`")


#: What a call comes to when a client has sent it.
_RETURNED = re.compile(r"^(?:Call|Conversation)\[(.*)\]$")


@dataclass(frozen=True)
class Page:
    """One page: what it is about, and the classes on it by where they are written.

    Attributes:
        calls: modules whose functions are methods of a class, by the class's name.
    """

    name: str
    about: str
    classes: tuple[str, ...]
    calls: dict[str, tuple[str, ...]] = field(default_factory=dict)


PAGES = (
    Page("task", "A task: recorded, edited, queued, read back.", ("sdk.task.Task",)),
    Page("logger", "What a script reports while it runs.", ("sdk.logger.Logger",)),
    Page(
        "models",
        "Trained weights, and what is known of them.",
        ("sdk.models.found.Model", "sdk.models.found.InputModel", "sdk.models.output.OutputModel"),
    ),
    Page(
        "artifacts",
        "Named outputs of a task, and files anywhere.",
        ("sdk.artifacts.artifact.Artifact", "sdk.storage.manager.StorageManager"),
    ),
    Page(
        "parameters",
        "Hyperparameters as a class with ranges.",
        ("sdk.parameters.parameter_class.TaskParameters",),
    ),
    Page(
        "client",
        "One method for each route of the HTTP API; `AsyncClient` has the same to be awaited.",
        ("sdk.client.Client", "sdk.async_client.AsyncClient"),
        {
            "Client": (
                "sdk.calls.tasks",
                "sdk.calls.attempts",
                "sdk.calls.results",
                "sdk.calls.blobs",
                "sdk.calls.models",
                "sdk.calls.admin",
            )
        },
    ),
    Page(
        "automation",
        "What scripts build of tasks, from `dray.automation`.",
        ("automation.job.Job", "automation.job.RunningJob", "automation.monitor.Monitor"),
    ),
    Page(
        "api-client",
        "ClearML's API client by its names, from `dray.backend_api.session.client`.",
        (
            "sdk.backend.api_client.APIClient",
            "sdk.backend.tasks.Tasks",
            "sdk.backend.projects.Projects",
            "sdk.backend.queues.Queues",
            "sdk.backend.models.Models",
            "sdk.backend.workers.Workers",
            "sdk.backend.events.Events",
        ),
    ),
)


def pages() -> dict[str, str]:
    """Each page's text by its file name, the index first."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"], docstring_parser="google")
    package = loader.load("dray")
    index = ["# Reference of the Python interface\n", _MADE, "| Page | |\n| --- | --- |"]
    texts: dict[str, str] = {}
    for page in PAGES:
        names = ", ".join(f"`{path.rsplit('.', 1)[1]}`" for path in page.classes)
        index.append(f"| [{names}]({page.name}.md) | {page.about} |")
        title = names.replace("`", "")
        parts = [f"# {title}\n", f"{page.about} {_MADE}"]
        for path in page.classes:
            called = [package[module] for module in page.calls.get(path.rsplit(".", 1)[1], ())]
            parts.extend(_class(package[path], called))
        texts[f"{page.name}.md"] = "\n".join(parts).rstrip() + "\n"
    return {"README.md": "\n".join(index) + "\n", **texts}


def write() -> None:
    """Bring the folder up to date; pages that are no more go."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, "utf-8")


def _class(found: Any, called: list[Any]) -> Iterator[str]:
    """A class and its public members; Any: griffe's objects and aliases share no type."""
    yield f"## {found.name}\n"
    yield from _sections(found)
    members = {**found.inherited_members, **found.members}
    for module in called:
        members.update((n, m) for n, m in module.members.items() if n in found.members)
    for name in sorted(members):
        member = members[name]
        if name.startswith("_") or not (member.is_function or member.is_attribute):
            continue
        if member.docstring is None:
            continue
        yield f"### {found.name}.{name}\n"
        yield f"```python\n{_signature(found.name, member)}\n```\n"
        yield from _sections(member)


def _signature(owner: str, member: Any) -> str:
    if not member.is_function:
        kind = f": {member.annotation}" if member.annotation is not None else ""
        of = owner.lower() if "property" in member.labels else owner
        return f"{of}.{member.name}{kind}"
    is_static = {"classmethod", "staticmethod"} & set(member.labels)
    said = list(_parameters(member))
    returned = _RETURNED.sub(r"\1", str(member.returns))
    returns = f" -> {returned}" if member.returns is not None else ""
    name = f"{owner}.{member.name}" if is_static else f"{owner.lower()}.{member.name}"
    line = f"{name}({', '.join(said)}){returns}"
    if len(line) <= 88:
        return line
    return f"{name}(\n    " + ",\n    ".join(said) + f",\n){returns}"


def _parameters(function: Any) -> Iterator[str]:
    is_by_name = False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        kind = str(parameter.kind and parameter.kind.value)
        if kind == "keyword-only" and not is_by_name:
            yield "*"
        is_by_name = is_by_name or kind in ("keyword-only", "variadic positional")
        yield _parameter(parameter)


def _parameter(parameter: Any) -> str:
    star = {"variadic positional": "*", "variadic keyword": "**"}
    name = star.get(str(parameter.kind and parameter.kind.value), "") + parameter.name
    kind = f": {parameter.annotation}" if parameter.annotation is not None else ""
    if parameter.default is None or name.startswith("*"):
        return name + kind
    return f"{name}{kind}{' = ' if kind else '='}{parameter.default}"


def _sections(documented: Any) -> Iterator[str]:
    if documented.docstring is None:
        return
    for section in documented.docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.text:
            yield _text(section.value) + "\n"
        elif section.kind is griffe.DocstringSectionKind.examples:
            yield from (_example(kind, text) for kind, text in section.value)
        elif isinstance(section.value, list):
            yield f"{section.kind.value.capitalize()}:\n"
            yield "\n".join(_item(item) for item in section.value) + "\n"


def _item(item: Any) -> str:
    name = getattr(item, "name", "") or str(item.annotation or "")
    return f"- `{name}`: {_text(' '.join(item.description.split()))}"


def _example(kind: Any, text: str) -> str:
    if kind is griffe.DocstringSectionKind.text:
        return _text(text) + "\n"
    return f"```python\n{text}\n```\n"


def _text(text: str) -> str:
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{len(PAGES)} pages in {FOLDER.relative_to(ROOT)}\n")
