"""``docs/cli.md``, made from the commands themselves: ``python -m dray.sdk.cli.reference``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer
import typer.main

from dray.sdk.cli.main import app

_HEAD = """\
# The command line

Made from the commands themselves by `python -m dray.sdk.cli.reference > docs/cli.md`.

- **Data goes to stdout, everything else to stderr.** A terminal gets tables; a pipe gets one
  tab-separated line per thing, without a header and with whole ids; `--json` gives JSON with
  everything the server knows.
- **Ids** may be shortened to any unique beginning of four digits or more.
- **Exit codes**: 0 done, 1 a task failed or was aborted (or `wait` ran out of time), 2 wrong usage
  or a refused request, 3 no server, 130 left with Ctrl-C. `dray run --local` exits as its script.
- **Ctrl-C while following** detaches: the task goes on, and the command says how to reattach.
- `NO_COLOR` is honoured. Settings and where they come from: [settings.md](settings.md).
"""
#: Every command has these; said once.
_EVERYWHERE = ("--json", "--url", "--home", "--help", "--install-completion", "--show-completion")


def reference() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    shared = "\n".join(_option_line(p) for p in _leaf(root).params if p.opts[0] in _EVERYWHERE)
    parts = [_HEAD, f"Every command has:\n\n{shared}\n"]
    for path, command in commands(root, "dray"):
        parts.append("\n".join(_section(path, command)))
    return "\n".join(parts)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below ``command`` by its full name.

    The commands are Typer's own objects; it has no public name for their types.
    """
    for name, child in getattr(command, "commands", {}).items():
        yield f"{path} {name}", child
        yield from commands(child, f"{path} {name}")


def _leaf(command: Any) -> Any:
    return next(child for _, child in commands(command, "") if not hasattr(child, "commands"))


def _section(path: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        yield f"## {path}\n\n{_one_line(command.help)}\n"
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([path, "[OPTIONS]", *(_argument(p) for p in arguments)])
    yield f"{'##' if path.count(' ') == 1 else '###'} {path}\n\n{_one_line(command.help)}\n"
    yield f"```text\n{usage}\n```\n"
    own = [p for p in command.params if p not in arguments and p.opts[0] not in _EVERYWHERE]
    lines = [f"- `{p.metavar}`: {p.help}" for p in arguments] + [_option_line(p) for p in own]
    if lines:
        yield "\n".join(lines) + "\n"


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar)
    if parameter.required:
        return name
    return f"[{name}]" if parameter.nargs == 1 else f"[-- {name}...]"


def _option_line(parameter: Any) -> str:
    value = "" if parameter.is_flag or not parameter.metavar else f" {parameter.metavar}"
    names = ", ".join(sorted(parameter.opts, key=len))
    default = parameter.default
    said = f" Default: `{default}`." if isinstance(default, str | int) and default else ""
    return f"- `{names}{value}`: {parameter.help}{said}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(reference())
