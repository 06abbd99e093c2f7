"""A task's console on this terminal: what is there, or live until the task ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dray.sdk.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dray.runtime.answers import ConsolePiece
    from dray.runtime.models import Task

#: Bytes of console asked for in one request.
_PAGE_BYTES = 1 << 20
#: Exit code of a command that was left with Ctrl-C (128 + SIGINT).
_INTERRUPTED = 130


def print_console(
    session: Session,
    task: Task,
    *,
    prepare: bool,
    tail_bytes: int | None = None,
    raw: bool = False,
) -> None:
    """Print what is stored of a console, as a terminal shows it.

    Args:
        session: where to.
        task: whose.
        prepare: with the log of preparing source and environment; a task that failed there has
            nothing else, so it is shown anyway.
        tail_bytes: the last so many bytes only.
        raw: as it was written, with every carriage return.
    """
    shown = prepare or failed_in_preparing(task)
    pieces = (p for p in _stored(session, task, tail_bytes) if shown or not _prepares(p))
    if raw or session.out.as_json:
        _print(session, pieces, prepare=True)
        return
    from dray.runtime.console_text import lines_of_pieces

    for line in lines_of_pieces(pieces, colours=session.out.on_terminal):
        session.out.raw(f"{line.text}\n".encode("utf-8", "surrogateescape"))


def follow(session: Session, task: Task, *, prepare: bool = False) -> Task:
    """Print a console as it is written, and return the task once it has ended.

    Ctrl-C detaches: the task goes on.

    Raises:
        typer.Exit: the user left.
    """
    from dray.runtime.states import State

    try:
        if task.state is State.PENDING:
            session.out.note(f"Waiting: {session.client.why(task.id).reason}")
        _print(session, session.client.follow_console(task.id), prepare=prepare)
        # The console closes when the attempt does; the state follows in the same transaction.
        ended = session.client.wait(task.id)
    except KeyboardInterrupt:
        session.out.note(
            f"\nDetached; the task goes on. Reattach: dray task logs -f {task.id[:8]}"
            f"   stop it: dray task abort {task.id[:8]}"
        )
        raise typer.Exit(_INTERRUPTED) from None
    if failed_in_preparing(ended) and not prepare:
        print_console(session, ended, prepare=True)
    return ended


def failed_in_preparing(task: Task) -> bool:
    """Whether the task's process was never started."""
    from dray.runtime.causes import CauseKind

    kinds = (CauseKind.SOURCE_FAILED, CauseKind.ENVIRONMENT_FAILED)
    return task.cause is not None and task.cause.kind in kinds


def report_end(session: Session, task: Task) -> None:
    """Say how a task ended.

    Raises:
        typer.Exit: with code 1 when it failed or was aborted.
    """
    cause = f": {task.cause.message}" if task.cause else ""
    session.out.note(f"Task {task.id[:8]} {task.state}{cause}")
    if has_failed(task):
        raise typer.Exit(1)


def has_failed(task: Task) -> bool:
    """Whether a task has come to a bad end."""
    from dray.runtime.states import State

    return task.state in (State.FAILED, State.ABORTED)


def _stored(session: Session, task: Task, tail_bytes: int | None) -> Iterator[ConsolePiece]:
    if tail_bytes is not None:
        pieces = session.client.console(task.id, tail_bytes=tail_bytes).pieces
        yield from pieces if session.out.as_json else _last(pieces, tail_bytes)
        return
    page = session.client.console(task.id, limit_bytes=_PAGE_BYTES)
    while page.pieces:
        yield from page.pieces
        page = session.client.console(task.id, after=page.next, limit_bytes=_PAGE_BYTES)


def _last(pieces: list[ConsolePiece], n_bytes: int) -> list[ConsolePiece]:
    """The end of pieces, which the server gives whole only."""
    from dataclasses import replace

    chosen: list[ConsolePiece] = []
    for piece in reversed(pieces):
        data = _bytes_of(piece)
        if len(data) > n_bytes:
            text = data[len(data) - n_bytes :].decode("utf-8", "ignore")
            chosen.append(replace(piece, text=text, missing=0))
            break
        chosen.append(piece)
        n_bytes -= len(data)
    return chosen[::-1]


def _print(session: Session, pieces: Iterable[ConsolePiece], *, prepare: bool) -> None:
    from dray.runtime.console_text import not_stored

    for piece in pieces:
        if _prepares(piece) and not prepare:
            continue
        if session.out.as_json:
            session.out.json(piece)
            continue
        if piece.missing:
            session.out.raw(f"\n{not_stored(piece.missing)}\n".encode())
        session.out.raw(_bytes_of(piece))


def _prepares(piece: ConsolePiece) -> bool:
    from dray.runtime.records import PREPARE

    return piece.stream == PREPARE


def _bytes_of(piece: ConsolePiece) -> bytes:
    return piece.text.encode("utf-8", "surrogateescape")
