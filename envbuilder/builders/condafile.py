"""What a conda environment is asked to hold: environment.yml, conda-lock.yml, @EXPLICIT, lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from dray.envbuilder.failures import environment_failed

EXPLICIT = "@EXPLICIT"
#: Where nothing names a channel: the same on every node, whatever its tools are set to.
DEFAULT_CHANNEL = "conda-forge"

#: ``python=3.11``, ``python 3.11.*``, ``python==3.11.7=h…``: what fixes the minor version.
_PYTHON_EXACT = re.compile(
    r"(?:\S+::)?python\s*(?:={1,2}|\s)\s*(?P<version>\d+\.\d+(?:\.\d+)?)(?:\.?\*)?(?:[=\s]\S*)?"
)
_PYTHON = re.compile(r"(?P<channel>\S+::)?python(?P<rest>$|[\s=<>!~\[].*)")
_DRAY = re.compile(r"dray\s*($|[\[=<>!~;@\s])", re.IGNORECASE)
_PYTHON_URL = re.compile(r"/python-(?P<version>\d+\.\d+\.\d+)-[^/]+$")
#: What no conda spec is: a URL, a path, a direct reference, extras, or a hash.
_FOR_PIP = re.compile(r"^(git\+|https?://|file:|\.{1,2}/|-)|\s@\s|^[\w.-]+\s*\[(?![^\]]*=)|--hash=")


@dataclass(frozen=True)
class CondaRequest:
    """What to ask conda, and then pip, for.

    Attributes:
        channels: where packages are looked for, the first one first.
        specs: conda's match specs; empty when there are ``explicit`` packages.
        explicit: URLs of every package, with its hash behind ``#``, in the order to install.
        pip: requirement lines that pip installs afterwards.
        variables: set whenever the environment is used.
    """

    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def python(self) -> str:
        """The version of Python that is fixed, to the minor release at least; empty: none is."""
        for url in self.explicit:
            found = _PYTHON_URL.search(url.partition("#")[0])
            if found is not None:
                return found["version"]
        for spec in self.specs:
            found = _PYTHON_EXACT.fullmatch(spec)
            if found is not None:
                return found["version"]
        return ""

    def specs_with_python(self, version: str) -> list[str]:
        """``specs`` with exactly Python ``version`` (``3.11`` or ``3.11.7``), and pip if needed."""
        wanted = f"=={version}" if version.count(".") > 1 else f"{version}.*"
        others = [spec for spec in self.specs if not _PYTHON.fullmatch(spec)]
        fixed = f"python {wanted}"
        for spec in self.specs:
            found = _PYTHON.fullmatch(spec)
            if found is not None:
                fixed = f"{found['channel'] or ''}python {_both(found['rest'], wanted)}"
        if self.pip and not any(_name(spec) == "pip" for spec in others):
            others.append("pip")
        return [fixed, *others]


def _both(said: str, wanted: str) -> str:
    """A version that is in the range that was ``said``, and the one that is ``wanted``."""
    version = said.strip().lstrip("=").strip()
    if not version or version.startswith("[") or version[0].isdigit():
        return wanted  # fixed already, which the caller has compared
    return f"{version},{wanted}".replace(" ", "")


def _name(spec: str) -> str:
    return re.split(r"[\s=<>!~\[]", spec.rpartition("::")[2], maxsplit=1)[0].lower()


def of_lines(lines: Iterable[str]) -> CondaRequest:
    """What package lines of a task ask for: conda specs, ``@EXPLICIT`` and URLs, or pip's own.

    ``--channel NAME`` names a channel, and so does ``NAME::`` before a spec. A line that no conda
    spec can be (a URL, ``name @ …``, extras), what stands behind ``pip:``, and everything after a
    line of that alone, is for pip.
    """
    channels: list[str] = []
    specs: list[str] = []
    explicit: list[str] = []
    pip: list[str] = []
    is_explicit = is_pip = False
    for line in filter(None, (line.partition(" #")[0].strip() for line in lines)):
        if line.startswith("#"):
            continue
        if line == EXPLICIT:
            is_explicit = True
        elif line.strip("- ") == "pip:":
            is_pip = True
        elif line.startswith("--channel"):
            channels.append(line.removeprefix("--channel").strip(" ="))
        elif line.startswith("pip:"):
            pip.append(line.removeprefix("pip:").strip())
        elif is_explicit and not is_pip:
            explicit.append(line)
        elif is_pip or ("::" not in line and _FOR_PIP.search(line)):
            pip.append(line)
        else:
            channel, _, spec = line.rpartition("::")
            specs.append(spec if "://" in channel else line)
            channels += [channel] if channel else []
    return CondaRequest(
        tuple(dict.fromkeys(channels)), _without_dray(specs), tuple(explicit), _without_dray(pip)
    )


def _without_dray(lines: Iterable[str]) -> tuple[str, ...]:
    """The agent puts its own on the child's path."""
    return tuple(line for line in lines if not _DRAY.match(line))


