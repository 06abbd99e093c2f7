"""Command lines that other libraries parse: recorded by hand, replaced by stored values remotely.

One small file per library, imported when that library is. Part of the child's path.
"""

from __future__ import annotations

from dray.sdk.hooks import watch
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

#: (module to wait for, file of this folder that serves it); each has ``install(module)``.
BINDERS = (
    ("click.core", "click"),
    ("typer._click.core", "click"),
    ("typer.core", "click"),
    ("fire.core", "fire"),
    ("hydra._internal.hydra", "hydra"),
    ("jsonargparse", "jsonargparse"),
    ("absl.flags._flagvalues", "absl"),
)


def watch_all() -> None:
    """See what those libraries parse from now on; a second call does nothing."""
    for module, file in BINDERS:
        watch.when_imported(module, _INSTALLERS[file])


class _Installer:
    """Imports the file of one library, when that library is there."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.__qualname__ = file

    def __call__(self, module: ModuleType) -> None:
        from importlib import import_module

        import_module(f"{__name__}.{self._file}").install(module)


_INSTALLERS = {file: _Installer(file) for _, file in BINDERS}
