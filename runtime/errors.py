"""Every error Dray raises on purpose: one tree, each with a stable code for the wire.

    DrayError
    ├── InvalidInput        a value the user gave cannot be used (a ValueError)
    │   ├── WrongType       an argument of a type that is not taken (a TypeError)
    │   └── UsageError      calls that contradict each other
    ├── NotFound            no such task, queue, agent, project, artifact, blob
    ├── AmbiguousId         a prefix or name that fits several things
    ├── Conflict            something by that name exists, or is in use
    ├── IllegalTransition   the task's state does not allow it
    ├── NotEditable         only a draft can be edited
    ├── StaleEpoch          a write of an attempt that is no longer the current one
    ├── OffsetMismatch      records that do not continue where the server stopped
    ├── Unauthorized        no token, or an unknown one
    ├── Forbidden           a token that may not do this
    ├── TooLarge            over a stated limit
    ├── ServerUnreachable   no server, or none that answers
    ├── PreparationFailed   source or environment of a task could not be made
    ├── StoreUnusable       the data folder cannot be used as it is
    └── InsufficientStorage the disk of the data folder is (nearly) full

A message names the thing, what was seen, what was expected and the next step.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; the import is dear in a child
if TYPE_CHECKING:
    from typing import Any, ClassVar


class DrayError(Exception):
    """The root: ``except DrayError`` catches everything Dray raises on purpose.

    Attributes:
        code: stable identifier, the ``code`` member of a problem+json answer.
        details: facts about this one error, JSON-able, also sent over the wire.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = details

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self.args[0])


class InvalidInput(DrayError, ValueError):
    """A value the user gave cannot be used; ``details['field']`` names it."""

    code = "invalid_input"


class WrongType(InvalidInput, TypeError):
    """An argument of a type that is not taken; on the wire it is its base."""


class UsageError(InvalidInput):
    """Calls that contradict each other, such as two different ``Task.init``."""


class NotFound(DrayError):
    """No such task, queue, agent, project, artifact or blob."""

    code = "not_found"


class AmbiguousId(DrayError):
    """A prefix or name that fits several things; ``details['matches']`` lists them."""

    code = "ambiguous_id"


class Conflict(DrayError):
    """Something by that name exists already, or is in use."""

    code = "conflict"


class IllegalTransition(DrayError):
    """The task's state does not allow the request; names both states."""

    code = "illegal_transition"


class NotEditable(DrayError):
    """Only a draft can be edited; clone the task and edit the clone."""

    code = "not_editable"


class StaleEpoch(DrayError):
    """A write carried the epoch of an attempt that is no longer the current one."""

    code = "stale_epoch"


class OffsetMismatch(DrayError):
    """Bytes that do not continue where the server stopped; ``details['expected']`` says where."""

    code = "offset_mismatch"


class Unauthorized(DrayError):
    """No token came with the request, or one the server does not know."""

    code = "unauthorized"


class Forbidden(DrayError):
    """The token is known and may not do this."""

    code = "forbidden"


class TooLarge(DrayError):
    """Over a stated limit; ``details['limit_bytes']`` names it."""

    code = "too_large"


class ServerUnreachable(DrayError):
    """No server is configured, or none answers at the configured address."""

    code = "server_unreachable"


class PreparationFailed(DrayError):
    """A task's source or environment could not be made.

    ``details['kind']`` is the cause kind (``source_failed`` or ``environment_failed``),
    ``details['evidence']`` the last lines of the tool that failed.
    """

    code = "preparation_failed"


class StoreUnusable(DrayError):
    """The data folder cannot be used: not writable, newer version, damaged, held by another."""

    code = "store_unusable"


class InsufficientStorage(DrayError):
    """The disk of the data folder is under its reserve, or full; try again when it has room."""

    code = "insufficient_storage"


def error_classes() -> dict[str, type[DrayError]]:
    """Every class of the tree by its code, so that a client can raise what a server raised."""
    return {cls.code: cls for cls in (DrayError, *DrayError.__subclasses__())}