def of_file(text: str, path: str, subdir: str) -> CondaRequest:
    """What the file ``path`` of the code asks for.

    Args:
        subdir: platform as conda names it, such as ``linux-64``.

    Raises:
        PreparationFailed: it is none of the three kinds, or not for this platform.
    """
    if any(line.strip() == EXPLICIT for line in text.splitlines()):
        return of_lines(text.splitlines())
    document = _yaml(text, path)
    if "package" in document:
        return _of_lock(document, path, subdir)
    return _of_environment(document, path)


def _yaml(text: str, path: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as exc:
        raise environment_failed(
            f"{path} cannot be read: this installation of Dray has no PyYAML; install it with "
            "`pip install 'dray[cluster]'`"
        ) from exc
    try:
        document: object = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise environment_failed(f"{path} of the code is not valid YAML: {exc}") from exc
    if not isinstance(document, dict):
        raise environment_failed(f"{path} of the code has no dependencies in it")
    return cast("dict[str, Any]", document)


def _of_environment(document: Mapping[str, Any], path: str) -> CondaRequest:
    specs: list[str] = []
    pip: list[str] = []
    for entry in cast("list[object]", document.get("dependencies") or []):
        if isinstance(entry, str):
            specs.append(entry.strip())
        elif isinstance(entry, dict) and list(cast("dict[str, Any]", entry)) == ["pip"]:
            lines = cast("dict[str, list[str]]", entry)["pip"]
            pip.extend(str(line).strip() for line in lines or [])
        else:
            raise environment_failed(
                f"{path} has a dependency that is neither a conda package nor a list "
                f"for pip: {json.dumps(entry, default=str)}"
            )
    channels = [str(each) for each in cast("list[object]", document.get("channels") or [])]
    variables = cast("dict[str, object]", document.get("variables") or {})
    return CondaRequest(
        # It only keeps tools from adding channels of their own, which none here does.
        channels=tuple(each for each in channels if each != "nodefaults"),
        specs=_without_dray(specs),
        pip=_without_dray(pip),
        variables={name: str(value) for name, value in variables.items()},
    )


def _of_lock(document: Mapping[str, Any], path: str, subdir: str) -> CondaRequest:
    """A ``conda-lock.yml``: every package of each platform, with its URL and hashes."""
    packages = cast("list[dict[str, Any]]", document["package"])
    mine = [each for each in packages if each.get("platform") == subdir and _is_main(each)]
    if not mine:
        platforms = sorted({str(each.get("platform")) for each in packages})
        raise environment_failed(
            f"{path} locks no package for {subdir}; it has {', '.join(platforms)}"
        )
    return CondaRequest(
        explicit=tuple(_explicit(mine)),
        pip=_without_dray(_for_pip(each) for each in mine if each.get("manager") == "pip"),
    )


def _for_pip(package: Mapping[str, Any]) -> str:
    hashes = cast("dict[str, str]", package.get("hash") or {})
    known = f" --hash=sha256:{hashes['sha256']}" if "sha256" in hashes else ""
    return f"{package['name']} @ {package['url']}{known}"


def _is_main(package: Mapping[str, Any]) -> bool:
    return package.get("category", "main") == "main" and not package.get("optional", False)


def _explicit(packages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for package in packages:
        if package.get("manager") == "conda":
            hashes = cast("dict[str, str]", package.get("hash") or {})
            yield f"{package['url']}#{hashes['md5']}" if "md5" in hashes else str(package["url"])
