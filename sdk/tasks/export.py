"""A task as one nested document in the shape that ClearML's programs know, and back.

``exported`` leaves outputs out of nothing that says how to run the task again, so that
``imported`` makes the same task of it; what ClearML has no member for is under ``dray``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, cast

from dray.runtime.errors import InvalidInput, WrongType
from dray.runtime.state_words import WORD_BY_STATE

Json = dict[str, Any]

#: Of the document's own shape; it has nothing to do with the server's version.
API_VERSION = "2.34"
#: Members of Execution that ClearML's document has no place for.
_OWN_EXECUTION = (
    "arguments",
    "bootstrap",
    "packages_from",
    "extras",
    "groups",
    "constraints",
    "index_urls",
    "find_links",
    "environment_manager",
    "torch_backend",
    "python_path",
    "variables",
    "setup_script",
    "system_packages",
    "resources",
)
_CODE = {"repository": "repository", "commit": "version_num", "branch": "branch", "diff": "diff"}
_PROPERTIES = "properties"
#: Titles of charts that are sampled by the clock.
_MONITOR = ":monitor:"


def exported(task: Mapping[str, Any]) -> Json:
    """What makes the task again, without what it put out; times are ISO 8601 in UTC.

    Args:
        task: JSON of ``models.Task``.
    """
    document = described(task)
    for name in ("status_message", "status_reason", "status_changed", "last_metrics"):
        document.pop(name)
    document.pop("last_iteration")
    document["execution"].pop("artifacts")
    document["models"].pop("output", None)
    for name in ("created", "started", "completed", "last_update", "last_change"):
        document[name] = document[name] and document[name].isoformat()
    return document


def described(task: Mapping[str, Any]) -> Json:
    """Everything known of a task under ClearML's names, with results and times.

    Args:
        task: JSON of ``models.Task``.
    """
    execution = _map(task.get("execution"))
    cause = _map(task.get("cause"))
    attempt = _map(task.get("attempt"))
    installed = cast("list[str]", _map(attempt.get("environment")).get("installed") or [])
    state = str(task.get("state") or "draft")
    changed = {
        "draft": task.get("created_at"),
        "pending": task.get("enqueued_at"),
        "running": task.get("started_at"),
    }.get(state, task.get("ended_at"))
    return {
        "id": task["id"],
        "name": task["name"],
        "user": task.get("owner") or "",
        "type": task.get("type") or "training",
        "status": WORD_BY_STATE[state],
        "status_reason": cause.get("kind") or "",
        "status_message": cause.get("message") or "",
        "status_changed": _moment(changed),
        "comment": task.get("comment") or "",
        "created": _moment(task.get("created_at")),
        "started": _moment(task.get("started_at")),
        "completed": _moment(task.get("ended_at")),
        "last_update": _moment(task.get("updated_at")),
        "last_change": _moment(task.get("updated_at")),
        "parent": task.get("parent_id") or None,
        "project": task.get("project_id") or task.get("project"),
        "project_name": task.get("project"),
        "tags": list(task.get("tags") or []),
        "system_tags": list(task.get("system_tags") or []),
        "script": _script(execution, installed),
        "container": _container(execution),
        "execution": {
            "queue": task.get("queue") or None,
            "model_labels": dict(_map(task.get("labels"))),
            "artifacts": [_artifact(one) for one in _list(task.get("artifacts"))],
        },
        "output": {"destination": execution.get("output_uri") or None},
        "models": _models(_map(task.get("models"))),
        "hyperparams": _hyperparams(task),
        "configuration": {
            name: {
                "name": name,
                "value": one.get("text") or "",
                "type": one.get("type") or None,
                "description": one.get("description") or None,
            }
            for name, one in _map(task.get("configuration")).items()
        },
        "runtime": dict(_map(task.get("runtime"))),
        "last_worker": attempt.get("agent") or None,
        "last_iteration": last_iteration(task),
        "last_metrics": _metrics(_map(task.get("metrics"))),
        "session_api_version": API_VERSION,
        "dray": _own(task, execution, installed),
    }


def last_iteration(task: Mapping[str, Any]) -> int:
    """The highest iteration of any series that the script reported; 0 when there is none."""
    metrics = cast("dict[str, dict[str, Json]]", task.get("metrics") or {})
    return max(
        (
            int(summary.get("last_iteration") or 0)
            for title, series in metrics.items()
            if not title.startswith(_MONITOR)
            for summary in series.values()
        ),
        default=0,
    )


def imported(document: Mapping[str, Any]) -> Json:
    """Members of a task (as ``Client.create_task`` and ``edit_task`` take them) of a document.

    Only what the document has is in it. Unknown members are left alone, for documents of other
    versions have some.

    Raises:
        WrongType: a member of another shape.
    """
    members: Json = {}
    plain = {
        "name": "name",
        "comment": "comment",
        "type": "type",
        "tags": "tags",
        "system_tags": "system_tags",
        "parent": "parent_id",
    }
    for name, own in plain.items():
        if name in document:
            members[own] = document[name] if document[name] is not None else ""
    for name in ("tags", "system_tags"):
        if name in members:
            members[name] = list(members[name] or [])
    if "type" in members:
        members["type"] = str(members["type"] or "training")
    execution = _execution_of(document)
    if execution:
        members["execution"] = execution
    if "hyperparams" in document:
        members["parameters"], members["properties"] = _parameters_of(document)
    if "configuration" in document:
        members["configuration"] = _configuration_of(document)
    labels = _dict(document, "execution").get("model_labels")
    if labels is not None:
        members["labels"] = dict(labels)
    own = _dict(document, "dray")
    for name in ("priority", "policy", "publish_on_completion"):
        if name in own:
            members[name] = own[name]
    return members


def _script(execution: Json, installed: list[str]) -> Json:
    version = execution.get("python_version") or ""
    return {
        "binary": execution.get("binary") or (f"python{version}" if version else "python"),
        "repository": execution.get("repository") or "",
        "tag": None,
        "branch": execution.get("branch") or "",
        "version_num": execution.get("commit") or "",
        "entry_point": execution.get("entry_point") or "",
        "working_dir": execution.get("working_dir") or ".",
        "requirements": requirements_of(execution, installed),
        "diff": execution.get("diff") or "",
    }


def requirements_of(execution: Mapping[str, Any], installed: list[str]) -> dict[str, str]:
    """What was asked for; once an agent has built it what it built, and that beside it."""
    asked = "\n".join(execution.get("packages") or [])
    return {"pip": "\n".join(installed), "org_pip": asked} if installed else {"pip": asked}


def _container(execution: Json) -> Json:
    container = _map(execution.get("container"))
    return {
        "image": container.get("image") or "",
        "arguments": container.get("arguments") or "",
        "setup_shell_script": container.get("setup_script") or "",
    }


def _hyperparams(task: Mapping[str, Any]) -> Json:
    sections: Json = {}
    for flat, one in _map(task.get("parameters")).items():
        section, name = flat.split("/", 1) if "/" in flat else ("", flat)
        sections.setdefault(section, {})[name] = {
            "section": section,
            "name": name,
            "value": one.get("value"),
            "type": one.get("type") or None,
            "description": one.get("description") or None,
        }
    for name, value in _map(task.get("properties")).items():
        sections.setdefault(_PROPERTIES, {})[name] = {
            "section": _PROPERTIES,
            "name": name,
            "value": value,
            "type": None,
            "description": None,
        }
    return sections


def _artifact(one: Json) -> Json:
    return {
        "key": one["name"],
        "type": one.get("type"),
        "mode": "output",
        "uri": one.get("uri") or "",
        "hash": one.get("sha256") or "",
        "content_size": one.get("n_bytes") or 0,
        "timestamp": int(one.get("created_at") or 0),
        "type_data": {"preview": one.get("preview") or ""},
        "display_data": [[key, value] for key, value in _map(one.get("metadata")).items()],
    }


def _models(models: Json) -> Json:
    return {
        kind: [
            {**one, "name": one.get("name"), "model": one.get("model_id") or one.get("id")}
            for one in _list(models.get(kind))
        ]
        for kind in ("input", "output")
    }


def _metrics(metrics: dict[str, dict[str, Json]]) -> Json:
    return {
        _md5(title): {
            _md5(name): {
                "metric": title,
                "variant": name,
                "value": one.get("last"),
                "min_value": one.get("min"),
                "min_value_iteration": one.get("min_iteration"),
                "max_value": one.get("max"),
                "max_value_iteration": one.get("max_iteration"),
                "first_value": one.get("first"),
                "mean_value": one.get("mean"),
                "count": one.get("n_points"),
            }
            for name, one in series.items()
        }
        for title, series in metrics.items()
    }


def _own(task: Mapping[str, Any], execution: Json, installed: list[str]) -> Json:
    code = {own: execution.get(own) or "" for own in _CODE}
    return {
        "execution": {name: execution[name] for name in _OWN_EXECUTION if name in execution},
        "snapshot": {"sha256": execution.get("snapshot") or "", "of": _digest(code)},
        "requirements": {"of": _md5("\n".join(installed))} if installed else {},
        "python_version": execution.get("python_version") or "",
        "priority": task.get("priority") or 0,
        "policy": dict(_map(task.get("policy"))),
        "publish_on_completion": bool(task.get("publish_on_completion")),
    }


def _execution_of(document: Mapping[str, Any]) -> Json:
    script, own = _dict(document, "script"), _dict(document, "dray")
    members: Json = dict(_dict(own, "execution"))
    for name, theirs in {
        **_CODE,
        "entry_point": "entry_point",
        "working_dir": "working_dir",
    }.items():
        if theirs in script:
            members[name] = str(script[theirs] or "")
    if "requirements" in script:
        members["packages"] = packages_of(_asked(script["requirements"], own))
    if "binary" in script:
        members.update(binary_members(str(script["binary"] or "")))
        if not members["python_version"] and not members["binary"]:
            members["python_version"] = str(own.get("python_version") or "")
    if "container" in document:
        container = _dict(document, "container")
        members["container"] = {
            "image": str(container.get("image") or ""),
            "arguments": str(container.get("arguments") or ""),
            "setup_script": str(container.get("setup_shell_script") or ""),
        }
    if "output" in document:
        members["output_uri"] = str(_dict(document, "output").get("destination") or "")
    snapshot = _dict(own, "snapshot")
    code = {name: str(members.get(name) or "") for name in _CODE}
    if snapshot.get("sha256") and snapshot.get("of") == _digest(code):
        members["snapshot"] = snapshot["sha256"]  # the code it holds is still the code
    return members


def _asked(requirements: Any, own: Json) -> Any:
    """What was asked for, where the document has it beside what was built and nobody edited that.

    A document of ClearML's says no such thing: there what was built is what is installed again.
    """
    if not isinstance(requirements, Mapping):
        return requirements
    given = cast("Mapping[str, Any]", requirements)
    of = _dict(own, "requirements").get("of")
    unedited = of and of == _md5(str(given.get("pip") or ""))
    return {"pip": given["org_pip"]} if unedited and "org_pip" in given else given


def packages_of(requirements: Any) -> list[str]:
    """Requirement lines of what ClearML has them in: a dict by tool, a text or a list."""
    if isinstance(requirements, Mapping):
        requirements = cast("Mapping[str, Any]", requirements).get("pip") or ""
    if isinstance(requirements, str):
        requirements = requirements.split("\n")
    lines = [str(line).strip() for line in cast("list[Any]", requirements or [])]
    return [line for line in lines if line and not line.startswith("#")]


def binary_members(binary: str) -> dict[str, str]:
    """Which Python, or which other program, a ``binary`` such as ``python3.11`` asks for."""
    name = binary.rstrip().replace("\\", "/").rpartition("/")[2]
    if not name.startswith("python"):
        return {"binary": binary, "python_version": ""}
    version = name.removeprefix("python")
    is_exact = "." in version and all(part.isdigit() for part in version.split("."))
    return {"binary": "", "python_version": version if is_exact else ""}


def _parameters_of(document: Mapping[str, Any]) -> tuple[Json, dict[str, str]]:
    parameters: Json = {}
    properties: dict[str, str] = {}
    sections = _dict(document, "hyperparams")
    for section in sections:
        for name, given in _dict(sections, section).items():
            one = _map(given) if isinstance(given, Mapping) else {"value": given}
            value = one.get("value")
            text = "" if value is None else str(value)
            if section == _PROPERTIES:
                properties[name] = text
                continue
            parameters[f"{section}/{name}" if section else name] = {
                "value": text,
                "type": one.get("type") or "",
                "description": one.get("description") or "",
            }
    return parameters, properties


def _configuration_of(document: Mapping[str, Any]) -> Json:
    found: Json = {}
    for name, given in _dict(document, "configuration").items():
        one = _map(given) if isinstance(given, Mapping) else {"value": given}
        value = one.get("value", one.get("text"))
        found[name] = {
            "text": "" if value is None else str(value),
            "type": one.get("type") or "",
            "description": one.get("description") or "",
        }
    return found


def _dict(document: Mapping[str, Any], name: str) -> Json:
    found = document.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        kind = type(cast("object", found))
        raise WrongType(
            f"task_data[{name!r}] is a {kind.__name__}; it is to be a dict",
            field=f"task_data.{name}",
        )
    return dict(cast("Mapping[str, Any]", found))


def merged(standing: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """``given`` laid over ``standing``, dict by dict."""
    result = dict(standing)
    for name, value in given.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", before)
            result[name] = merged(inner, cast("Mapping[str, Any]", value))
        else:
            result[name] = value
    return result


def checked(document: Any) -> Mapping[str, Any]:
    """A document that may be one.

    Raises:
        WrongType: it is no dict.
        InvalidInput: it is empty.
    """
    if not isinstance(document, Mapping):
        kind = type(cast("object", document))
        raise WrongType(
            f"task_data is a {kind.__name__}; give the dict that export_task() returns",
            field="task_data",
        )
    if not document:
        raise InvalidInput(
            "task_data is empty; give the dict that export_task() returns", field="task_data"
        )
    return cast("Mapping[str, Any]", document)


def _map(value: Any) -> Json:
    return dict(cast("Mapping[str, Any]", value or {}))


def _list(value: Any) -> list[Json]:
    return cast("list[Json]", value or [])


def _moment(seconds: Any) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _digest(code: Mapping[str, str]) -> str:
    return hashlib.sha256("\0".join(code[name] for name in _CODE).encode()).hexdigest()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
