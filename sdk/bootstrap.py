"""``python -m dray SCRIPT ARGS…`` (or ``-m MODULE ARGS…``): record a script as it is.

The script runs as ``__main__`` with the arguments and the path that Python would give it; it
need not know of Dray. A notebook's cells run in order; a shell script or a program runs in a
process of its own, and what it prints is recorded. Part of the child's path.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

USAGE = "usage: python -m dray [--project P] [--name N] (SCRIPT | -m MODULE) [ARGS …]"


def main(argv: list[str] | None = None) -> None:
    """Record and run what ``argv`` names."""
    names, rest = _names(list(sys.argv[1:] if argv is None else argv))
    if not rest or (rest[0] == "-m" and len(rest) < 2):
        raise SystemExit(USAGE)
    if rest[0] == "-m":
        _run_module(rest[1], rest[2:], names)
    else:
        _run_script(rest[0], rest[1:], names)


def _names(rest: list[str]) -> tuple[dict[str, str], list[str]]:
    names: dict[str, str] = {}
    while len(rest) > 1:
        if rest[0] in ("--project", "--name", "--binary"):
            names[rest[0][2:]] = rest[1]
            rest = rest[2:]
        elif rest[0] == "--no-task":  # of agents, for a notebook that records itself or not at all
            names["no-task"] = "1"
            rest = rest[1:]
        else:
            break
    return names, rest


def _run_script(script: str, arguments: list[str], names: dict[str, str]) -> None:
    path = os.path.abspath(script)
    if not os.path.exists(path):
        raise SystemExit(f"dray: no such script: {script}")
    sys.argv = [script, *arguments]
    _set_path(os.path.dirname(os.path.realpath(path)))
    if "no-task" not in names:
        record(path, "", arguments, names)
    if path.endswith(".ipynb"):
        from dray.sdk import notebook_run

        _as_main(lambda _: notebook_run.run(path))
        return
    command = _command(script, path, names.get("binary", ""))
    if command:
        from dray.sdk.runs import relay

        raise SystemExit(relay.run([*command, *arguments]))
    _as_main(lambda runpy: runpy.run_path(script, run_name="__main__"))


def _command(script: str, path: str, binary: str) -> list[str]:
    """What runs a script that is not for this interpreter; empty when it is."""
    if binary:
        import shlex

        from dray.sdk import session

        run = session.current()
        if run is not None:
            run.record("execution", values={"binary": binary})
        return [*shlex.split(binary), script]
    if path.endswith(".py"):
        return []
    from pathlib import Path

    from dray.runtime.entrypoints import SHELL, Kind, kind_of

    kind = Kind.PYTHON if os.path.isdir(path) else kind_of(Path(path))
    return {Kind.SHELL: [SHELL, script], Kind.PROGRAM: [path]}.get(kind, [])


def _run_module(module: str, arguments: list[str], names: dict[str, str]) -> None:
    sys.argv = [module, *arguments]
    _set_path(os.getcwd())
    record(file_of(module), module, arguments, names)
    _as_main(lambda runpy: runpy.run_module(module, run_name="__main__", alter_sys=True))


def _set_path(first: str) -> None:
    # ``python -m dray.sdk.bootstrap`` put the working directory there; ``-P`` and ``-I`` nothing.
    if getattr(sys.flags, "safe_path", False) or sys.flags.isolated:
        return
    sys.path[0] = first


def file_of(module: str) -> str:
    """The file that ``python -m module`` runs."""
    from importlib.util import find_spec

    try:
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            spec = find_spec(f"{module}.__main__")
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        raise SystemExit(f"dray: no module named {module}")
    return spec.origin


def record(script: str, module: str, arguments: list[str], names: dict[str, str]) -> None:
    """Join the run this process belongs to, or begin one of ``script``."""
    from dray.sdk import session
    from dray.sdk.parameters.argument_watch import watch
    from dray.sdk.tasks import start as task_start

    watch()
    options = task_start.Options(bootstrap=True)
    if session.current() is None:  # nobody's run yet: begin one, of this script
        from pathlib import Path

        from dray.sdk.capture.entry import Entry

        options.entry = Entry(Path(script), module, tuple(arguments))
    task_start.start(names.get("project"), names.get("name"), "training", options)


def _as_main(run: Callable[[Any], object]) -> None:
    """Run with a traceback that begins in the user's file, as without us."""
    import runpy

    try:
        run(runpy)
    except SystemExit:
        raise
    except BaseException as exc:
        _raise_without_us(exc)


def _raise_without_us(exc: BaseException) -> None:
    trace: TracebackType | None = exc.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_globals):
        trace = trace.tb_next
    # The hook prints it and the recorder notes it; raising again would add these frames back.
    sys.excepthook(type(exc), exc.with_traceback(trace), trace)
    if isinstance(exc, KeyboardInterrupt):
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.stdout.flush()
        sys.stderr.flush()
        _interrupt_self()
    raise SystemExit(1)


def _interrupt_self() -> None:
    """End by SIGINT, as Python does; the record of the end is written before."""
    import atexit
    import signal

    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    os.kill(os.getpid(), signal.SIGINT)


def _is_ours(names: dict[str, Any]) -> bool:
    return names is globals() or names.get("__name__") in ("runpy", "dray.sdk.notebook_run")


if __name__ == "__main__":
    main()
