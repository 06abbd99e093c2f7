"""What every command gets: settings, the client, the output, and the options all share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from dray.sdk.cli.output import Output

if TYPE_CHECKING:
    from dray.runtime.config import Loaded, Settings
    from dray.sdk.client import Client

F = TypeVar("F", bound=Callable[..., None])


class Session:
    """One invocation of the command line.

    Attributes:
        out: where answers and notes go.
        flags: settings given on the command line, by field name; None counts as not given.
    """

    def __init__(self, out: Output, flags: dict[str, Any]) -> None:
        self.out = out
        self.flags = flags

    @cached_property
    def loaded(self) -> Loaded:
        """Settings with their origins; unknown names are reported here, once."""
        from dray.runtime import config

        loaded = config.load(self.flags)
        for warning in loaded.warnings:
            self.out.note(f"dray: warning: {warning}")
        return loaded

    @property
    def settings(self) -> Settings:
        """What this invocation goes by."""
        return self.loaded.settings

    @cached_property
    def client(self) -> Client:
        """The server, reached when the first call is made."""
        from dray.sdk.client import Client

        return Client.from_settings(self.settings)

    def close(self) -> None:
        """Hang up, if anybody was called."""
        if "client" in self.__dict__:
            self.client.close()


_COMMON: dict[str, tuple[Any, Any]] = {
    "json_": (
        Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")],
        False,
    ),
    "url_": (
        Annotated[str | None, typer.Option("--url", help="Server to talk to.", metavar="URL")],
        None,
    ),
    "home_": (
        Annotated[
            Path | None, typer.Option("--home", help="Data folder to use.", metavar="FOLDER")
        ],
        None,
    ),
}


def verb(app: typer.Typer, name: str, **settings: Any) -> Callable[[F], F]:
    """Register a function as the command ``name``, with the options every command has.

    The function's first parameter receives the :class:`Session`; the others are its own
    arguments and options, as Typer reads them. A parameter that is a dataclass stands for one
    option per field, so that several commands can share a set of them.
    """

    def register(function: F) -> F:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        bundles: dict[str, Any] = {p.name: p.annotation for p in own if is_dataclass(p.annotation)}

        @functools.wraps(function)
        def command(**given: Any) -> None:
            common = {key: given.pop(key) for key in _COMMON}
            flags = {"url": common["url_"], "home": common["home_"]}
            for key, kind in bundles.items():
                given[key] = kind(**{f.name: given.pop(f.name) for f in fields(kind)})
            session = Session(Output(as_json=common["json_"]), flags)
            try:
                function(session, **given)
            finally:
                session.close()

        # Typer reads both; the first parameter is ours and must not become an argument.
        parameters = [q for p in own for q in _spread(p)] + [
            _parameter(key, kind, default) for key, (kind, default) in _COMMON.items()
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name, **settings)(command)
        return function

    return register


def _spread(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    kind = parameter.annotation
    if not is_dataclass(kind):
        return [_parameter(parameter.name, kind, parameter.default)]
    hints = get_type_hints(kind, include_extras=True)
    return [
        _parameter(
            f.name, hints[f.name], inspect.Parameter.empty if f.default is MISSING else f.default
        )
        for f in fields(kind)
    ]


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, annotation=kind, default=default)


def group(help_: str) -> typer.Typer:
    """A noun that holds verbs; without a verb it shows its help."""
    return typer.Typer(
        help=help_, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def verbs() -> typer.Typer:
    """Verbs without a noun, to be added to the top level."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
