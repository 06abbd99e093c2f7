"""Which code a task is to run, as the command line says it: found here, or in a repository."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dray.runtime.errors import InvalidInput, NotFound, ServerUnreachable
from dray.sdk.cli import options

if TYPE_CHECKING:
    from dray.sdk.capture.captured import Captured
    from dray.sdk.cli.session import Session


@dataclass(frozen=True)
class CodeOptions:
    """What the command line says of the code; None means not said.

    Attributes:
        script: a file here, or one in ``repo``, relative to ``working_dir``.
    """

    script: Annotated[
        str | None,
        typer.Argument(metavar="SCRIPT", help="Script, notebook, shell script or program to run."),
    ] = None
    arguments: options.Arguments = None
    module: Annotated[
        str | None,
        typer.Option("--module", "-m", metavar="MODULE", help="Module to run in place of SCRIPT."),
    ] = None
    program: Annotated[
        str | None,
        typer.Option(
            "--program", metavar="PROGRAM", help="Program of the node to run in place of SCRIPT."
        ),
    ] = None
    binary: Annotated[
        str | None,
        typer.Option("--binary", metavar="PROGRAM", help="Program that runs SCRIPT: /bin/zsh."),
    ] = None
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Folder that is the code, all of it."),
    ] = None
    repo: options.Repository = None
    branch: options.Branch = None
    commit: options.Commit = None
    working_dir: options.WorkingDir = None

    @property
    def words(self) -> list[str]:
        """The arguments of what is run: without a SCRIPT, its place holds the first of them."""
        first = [self.script] if self.script and (self.module or self.program) else []
        return [*first, *(self.arguments or ())]

    @property
    def title(self) -> str:
        """A name for the task."""
        return self.module or Path(self.program or self.script or "task").stem

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            InvalidInput: nothing to run, or several things; an option that has no use here.
        """
        if self.module and self.program:
            raise InvalidInput("give --module or --program, not both", field="--module")
        if not (self.script or self.module or self.program):
            raise InvalidInput(
                "say what to run: a SCRIPT, --module MODULE or --program PROGRAM", field="SCRIPT"
            )
        if self.binary and (self.program or not self.script):
            raise InvalidInput(
                "--binary runs a SCRIPT; a program alone: --program", field="--binary"
            )
        if self.repo is not None and self.folder is not None:
            raise InvalidInput("give --repo or --folder, not both", field="--folder")
        for option, value in (("--branch", self.branch), ("--commit", self.commit)):
            if value is not None and self.repo is None:
                raise InvalidInput(
                    f"{option} goes with --repo; a script here runs as it is", field=option
                )


def execution_of(session: Session, code: CodeOptions) -> tuple[dict[str, Any], str]:
    """Members of the execution that say which code, sent where it lies here; and its project.

    Raises:
        DrayError: the code is not there, is too large to send, or the server refuses.
    """
    code.check()
    if code.repo is not None:
        return _in_repository(code), _project_of(code.repo)
    captured = _captured(session, code)
    from dray.sdk.capture.code_files import send_code

    snapshot = send_code(session.client, captured, session.settings)
    execution = {**captured.execution, "snapshot": snapshot, **_runner(code)}
    return execution, captured.project


def show_files(session: Session, code: CodeOptions) -> None:
    """Print each file that would be sent: its size, whether the server lacks it, its path.

    Raises:
        InvalidInput: the code is in a repository, of which nothing is sent.
    """
    from dray.sdk.capture.code_files import CodeFile, files_to_send, size
    from dray.sdk.cli.output import Column

    code.check()
    if code.repo is not None:
        raise InvalidInput(
            "--dry-run lists what is sent, and of a repository nothing is: agents clone it",
            field="--dry-run",
        )
    try:
        client = session.client
        client.healthz()
    except ServerUnreachable as exc:
        session.out.note(f"dray: what is new is not known: {exc.message}")
        client = None
    found = files_to_send(client, _captured(session, code), session.settings)

    def state(file: CodeFile) -> str:
        return "" if file.is_new is None else "new" if file.is_new else "kept"

    session.out.table(
        found,
        [
            Column("BYTES", lambda file: str(file.n_bytes)),
            Column("SERVER", state),
            Column("PATH", lambda file: file.path + (f" -> {file.link}" if file.link else "")),
        ],
        empty="No files.",
    )
    new = [file for file in found if file.is_new]
    total = f"{len(found)} files, {size(sum(file.n_bytes for file in found))}"
    travels = f"; {len(new)} new to the server, {size(sum(file.n_bytes for file in new))}"
    session.out.note(f"dray: {total}{travels if client is not None else ''}; nothing was sent")


def _in_repository(code: CodeOptions) -> dict[str, Any]:
    return {
        "repository": code.repo,
        "branch": code.branch or "",
        "commit": code.commit or "",
        "working_dir": code.working_dir or ".",
        "entry_point": f"-m {code.module}" if code.module else code.script or "",
        "arguments": code.words,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        **_runner(code),
    }


def _runner(code: CodeOptions) -> dict[str, Any]:
    """What runs the entry point, where that is not Python."""
    if code.program:
        return {"binary": code.program, "entry_point": "", "bootstrap": False}
    return {"binary": code.binary, "bootstrap": False} if code.binary else {"bootstrap": True}


def _captured(session: Session, code: CodeOptions) -> Captured:
    """The code as it lies here, with what it needs."""
    from dray.sdk.capture.captured import Entry, Wishes, capture
    from dray.sdk.capture.code import top_of

    folder = None if code.folder is None else code.folder.expanduser().resolve()
    if folder is not None and not folder.is_dir():
        raise NotFound(f"no folder {folder} to send as the code", path=str(folder))
    if code.program:
        return _of_program(code, folder)
    cwd = Path.cwd()
    script = _script(code, folder)
    if code.working_dir is not None:
        cwd = ((folder or top_of(script)) or cwd) / code.working_dir
    entry = Entry(script, code.module or "", tuple(code.words))
    captured: Captured = capture(entry, cwd, Wishes(folder=str(folder or "")))
    for warning in captured.warnings:
        session.out.note(f"dray: warning: {warning}")
    return captured


def _of_program(code: CodeOptions, folder: Path | None) -> Captured:
    from dray.sdk.capture.captured import Captured
    from dray.sdk.capture.checkout import open_at

    root = folder or Path.cwd()
    execution = {"arguments": code.words, "working_dir": code.working_dir or "."}
    captured = Captured(execution, root, project=root.name or "Untitled")
    captured.is_alone = folder is None  # no file of here goes along
    captured.in_git = folder is not None and open_at(folder) is not None
    captured.is_whole = not captured.in_git and not captured.is_alone
    return captured


def _script(code: CodeOptions, folder: Path | None) -> Path:
    bases = [Path.cwd(), *([folder] if folder else [])]
    if code.working_dir is not None:
        bases = [*(base / code.working_dir for base in bases), *bases]
    if code.module:
        parts = code.module.split(".")
        names = [Path(*parts, "__main__.py"), Path(*parts).with_suffix(".py")]
    else:
        names = [Path(str(code.script)).expanduser()]
    for base in bases:
        for name in names:
            if (base / name).is_file():
                return Path(base, name).absolute()
    if code.module:
        raise NotFound(
            f"no module {code.module} in {bases[0]}; say where it is with --working-dir, or with "
            "--repo for one in a repository",
            module=code.module,
        )
    raise NotFound(
        f"no script {bases[-1] / names[0]}; a script in a repository needs --repo, a program of "
        "the node --program",
        path=str(names[0]),
    )


def _project_of(repository: str) -> str:
    name = repository.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
    return name or "Untitled"
