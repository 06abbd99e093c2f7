"""Runs a notebook without a kernel: its code cells in order, in one namespace, as ``__main__``.

The value of a cell's last line is printed, as a notebook shows it. Magics that make sense without
a kernel do what they do in one; of the others a line on stderr says that they were passed over.
Packages are not installed by cells: the task's environment is shared. Part of the child's path.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable

from dray.sdk.capture.notebook_file import Cell, as_python, read
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_INSTALLS = re.compile(
    r"^(\{?sys\.executable\}?|python[\d.]*)?\s*(-m\s+)?(pip3?|uv|conda|mamba|poetry)\s+"
    r"(pip\s+)?(install|add|create|uninstall|remove|sync|update|upgrade)\b"
)
#: Magics that are commands of the shell.
_SHELL = frozenset({"cat", "cp", "ln", "ls", "mkdir", "mv", "rm", "rmdir"})
_INSTALLERS = frozenset({"pip", "uv", "conda", "mamba", "micromamba"})
#: What a cell magic shows, and a log cannot.
_SHOWN = frozenset({"html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"})
#: ``{expression}`` and ``$name`` in a command are values of the notebook.
_VALUE = re.compile(r"\{(?P<expression>[^{}\n]+)\}|\$(?P<name>[A-Za-z_]\w*)")


def run(path: str) -> None:
    """Run the notebook at ``path``; the first cell that raises ends it.

    Raises:
        InvalidInput: it is no notebook in Python.
    """
    import types

    name = os.path.basename(path)
    with open(path, "rb") as file:
        cells = read(file.read(), name)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    namespace = main.__dict__
    namespace.update(__notebook__=Magics(namespace), display=_display)
    loop: Any = None
    for cell in cells:
        if "skip-execution" in cell.tags:
            continue
        try:
            loop = _run_cell(cell, f"{name} cell {cell.number}", namespace, loop)
        except Exception:
            if "raises-exception" not in cell.tags:
                raise
            import traceback

            traceback.print_exc()
    if loop is not None:
        loop.close()


def _run_cell(cell: Cell, file: str, namespace: dict[str, Any], loop: Any) -> Any:
    text = as_python(cell.text)
    linecache.cache[file] = (len(text), None, cell.text.splitlines(keepends=True), file)
    tree = ast.parse(text, file)
    shown: ast.Expression | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not text.rstrip().endswith(";"):
        shown = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    for part, mode in ((tree, "exec"), (shown, "eval")):
        if part is None:
            continue
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(part, file, mode, flags, dont_inherit=True)
        value = eval(code, namespace)  # noqa: S307  (the user's own code is what is to run)
        if code.co_flags & inspect.CO_COROUTINE:
            if loop is None:
                import asyncio

                loop = asyncio.new_event_loop()
            value = loop.run_until_complete(value)
        if mode == "eval" and value is not None:
            namespace["_"] = value
            _display(value)
    return loop


def _display(*values: Any, **_: Any) -> None:
    for value in values:
        print(value if isinstance(value, str) else repr(value))


class Magics:
    """What the magics and shell commands of cells call."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._by_name: dict[str, Callable[[str], object]] = {
            "cd": self._cd,
            "pwd": lambda _: os.getcwd(),
            "env": self._env,
            "set_env": self._env,
            "run": self._run,
            "sx": self.lines,
            "system": self.lines,
            "matplotlib": self._matplotlib,
        }

    def system(self, command: str) -> None:
        """``!command``: its output is printed, its exit code is ``_exit_code``."""
        if _INSTALLS.match(command.strip()):
            _passed_over(f"!{command}", "name packages in the task instead")
            return
        self._namespace["_exit_code"] = _shell(["/bin/bash", "-c", self._filled(command)])

    def lines(self, command: str) -> list[str]:
        """``name = !command``: the lines that it prints."""
        done = subprocess.run(
            ["/bin/bash", "-c", self._filled(command)], stdout=subprocess.PIPE, check=False
        )
        self._namespace["_exit_code"] = done.returncode
        return done.stdout.decode("utf-8", "replace").splitlines()

    def magic(self, name: str, arguments: str) -> object:
        """``%name arguments``."""
        if name in self._by_name:
            return self._by_name[name](arguments)
        if name in _SHELL:
            self.system(f"{name} {arguments}")
        elif name in _INSTALLERS:
            _passed_over(f"%{name} {arguments}", "name packages in the task instead")
        else:
            self.skip(f"%{name} {arguments}")
        return None

    def cell_magic(self, name: str, arguments: str, body: str) -> None:
        """``%%name arguments`` and what is below it.

        Raises:
            CalledProcessError: a script ended with another code than 0.
        """
        if name in ("writefile", "file"):
            words = shlex.split(arguments)
            with open(words[-1], "a" if "-a" in words[:-1] else "w", encoding="utf-8") as file:
                file.write(body if body.endswith("\n") else body + "\n")
            return
        programs = {"bash": ["bash"], "sh": ["sh"], "script": shlex.split(arguments)}
        programs |= {word: [sys.executable, "-"] for word in ("python", "python3", "py")}
        if name in programs:
            code = _shell(programs[name], body)
            if code:
                raise subprocess.CalledProcessError(code, f"%%{name}")
        elif name in _SHOWN:
            self.skip(f"%%{name}")
        else:
            _passed_over(f"%%{name} with {len(body.splitlines())} lines", "it needs a kernel")

    def skip(self, text: str) -> None:
        """What only a notebook on a screen has a use for."""
        _passed_over(text, "it needs a kernel")

    def _filled(self, command: str) -> str:
        """``command`` with the values of the notebook in it; the shell's own stay."""

        def value(match: re.Match[str]) -> str:
            name = match["name"]
            if name is not None:
                return str(self._namespace[name]) if name in self._namespace else match[0]
            try:
                return str(eval(match["expression"], self._namespace))  # noqa: S307
            except Exception:
                return match[0]  # braces of the shell

        return _VALUE.sub(value, command)

    def _cd(self, folder: str) -> None:
        os.chdir(os.path.expanduser(self._filled(folder).strip("'\"") or "~"))

    def _env(self, arguments: str) -> object:
        name, equals, value = arguments.partition("=")
        if not equals:
            name, _, value = arguments.partition(" ")
        if not name:
            return dict(os.environ)
        if not equals and not value:
            return os.environ.get(name)
        os.environ[name.strip()] = self._filled(value.strip())
        return None

    def _run(self, arguments: str) -> None:
        import runpy

        words = [word for word in shlex.split(self._filled(arguments)) if word != "-i"]
        kept, sys.argv = sys.argv, words
        try:
            found = runpy.run_path(words[0], run_name="__main__")
        finally:
            sys.argv = kept
        self._namespace.update({k: v for k, v in found.items() if not k.startswith("__")})

    def _matplotlib(self, _: str) -> None:
        os.environ.setdefault("MPLBACKEND", "Agg")  # there is no screen to draw on


def _shell(command: list[str], text: str | None = None) -> int:
    """Run a command, its output printed as the notebook's own; its exit code."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        if text is not None and process.stdin is not None:
            process.stdin.write(text.encode())
            process.stdin.close()
        assert process.stdout is not None  # noqa: S101  (asked for above)
        for line in process.stdout:
            print(line.decode("utf-8", "replace"), end="", flush=True)
        return process.wait()


def _passed_over(what: str, why: str) -> None:
    first = what.strip().partition("\n")[0]
    print(f"dray: passed over: {first} ({why})", file=sys.stderr, flush=True)
