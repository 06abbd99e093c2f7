"""Which packages a script needs: its imports, as installed distributions with their versions."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from dray.runtime.errors import InvalidInput
from dray.sdk.capture import checkout
from dray.sdk.storage import places

#: Never listed: agents bring their own dray, and these come with every environment.
NEVER_LISTED = frozenset({"dray", "pip", "setuptools", "wheel"})
_SCHEME = re.compile(r"[\"']([a-z0-9]+)://")


@dataclass
class Listing:
    """Requirement lines for what is installed here.

    Attributes:
        root: of the user's own code; a distribution installed from it in place is not listed.
        lines: one for each distribution, by its normal name.
        unknown: modules that no installed distribution provides.
        warnings: distributions that an agent will not get as they are here, a sentence each.
    """

    root: Path | None = None
    lines: dict[str, str] = field(default_factory=dict[str, str])
    unknown: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    def __iter__(self) -> Iterator[str]:
        """The lines, by name."""
        found = sorted(self.lines.items())
        return (line for name, line in found if line and name not in NEVER_LISTED)

    def add(self, name: str) -> None:
        """The installed distribution ``name``."""
        self.lines[normal(name)] = _line(name, self.root, self.warnings)


def requirements(modules: Iterable[str], root: Path | None = None) -> Listing:
    """One requirement line for each installed distribution that ``modules`` come from.

    Args:
        modules: dotted names, such as ``yaml`` or ``google.protobuf.message``.
        root: of the user's own code.
    """
    listing = Listing(root)
    names: set[str] = set()
    left: list[str] = []
    for module in modules:
        top = module.partition(".")[0]
        if top == "dray":  # every script has it; installed in place, its name is not enough
            continue
        if _is_named_after(top):
            names.add(top)
        else:
            left.append(module)
    if left:
        # Reads the file list of everything that is installed, so only when it must be.
        owners = _distributions_by_module()
        for module in left:
            names.update(_owners(module, owners))
            if not owners.get(module.partition(".")[0]):
                listing.unknown.append(module)
    for name in sorted(names):
        listing.add(name)
    return listing


def needed_by_storage(files: Iterable[Path]) -> set[str]:
    """Modules that a script needs and does not import: those behind the addresses in its text.

    ``StorageManager`` reads ``s3://…`` through fsspec and its package for that scheme.
    """
    needed: set[str] = set()
    for file in files:
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue  # told where the code itself is captured
        if "StorageManager" in text:
            needed.add("fsspec")
        for scheme in set(_SCHEME.findall(text)):
            needed.update(places.PACKAGES.get(scheme, ()))
    return needed


def _distributions_by_module() -> Mapping[str, list[str]]:
    """Top-level module → distributions that install it."""
    if sys.version_info >= (3, 11):
        return metadata.packages_distributions()
    # Python 3.10 knows top_level.txt only, which most build tools no longer write
    # (scikit-learn has none); later versions look at the installed files as well.
    owners: dict[str, list[str]] = {}
    for dist in metadata.distributions():
        declared = (dist.read_text("top_level.txt") or "").split()
        for name in dict.fromkeys(declared or _top_levels(dist)):
            owners.setdefault(name, []).append(dist.metadata["Name"])
    return owners


def _top_levels(dist: metadata.Distribution) -> list[str]:
    tops = (file.parts[0] if len(file.parts) > 1 else file.stem for file in dist.files or ())
    return [name for top in tops if (name := top.partition(".")[0]).isidentifier()]


def frozen(root: Path | None = None) -> Listing:
    """One requirement line for every distribution of this environment."""
    listing = Listing(root)
    for name in {str(dist.metadata["Name"] or "") for dist in metadata.distributions()} - {""}:
        listing.add(name)
    return listing


def merge(detected: Iterable[str], forced: Mapping[str, str]) -> list[str]:
    """``detected`` with the lines of ``forced`` (distribution → line) in their place."""
    kept = {normal(requirement_name(line)): line for line in detected}
    kept.update({normal(name): line for name, line in forced.items()})
    return [line for _, line in sorted(kept.items()) if line]


def forced_line(name: str, version: str | None) -> str:
    """The requirement that ``Task.add_requirements(name, version)`` asks for."""
    if version is None:
        try:
            return f"{name}=={_public(metadata.version(name))}"
        except metadata.PackageNotFoundError:
            return name
    if not version or version[0] in "<>=!~@;[":
        return f"{name}{' ' if version[:1] in ('@', ';') else ''}{version}"
    return f"{name}=={version}"


def forced_lines(name: str, version: str | None) -> dict[str, str]:
    """Lines by distribution that ``Task.add_requirements(name, version)`` asks for."""
    if version is None and (name.endswith(".txt") or os.sep in name):
        return {requirement_name(line): line for line in lines_of(name)}
    return {name: forced_line(name, version)}


def read_requirements(text: str) -> list[str]:
    """The lines of a requirements file that name something, without comments."""
    lines = (re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def requirement_name(line: str) -> str:
    """The distribution a requirement line names; the line itself when it names none."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
    return found.group(0) if found else line


