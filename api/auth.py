"""Who may do what: the bearer token of a request, and one rule for each route.

The server's own token may do everything. A task's token, minted for one attempt, may read
everything, make, clone and enqueue tasks, upload blobs, and write to its own task and to those it
made or is the parent of. Once its attempt is over it may only read: a late reader harms nobody.

A rule that lets task tokens write looks whether the attempt is open before the body is worked on;
what decides is the same look in the transaction of the write, by ``By.attempt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request

from dray.api import problems
from dray.api.context import Context, Ctx
from dray.runtime import ids, tokens
from dray.runtime.errors import Forbidden, Unauthorized
from dray.runtime.store import By
from dray.runtime.tokens import TaskScope


@dataclass(frozen=True)
class Principal:
    """Who sent a request.

    Attributes:
        name: as it stands in the audit: ``user``, or ``task:`` and the task's id.
        attempt: which its token was minted for; None for the server's own token.
    """

    name: str
    attempt: TaskScope | None = None


def authenticate(header: str | None, token: str) -> Principal:
    """Who an ``Authorization`` header speaks for.

    Args:
        header: as it came, None when none came.
        token: the server's own.

    Raises:
        Unauthorized: no token, or an unknown one.
    """
    scheme, _, given = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Unauthorized(
            "this address needs a token: send it as 'Authorization: Bearer TOKEN'; "
            "'dray status' prints where it is kept"
        )
    if tokens.matches(token, given):
        return Principal("user")
    scope = tokens.verify(token, given)
    if scope is None:
        raise Unauthorized("the server does not know this token; was its data folder replaced?")
    return Principal(f"task:{scope.task_id}", scope)


async def principal(request: Request) -> Principal:
    """Who the middleware found to have sent ``request``."""
    return cast("Principal", request.state.principal)


Caller = Annotated[Principal, Depends(principal)]


async def find_task(context: Ctx, id: str) -> str:
    """The whole id of the task an address names by id or unique prefix."""
    return await context.store.tasks.resolve(id)


async def find_attempts_task(context: Ctx, id: str) -> str:
    """As :func:`find_task`, without a look at the store for a whole id: the route takes one."""
    return id if ids.is_id(id) else await context.store.tasks.resolve(id)


#: SQLite's integers end; a number beyond them is nobody's attempt.
Epoch = Annotated[int, Path(ge=0, lt=1 << 31)]
TaskId = Annotated[str, Depends(find_task)]
AttemptsTaskId = Annotated[str, Depends(find_attempts_task)]


async def reads(caller: Caller) -> None:
    """Any token."""
    _ = caller


async def creates(request: Request, caller: Caller, context: Ctx) -> By:
    """Any token: children may make, clone and enqueue tasks and upload what these need."""
    by = spoken_by(request, caller)
    await context.store.fencing.check(by)
    return by


async def writes_task(request: Request, caller: Caller, context: Ctx, task_id: TaskId) -> By:
    """The server's token, that of the task's open attempt, or of the task that made this one."""
    own = caller.attempt
    if own is None or not await context.store.tasks.is_of(task_id, own.task_id):
        _check_own(caller, task_id)
    return await creates(request, caller, context)


async def writes_attempt(
    request: Request, caller: Caller, context: Ctx, task_id: AttemptsTaskId, epoch: Epoch
) -> By:
    """The server's token, or that of this very attempt.

    The store compares the epoch with every step, so that the end of an attempt can be repeated.
    """
    _check_own(caller, task_id)
    by = spoken_by(request, caller)
    await check_epoch(context, by, epoch)
    return by


async def hands_over(request: Request, caller: Caller, task_id: TaskId) -> By:
    """As :func:`writes_attempt`; the route reads the epoch from the body and checks it."""
    _check_own(caller, task_id)
    return spoken_by(request, caller)


async def check_epoch(context: Context, by: By, epoch: int) -> None:
    """Refuse a token of one attempt that writes to another one.

    Raises:
        StaleEpoch: its own attempt is over.
        Forbidden: its own attempt is open.
    """
    if by.attempt is None or by.attempt.epoch == epoch:
        return
    await context.store.fencing.check(by)
    raise Forbidden(
        f"the token is of attempt {by.attempt.epoch} and may not write to attempt {epoch}",
        task_id=by.attempt.task_id,
        epoch=by.attempt.epoch,
    )


async def administers(request: Request, caller: Caller) -> By:
    """The server's token alone."""
    if caller.attempt is not None:
        task_id = caller.attempt.task_id
        raise Forbidden(
            f"the token of task {task_id[:8]} may not do this; use the server's own token",
            task_id=task_id,
        )
    return spoken_by(request, caller)


#: For ``dependencies=[READS]``: routes that read have no use for who it was.
READS = Depends(reads)
Creator = Annotated[By, Depends(creates)]
TaskWriter = Annotated[By, Depends(writes_task)]
AttemptWriter = Annotated[By, Depends(writes_attempt)]
HandingOver = Annotated[By, Depends(hands_over)]
Admin = Annotated[By, Depends(administers)]

#: A route without one of these is a hole; a test walks the routes.
RULES = frozenset({reads, creates, writes_task, writes_attempt, hands_over, administers})


def _check_own(caller: Principal, task_id: str) -> None:
    own = caller.attempt
    if own is not None and own.task_id != task_id:
        raise Forbidden(
            f"the token of task {own.task_id[:8]} may not write to task {task_id[:8]}",
            task_id=own.task_id,
        )


def spoken_by(request: Request, caller: Principal) -> By:
    """Who writes, as the store and its audit are told."""
    return By(caller.name, problems.request_id(request.scope), caller.attempt)
