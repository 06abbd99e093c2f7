"""How the interpreter was started, and what the user wished of the packages to record."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """How the interpreter was started.

    Attributes:
        script: file of ``__main__``; None in an interactive session.
        module: dotted name after ``-m``; empty for a script.
        arguments: command-line arguments after the entry point.
    """

    script: Path | None
    module: str = ""
    arguments: tuple[str, ...] = ()


@dataclass
class Wishes:
    """What the user said about code and packages before ``Task.init``.

    Attributes:
        forced: distribution → requirement line that replaces what is detected.
        freeze: list every installed distribution.
        verbatim: these lines and no others, when not None.
        standalone: record the script's own text, whatever repository it lies in.
        folder: absolute; it is the code, whatever repository it lies in. Empty: not said.
    """

    forced: dict[str, str] = field(default_factory=dict[str, str])
    freeze: bool = False
    verbatim: list[str] | None = None
    standalone: bool = False
    folder: str = ""


def entry_of_process(arguments: Sequence[str] | None = None) -> Entry:
    """How this interpreter was started, as ``__main__`` tells."""
    if "ipykernel" in sys.modules:
        from dray.sdk.capture import notebook

        found = notebook.entry()
        if found is not None:
            return found
    main = sys.modules.get("__main__")
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    file = getattr(main, "__file__", None)
    spec = getattr(main, "__spec__", None)
    module = str(spec.name) if spec is not None else ""
    if module == "__main__":  # a folder or zip given as the script
        module = ""
    module = module.removesuffix(".__main__")
    return Entry(Path(file).absolute() if file else None, module, given)
