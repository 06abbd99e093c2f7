"""Options about what a task runs in, shared by the commands that make and edit tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk.cli import options

#: A script of more than this is a file of the code, not a few lines before it.
SCRIPT_LIMIT_BYTES = 64 << 10

Manager = Annotated[
    str | None,
    typer.Option(
        "--manager",
        metavar="NAME",
        help="Who installs: uv, pip, conda, poetry, or system in a container.",
    ),
]
TorchBackend = Annotated[
    str | None,
    typer.Option("--torch-backend", metavar="NAME", help="Builds of PyTorch: cpu, cu128 …"),
]
Image = Annotated[str | None, typer.Option("--image", metavar="IMAGE", help="Container to run in.")]
ContainerArguments = Annotated[
    str | None,
    typer.Option("--container-arguments", metavar="TEXT", help="For that container: '--ipc=host'."),
]


@dataclass(frozen=True)
class ExecutionOptions:
    """What the command line says a task runs in; None means not said, an empty text none."""

    manager: Manager = None
    packages_from: Annotated[
        str | None,
        typer.Option(
            "--packages-from", metavar="WORD", help="What to install: lock, task or repository."
        ),
    ] = None
    extra: Annotated[
        list[str] | None,
        typer.Option("--extra", metavar="NAME", help="Extra of the project that the code is."),
    ] = None
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="Dependency group of that project."),
    ] = None
    index_url: Annotated[
        list[str] | None,
        typer.Option(
            "--index-url", metavar="URL", help="Package index; the first is the default one."
        ),
    ] = None
    find_links: Annotated[
        list[str] | None,
        typer.Option("--find-links", metavar="URL", help="Page or folder with packages."),
    ] = None
    constraint: Annotated[
        list[str] | None,
        typer.Option("--constraint", metavar="LINE", help="Limits a package: 'numpy<2'."),
    ] = None
    torch_backend: TorchBackend = None
    setup_script: Annotated[
        Path | None,
        typer.Option("--setup-script", metavar="FILE", help="Shell lines to run before it."),
    ] = None
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help="Environment variable; several times."),
    ] = None
    python_path: Annotated[
        list[str] | None,
        typer.Option(
            "--python-path", metavar="FOLDER", help="Folder of the code to import from, too."
        ),
    ] = None
    image: Image = None
    container_arguments: ContainerArguments = None
    system_package: Annotated[
        list[str] | None,
        typer.Option(
            "--system-package", metavar="NAME", help="Debian package to install in the container."
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Members of the execution that were given; a single empty text empties a list."""
        members: dict[str, Any] = {
            "environment_manager": self.manager,
            "packages_from": self.packages_from,
            "extras": _lines(self.extra),
            "groups": _lines(self.group),
            "index_urls": _lines(self.index_url),
            "find_links": _lines(self.find_links),
            "constraints": _lines(self.constraint),
            "torch_backend": self.torch_backend,
            "setup_script": script_of(self.setup_script),
            "variables": None if self.env is None else options.pairs(_lines(self.env), "--env"),
            "python_path": _lines(self.python_path),
            "system_packages": _lines(self.system_package),
        }
        container = container_members(self.image, self.container_arguments)
        if container:
            members["container"] = container
        return {name: value for name, value in members.items() if value is not None}


def container_members(
    image: str | None, arguments: str | None, setup_script: str | None = None
) -> dict[str, str]:
    """Members of a container that were given; what was for an image goes with it."""
    members = {"image": image, "arguments": arguments, "setup_script": setup_script}
    if image == "":
        members = {name: value or "" for name, value in members.items()}
    return {name: value for name, value in members.items() if value is not None}


def script_of(path: Path | None) -> str | None:
    """The lines of a script; an empty path stands for none.

    Raises:
        NotFound: it is not there.
        InvalidInput: it is no text, or too long.
    """
    if path is None or str(path) == ".":  # the path that an empty text becomes
        return None if path is None else ""
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, IsADirectoryError) as exc:
        raise NotFound(f"no script {path} in {Path.cwd()}", path=str(path)) from exc
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{path} is not UTF-8 text", field="--setup-script") from exc
    if len(text) > SCRIPT_LIMIT_BYTES:
        raise InvalidInput(
            f"{path} has {len(text)} bytes, and a setup script at most {SCRIPT_LIMIT_BYTES}; put "
            "it into the code and call it from a shorter one",
            field="--setup-script",
        )
    return text


def _lines(given: list[str] | None) -> list[str] | None:
    return None if given is None else [line for line in given if line.strip()]
