"""Who may do what: the bearer token of a request, and one rule for each route.

The server's own token may do everything. A task's token, minted for one attempt, may read
everything, make, clone and enqueue tasks, upload blobs, and write to its own task alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request

from dray.api import problems
from dray.api.context import Ctx
from dray.runtime import ids, tokens
from dray.runtime.errors import Forbidden, StaleEpoch, Unauthorized
from dray.runtime.store import By


@dataclass(frozen=True)
class Principal:
    """Who sent a request.

    Attributes:
        name: as it stands in the audit: ``user``, or ``task:`` and the task's id.
        task_id: of the task whose token it is; empty for the server's own token.
        epoch: of the attempt the token was minted for.
    """

    name: str
    task_id: str = ""
    epoch: int = 0

    @property
    def is_admin(self) -> bool:
        """Whether it holds the server's own token."""
        return self.task_id == ""


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
    return Principal(f"task:{scope.task_id}", scope.task_id, scope.epoch)


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


async def creates(request: Request, caller: Caller) -> By:
    """Any token: children may make, clone and enqueue tasks and upload what these need."""
    return _by(request, caller)


async def writes_task(request: Request, caller: Caller, context: Ctx, task_id: TaskId) -> By:
    """The server's token, or that of the task's latest attempt."""
    if not caller.is_admin:
        _check_own(caller, task_id)
        head = await context.store.tasks.head(task_id)
        if head.epoch != caller.epoch:
            raise StaleEpoch(
                f"the token is of attempt {caller.epoch} of task {task_id[:8]}, "
                f"which is at attempt {head.epoch}",
                task_id=task_id,
                epoch=caller.epoch,
                current_epoch=head.epoch,
            )
    return _by(request, caller)


async def writes_attempt(
    request: Request, caller: Caller, task_id: AttemptsTaskId, epoch: Epoch
) -> By:
    """The server's token, or that of this very attempt."""
    if not caller.is_admin:
        _check_own(caller, task_id)
        if caller.epoch != epoch:
            raise Forbidden(
                f"the token is of attempt {caller.epoch} and may not write to attempt {epoch}",
                task_id=task_id,
                epoch=caller.epoch,
            )
    return _by(request, caller)


async def administers(request: Request, caller: Caller) -> By:
    """The server's token alone."""
    if not caller.is_admin:
        raise Forbidden(
            f"the token of task {caller.task_id[:8]} may not do this; use the server's own token",
            task_id=caller.task_id,
        )
    return _by(request, caller)


#: For ``dependencies=[READS]``: routes that read have no use for who it was.
READS = Depends(reads)
Creator = Annotated[By, Depends(creates)]
TaskWriter = Annotated[By, Depends(writes_task)]
AttemptWriter = Annotated[By, Depends(writes_attempt)]
Admin = Annotated[By, Depends(administers)]

#: A route without one of these is a hole; a test walks the routes.
RULES = frozenset({reads, creates, writes_task, writes_attempt, administers})


def _check_own(caller: Principal, task_id: str) -> None:
    if caller.task_id != task_id:
        raise Forbidden(
            f"the token of task {caller.task_id[:8]} may not write to task {task_id[:8]}",
            task_id=caller.task_id,
        )


def _by(request: Request, caller: Principal) -> By:
    return By(caller.name, problems.request_id(request.scope))
