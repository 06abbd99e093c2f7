"""``Task.create``: a draft from a repository or from the code that lies here."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dray.runtime import config
from dray.runtime.codec import to_json
from dray.runtime.config import Settings
from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk import session
from dray.sdk.capture import checkout, repositories
from dray.sdk.capture import packages as capture_packages
from dray.sdk.capture.captured import Captured, Entry, Wishes, capture
from dray.sdk.capture.code_files import send_code
from dray.sdk.client import Client
from dray.sdk.parameters import values as parameters
from dray.sdk.parameters.argument_watch import SECTION
from dray.sdk.runs import whoami
from dray.sdk.tasks.code import container
from dray.sdk.tasks.export import binary_members
from dray.sdk.tasks.handle import ServerHandle
from dray.sdk.tasks.word_sets import TaskTypes


@dataclass(frozen=True)
class Draft:
    """What a draft is asked to be; see ``Task.create``."""

    project: str | None = None
    name: str | None = None
    type: str | None = None
    repo: str = ""
    branch: str = ""
    commit: str = ""
    script: str | None = None
    working_directory: str | None = None
    module: str | None = None
    packages: bool | str | Iterable[str] | None = None
    requirements_file: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    base_task_id: str | None = None
    bootstrap: bool = True
    docker: str | None = None
    docker_args: str | None = None
    docker_setup: str | None = None
    only_script: bool = False
    binary: str = ""
    in_repository: bool = True
    module_arguments: list[str] = field(default_factory=list[str])


def create(draft: Draft) -> ServerHandle:
    """Make the draft at the server, with a snapshot when its code lies here."""
    settings = config.load().settings
    client = Client.from_settings(settings)
    draft = _with_module_arguments(draft)
    values = {
        f"{SECTION}/{name.lstrip('-')}": parameters.as_record(value)
        for name, value in draft.arguments.items()
    }
    if draft.type is not None:
        TaskTypes(draft.type)
    if draft.base_task_id is not None:
        return _from_base(client, draft, values)
    execution, project = _code(client, draft, settings)
    listed = _packages(draft)
    if listed is not None:
        execution |= {"packages": listed, "packages_from": "task"}
    execution.update(_surroundings(draft))
    task = client.create_task(
        draft.project or project or _repository_name(draft.repo),
        draft.name or draft.module or Path(str(draft.script or "task")).stem,
        type=draft.type or TaskTypes.training,
        owner=whoami.user(),
        execution={**execution, "bootstrap": draft.bootstrap and _is_python(draft)},
        parameters=values,
    )
    return ServerHandle(client, to_json(task))


def _with_module_arguments(draft: Draft) -> Draft:
    """``module`` may be followed by arguments, as on a command line."""
    name, *rest = shlex.split(draft.module or "") or [""]
    return replace(draft, module=name.removeprefix("-m ") or None, module_arguments=rest)


def _code(client: Client, draft: Draft, settings: Settings) -> tuple[dict[str, Any], str]:
    """Members of the execution that say which code, and the project it is of."""
    program = binary_members(draft.binary)["binary"] if draft.binary else ""
    if not draft.script and not draft.module and program:
        return _program_alone(client, draft, settings)
    if not draft.script and not draft.module:
        if draft.repo or not (draft.project or draft.name):
            raise InvalidInput("give the script or module that the task is to run", field="script")
        return {}, ""
    if draft.repo and not repositories.is_folder(draft.repo):
        return _remote_code(draft), ""
    execution, project = _local_code(client, draft, settings)
    return {**execution, "arguments": draft.module_arguments}, project


def _surroundings(draft: Draft) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if draft.docker or draft.docker_args or draft.docker_setup:
        members["container"] = container(draft.docker, draft.docker_args, draft.docker_setup)
    if draft.binary:
        given = binary_members(draft.binary)
        members["binary"] = given["binary"]
        if given["python_version"]:
            members["python_version"] = given["python_version"]
    elif (draft.script or "").endswith(".sh"):
        members["binary"] = "/bin/bash"
    return members


def _is_python(draft: Draft) -> bool:
    return not _surroundings(draft).get("binary")


def _from_base(client: Client, draft: Draft, values: Mapping[str, Any]) -> ServerHandle:
    names = {"name": draft.name, "project": draft.project}
    given = {key: value for key, value in names.items() if value is not None}
    try:
        task = client.clone_task(str(draft.base_task_id), **given)
    except NotFound as exc:
        raise InvalidInput(
            f"base_task_id: {exc.message}", field="base_task_id", value=draft.base_task_id
        ) from exc
    execution: dict[str, Any] = {
        name: value
        for name, value in (
            ("repository", draft.repo),
            ("branch", draft.branch),
            ("commit", draft.commit),
            ("entry_point", draft.script or (f"-m {draft.module}" if draft.module else "")),
            ("arguments", draft.module_arguments or None),
            ("working_dir", draft.working_directory),
            ("packages", _packages(draft)),
        )
        if value not in (None, "")
    }
    execution.update(_surroundings(draft))
    changes: dict[str, Any] = {} if draft.type is None else {"type": draft.type}
    if values or execution or changes:
        task = client.edit_task(task.id, parameters=values, execution=execution, **changes)
    return ServerHandle(client, to_json(task))


def _remote_code(draft: Draft) -> dict[str, Any]:
    return {
        "repository": draft.repo,
        "branch": draft.branch,
        "commit": draft.commit,
        "working_dir": draft.working_directory or ".",
        "entry_point": f"-m {draft.module}" if draft.module else draft.script or "",
        "arguments": draft.module_arguments,
    }


def _local_code(client: Client, draft: Draft, settings: Settings) -> tuple[dict[str, Any], str]:
    base = Path(draft.repo).expanduser() if draft.repo else Path()
    folder = (base / (draft.working_directory or ".")).absolute()
    script = _module_file(folder, draft.module) if draft.module else _script(folder, draft)
    standalone = draft.only_script or not draft.in_repository
    named = str(base.resolve()) if draft.repo and not standalone and not _in_git(base) else ""
    wishes = Wishes(standalone=standalone, verbatim=_packages(draft), folder=named)
    captured = capture(Entry(script, draft.module or ""), folder, wishes)
    if draft.only_script:
        captured.files = [script]
    for warning in captured.warnings:
        session.say(f"warning: {warning}")
    return {**captured.execution, "snapshot": send_code(client, captured, settings)}, (
        captured.project
    )


def _program_alone(client: Client, draft: Draft, settings: Settings) -> tuple[dict[str, Any], str]:
    """A program of the node, with the code of a repository or folder around it, or none."""
    if draft.repo and not repositories.is_folder(draft.repo):
        return _remote_code(draft), ""
    root = Path(draft.repo or ".").expanduser().resolve()
    captured = Captured({}, root, project=root.name, in_git=bool(draft.repo) and _in_git(root))
    captured.is_alone = not draft.repo
    captured.is_whole = bool(draft.repo) and not captured.in_git
    snapshot = send_code(client, captured, settings)
    return {"snapshot": snapshot, "working_dir": draft.working_directory or "."}, captured.project


def _in_git(folder: Path) -> bool:
    try:
        return checkout.open_at(folder) is not None
    except checkout.GitFailed:
        return False


def _script(folder: Path, draft: Draft) -> Path:
    """The script in its working directory, or where it is from here."""
    given = Path(str(draft.script)).expanduser()
    for script in (folder / given, given.absolute()):
        if script.is_file():
            return script
    raise InvalidInput(
        f"script {folder / given} is not there", field="script", value=str(folder / given)
    )


def _module_file(folder: Path, module: str) -> Path:
    base = folder.joinpath(*module.split("."))
    return base / "__main__.py" if base.is_dir() else base.with_suffix(".py")


def _packages(draft: Draft) -> list[str] | None:
    """Lines that were given; None for what the script imports."""
    if draft.requirements_file:
        return capture_packages.lines_of(draft.requirements_file)
    if draft.packages is None or draft.packages is True:
        return None
    return [] if draft.packages is False else capture_packages.lines_of(draft.packages)


def _repository_name(url: str) -> str:
    return url.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git") or "Untitled"
