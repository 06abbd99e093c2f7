"""``Task.create``: a draft from a repository or from the code that lies here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dray.runtime import config
from dray.runtime.codec import to_json
from dray.runtime.config import Settings
from dray.runtime.errors import InvalidInput
from dray.sdk import capture_packages, checkout, parameters, session, snapshot, whoami
from dray.sdk.argument_watch import SECTION
from dray.sdk.capture import Captured, Entry, Wishes, capture
from dray.sdk.client import Client
from dray.sdk.handle import ServerHandle


@dataclass(frozen=True)
class Draft:
    """What a draft is asked to be; see ``Task.create``."""

    project: str | None = None
    name: str | None = None
    type: str = "training"
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


def create(draft: Draft) -> ServerHandle:
    """Make the draft at the server, with a snapshot when its code lies here."""
    settings = config.load().settings
    client = Client.from_settings(settings)
    values = {
        f"{SECTION}/{name.lstrip('-')}": parameters.as_record(value)
        for name, value in draft.arguments.items()
    }
    if draft.base_task_id is not None:
        return _from_base(client, draft, values)
    if not draft.script and not draft.module:
        raise InvalidInput("give the script or module that the task is to run", field="script")
    if draft.repo:
        execution, project = _remote_code(draft), ""
    else:
        execution, project = _local_code(client, draft, settings)
    listed = _packages(draft)
    if listed is not None:
        execution["packages"] = listed
    task = client.create_task(
        draft.project or project or _repository_name(draft.repo),
        draft.name or draft.module or Path(str(draft.script)).stem,
        type=draft.type,
        owner=whoami.user(),
        execution={**execution, "bootstrap": draft.bootstrap},
        parameters=values,
    )
    return ServerHandle(client, to_json(task))


def _from_base(client: Client, draft: Draft, values: Mapping[str, Any]) -> ServerHandle:
    names = {"name": draft.name, "project": draft.project}
    given = {key: value for key, value in names.items() if value is not None}
    task = client.clone_task(str(draft.base_task_id), **given)
    execution: dict[str, Any] = {
        name: value
        for name, value in (
            ("repository", draft.repo),
            ("branch", draft.branch),
            ("commit", draft.commit),
            ("entry_point", draft.script or (f"-m {draft.module}" if draft.module else "")),
            ("working_dir", draft.working_directory),
            ("packages", _packages(draft)),
        )
        if value not in (None, "")
    }
    if values or execution:
        task = client.edit_task(task.id, parameters=values, execution=execution)
    return ServerHandle(client, to_json(task))


def _remote_code(draft: Draft) -> dict[str, Any]:
    return {
        "repository": draft.repo,
        "branch": draft.branch,
        "commit": draft.commit,
        "working_dir": draft.working_directory or ".",
        "entry_point": f"-m {draft.module}" if draft.module else draft.script,
    }


def _local_code(client: Client, draft: Draft, settings: Settings) -> tuple[dict[str, Any], str]:
    folder = Path(draft.working_directory or ".").absolute()
    script = _module_file(folder, draft.module) if draft.module else folder / str(draft.script)
    if not script.is_file():
        raise InvalidInput(f"script {script} is not there", field="script", value=str(script))
    captured = capture(Entry(script, draft.module or ""), folder, Wishes())
    for warning in captured.warnings:
        session.say(f"warning: {warning}")
    return {**captured.execution, "snapshot": send_code(client, captured, settings)}, (
        captured.project
    )


def send_code(client: Client, captured: Captured, settings: Settings) -> str:
    """Send a snapshot of the captured code; returns the name it is kept under.

    Raises:
        InvalidInput: there is no code, or git cannot list it.
        TooLarge: it is over the limit; the largest files are named.
    """
    root = captured.root
    if root is None:
        raise InvalidInput(
            "no script is running, so there is no code to send: put it in a file", field="script"
        )
    try:
        names = (
            checkout.files(root)
            if captured.in_git
            else snapshot.relative_names(root, captured.files)
        )
    except checkout.GitFailed as exc:
        raise InvalidInput(f"git cannot list the code: {exc}", field="snapshot") from exc
    taken = snapshot.take(root, names, settings.snapshot_limit_bytes)
    for sentence in taken.left_out:
        session.say(f"warning: left out of the snapshot: {sentence}")
    sent = snapshot.send(taken, client)
    session.say(
        f"code: {taken.n_files} files, {_size(taken.n_bytes)}; "
        f"sent {sent.n_files} files, {_size(sent.n_bytes)}"
    )
    return taken.sha256


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


def _size(n_bytes: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if n_bytes < 1024 or unit == "MiB":
            break
        n_bytes //= 1024
    return f"{n_bytes} {unit}"
