"""A request that is not sent yet: what to ask a server, and how to read its answer.

Each route of the HTTP API is one pure function that builds a :class:`Call`. ``Client`` and
``AsyncClient`` take those functions as their methods, so there is one list of routes, and what a
method takes and gives is written once::

    def get_task(task_id: str) -> Call[Task]: ...

    class Client:
        get_task = blocking(calls.get_task)      # client.get_task(task_id) -> Task

    class AsyncClient:
        get_task = awaitable(calls.get_task)     # await client.get_task(task_id) -> Task
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
)
from urllib.parse import quote

from dray.runtime import ids
from dray.runtime.codec import from_json

if TYPE_CHECKING:
    from dray.runtime.answers import Page

T = TypeVar("T")
P = ParamSpec("P")

API = "/api/v1"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how its answer is read.

    Attributes:
        read: what the JSON of the answer (None when there is none) is made into.
        body: bytes as they are, anything else as JSON; None: no body.
        query: None and empty values are left out, a list repeats its name.
        idempotent: whether it may be sent again, else the method says.
        retries: how often it is, when no server answers; None: the client's own number.
        timeout_s: seconds without a byte after which the server counts as silent; None: the
            client's own.
        extra_timeout_s: what the server may think on top, for a long poll.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    body: Any = None
    query: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    base: str = API
    idempotent: bool | None = None
    retries: int | None = None
    timeout_s: float | None = None
    extra_timeout_s: float = 0.0


@dataclass(frozen=True)
class Pause:
    """A wait between two requests."""

    seconds: float


@dataclass(frozen=True)
class Work(Generic[T]):
    """Something to do here that takes time, such as reading a file."""

    do: Callable[[], T]


#: Several requests, each of which may depend on the answers before: it yields what is to be
#: sent, waited or done, is given the answer or has the error thrown in, and returns the result.
Conversation: TypeAlias = Generator["Call[Any] | Pause | Work[Any]", Any, T]


def ask(step: Call[T] | Work[T]) -> Conversation[T]:
    """Take one step and give what it comes to, with its type."""
    answer: T = yield step
    return answer


def pause(seconds: float) -> Conversation[None]:
    """Wait."""
    yield Pause(seconds)


def every_item(first: Call[Page[T]]) -> Conversation[list[T]]:
    """The items of every page of a list."""
    page = yield from ask(first)
    found = list(page.items)
    while page.next_cursor:
        query = {**(first.query or {}), "cursor": page.next_cursor}
        page = yield from ask(replace(first, query=query))
        found += page.items
    return found


class Blocking(Protocol):
    """A client that waits for the answer."""

    def send(self, call: Call[T], /) -> T:
        """Send one request."""
        ...

    def converse(self, conversation: Conversation[T], /) -> T:
        """Lead a conversation to its end."""
        ...


class Asynchronous(Protocol):
    """A client that does not hold up its event loop."""

    async def send(self, call: Call[T], /) -> T:
        """Send one request."""
        ...

    async def converse(self, conversation: Conversation[T], /) -> T:
        """Lead a conversation to its end."""
        ...


def blocking(build: Callable[P, Call[T]]) -> Callable[Concatenate[Any, P], T]:
    """The method of a client that sends what ``build`` makes; it keeps its words and types."""

    @wraps(build)
    def method(self: Blocking, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(build(*args, **kwargs))

    return method


def conversing(build: Callable[P, Conversation[T]]) -> Callable[Concatenate[Any, P], T]:
    """The same for several requests."""

    @wraps(build)
    def method(self: Blocking, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.converse(build(*args, **kwargs))

    return method


def awaitable(build: Callable[P, Call[T]]) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """The method of an asynchronous client that sends what ``build`` makes."""

    @wraps(build)
    async def method(self: Asynchronous, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(build(*args, **kwargs))

    return method


def awaiting(build: Callable[P, Conversation[T]]) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """The same for several requests."""

    @wraps(build)
    async def method(self: Asynchronous, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.converse(build(*args, **kwargs))

    return method


def as_(model: type[T]) -> Callable[[Any], T]:
    """Read the answer as ``model``."""
    return lambda answer: from_json(model, answer)


def as_items(model: type[T]) -> Callable[[Any], list[T]]:
    """Read the answer's ``items``, of an answer that has one page."""
    return lambda answer: [from_json(model, item) for item in answer["items"]]


def as_page(model: type[T]) -> Callable[[Any], Page[T]]:
    """Read the answer as one page of a list."""
    from dray.runtime.answers import Page

    return lambda answer: Page(as_items(model)(answer), answer.get("next_cursor"))


def as_nothing(answer: Any) -> None:
    """Leave the answer."""
    del answer


def creating(method: str, path: str, read: Callable[[Any], T], body: Any, key: str = "") -> Call[T]:
    """A call that makes something; repeated with the same ``key`` it is answered again."""
    headers = {"Idempotency-Key": key or ids.new_id()}
    return Call(method, path, read, body=body, headers=headers, idempotent=True)


def at(*parts: str) -> str:
    """A path of these segments, each quoted."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def given(**members: Any) -> dict[str, Any]:
    """The members that are not None or empty text."""
    return {name: value for name, value in members.items() if value is not None and value != ""}