def normal(name: str) -> str:
    """``name`` as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_named_after(top: str) -> bool:
    """Whether the distribution of that very name installed the module ``top``."""
    try:
        dist = metadata.distribution(top)
    except metadata.PackageNotFoundError:
        return False
    return any(str(file) in (f"{top}/__init__.py", f"{top}.py") for file in dist.files or ())


def _owners(module: str, owners: Mapping[str, list[str]]) -> list[str]:
    candidates = list(dict.fromkeys(owners.get(module.partition(".")[0], ())))
    if len(candidates) < 2:
        return candidates
    # Several distributions share the top-level name (a namespace such as ``google``): those
    # that installed something under the dotted name.
    stem = module.replace(".", "/")
    for length in range(len(module.split(".")), 1, -1):
        prefix = "/".join(stem.split("/")[:length])
        owning = [name for name in candidates if _installed_under(name, prefix)]
        if owning:
            return owning
    return [] if "." not in module else candidates


def _installed_under(name: str, prefix: str) -> bool:
    files = metadata.distribution(name).files or ()
    return any(
        str(file).startswith((f"{prefix}/", f"{prefix}.")) and file.suffix in (".py", ".so", ".pyd")
        for file in files
    )


def _line(name: str, root: Path | None, warnings: list[str]) -> str:
    try:
        dist = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return ""
    origin = _direct_url(dist)
    url = str(origin.get("url", ""))
    if "vcs_info" in origin:
        return _vcs_line(name, url, origin)
    if url.startswith("file:"):
        return _local_line(dist, url, root, warnings)
    if url:
        return f"{name} @ {url}"
    return f"{name}=={_public(dist.version)}"


def _direct_url(dist: metadata.Distribution) -> dict[str, Any]:
    text = dist.read_text("direct_url.json")
    try:
        return cast("dict[str, Any]", json.loads(text)) if text else {}
    except ValueError:
        return {}


def _vcs_line(name: str, url: str, origin: dict[str, Any]) -> str:
    vcs = cast("dict[str, str]", origin["vcs_info"])
    subdirectory = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    vcs_url = checkout.without_credentials(url)
    return f"{name} @ {vcs.get('vcs', 'git')}+{vcs_url}@{vcs.get('commit_id', '')}{subdirectory}"


def _local_line(
    dist: metadata.Distribution, url: str, root: Path | None, warnings: list[str]
) -> str:
    """A distribution installed from a folder or file here: by its repository if it has one."""
    from urllib.parse import unquote, urlparse

    name, folder = str(dist.metadata["Name"]), Path(unquote(urlparse(url).path))
    if root is not None and folder.resolve().is_relative_to(root.resolve()):
        return ""  # the user's own project, which travels as code
    work = checkout.open_at(folder) if folder.is_dir() else None
    if work is not None and work.url and work.commit:
        if not checkout.is_published(work):
            warnings.append(
                f"{name} is installed from {folder}, which has changes that are not pushed; agents "
                f"install commit {work.commit[:12]} of {work.url}: push it, or move it into the "
                "code"
            )
        inside = os.path.relpath(folder.resolve(), work.root.resolve())
        subdirectory = "" if inside == "." else f"#subdirectory={Path(inside).as_posix()}"
        remote = re.sub(r"^([^/@]+@[^/:]+):(?!//)", r"ssh://\1/", work.url)
        return f"{name} @ git+{remote}@{work.commit}{subdirectory}"
    # conda states the folder of its build farm, which is nowhere, for what its channels have.
    if folder.exists():
        warnings.append(
            f"{name} is installed from {folder}, which agents cannot read; they ask the indexes "
            f"for {name}=={_public(dist.version)}: move it into the code, or say where it is with "
            f"Task.add_requirements({name!r}, '@ git+https://…')"
        )
    return f"{name}=={_public(dist.version)}"


def _public(version: str) -> str:
    # ``2.1.0+cu118`` is in no public index, and ``==2.1.0`` accepts it where one has it (PEP 440).
    return version.partition("+")[0]


def lines_of(packages: str | Iterable[str]) -> list[str]:
    """Requirement lines given as such, or as the path of a requirements file."""
    if not isinstance(packages, str):
        return [str(line) for line in packages]
    if not packages:
        return []
    path = Path(packages)
    if path.suffix == ".txt" or path.is_file():
        try:
            return read_requirements(path.read_text("utf-8"))
        except OSError as exc:
            raise InvalidInput(
                f"requirements file {packages} cannot be read: {exc.strerror}", field="packages"
            ) from exc
    return read_requirements(packages)
