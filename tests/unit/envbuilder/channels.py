"""A conda channel of our own in a folder, with packages made here, Python among them."""

from __future__ import annotations

import bz2
import ensurepip
import hashlib
import io
import json
import os
import platform
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}[platform.machine()]
PYTHON = platform.python_version()
MINOR = ".".join(PYTHON.split(".")[:2])
#: As long as conda's own, so that every real path fits into its place.
PLACEHOLDER = "/opt/placehold" + "_placehold" * 24

_NOT_NEEDED = frozenset(
    {
        "site-packages",
        "dist-packages",
        "__pycache__",
        "test",
        "tests",
        "idlelib",
        "ensurepip",
        "lib-dynload",
    }
)


class Channel:
    """A channel that is being filled; ``url`` is what environments name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[str, dict[str, dict[str, Any]]] = {SUBDIR: {}, "noarch": {}}
        self._write()

    @property
    def url(self) -> str:
        return self._folder.as_uri()

    def url_of(self, file_name: str) -> str:
        """Of a package, with its hash, as an explicit list has it."""
        for subdir, records in self._records.items():
            if file_name in records:
                return f"{self.url}/{subdir}/{file_name}#{records[file_name]['md5']}"
        raise KeyError(file_name)

    def path_of(self, file_name: str) -> Path:
        return next(self._folder.glob(f"*/{file_name}"))

    def add_sample(self, version: str, *, depends: tuple[str, ...] = ("python",)) -> str:
        """A module ``draysample``, and a program of that name that tells where it is at home."""
        files = {
            "site-packages/draysample.py": f"VERSION = {version!r}\n".encode(),
            "python-scripts/draysample": (
                f"#!{PLACEHOLDER}/bin/python\nimport draysample\n"
                "print('draysample', draysample.VERSION)\n"
            ).encode(),
            "share/home.txt": PLACEHOLDER.encode(),
        }
        return self._add("draysample", version, files, depends=depends, noarch="python")

    def add_python(self, *, by_file: bool) -> str:
        """This very interpreter: its program, and links to its library.

        To each of its files where ``by_file``: conda itself, other than its successors, links no
        folders.
        """
        minor = f"python{MINOR}"
        program = Path(sys.base_prefix) / "bin" / minor
        library = Path(sysconfig.get_path("stdlib"))
        dynamic = Path(sysconfig.get_config_var("DESTSHARED") or library / "lib-dynload")
        links = {
            f"lib/{minor}/{path.relative_to(library)}": str(path)
            for path in _needed(library, by_file)
        }
        for path in dynamic.glob("*.so"):
            links[f"lib/{minor}/lib-dynload/{path.name}"] = str(path)
        links["bin/python"] = minor
        links["bin/python3"] = minor
        for path in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
            links[f"lib/{path.name}"] = str(path)
        files = {
            f"bin/{minor}": program.read_bytes(),
            f"lib/{minor}/site-packages/README.txt": b"",
        }
        return self._add("python", PYTHON, files, links=links)

    def add_pip(self, version: str, wheel: Path | None = None) -> str:
        """pip, of one of its wheels; without one it is an empty package of that name."""
        files = {"site-packages/pip/README.txt": b""}
        if wheel is not None:
            with zipfile.ZipFile(wheel) as archive:
                files = {f"site-packages/{name}": archive.read(name) for name in archive.namelist()}
        return self._add("pip", version, files, depends=("python",), noarch="python")

    def _add(
        self,
        name: str,
        version: str,
        files: dict[str, bytes],
        *,
        links: dict[str, str] | None = None,
        depends: tuple[str, ...] = (),
        noarch: str = "",
    ) -> str:
        subdir = "noarch" if noarch else SUBDIR
        build = "py_0" if noarch else "0_test"
        index = {
            "name": name,
            "version": version,
            "build": build,
            "build_number": 0,
            "subdir": subdir,
            "depends": list(depends),
        }
        if noarch:
            index["noarch"] = noarch
        content = _archive(index, files, links or {})
        file_name = f"{name}-{version}-{build}.tar.bz2"
        (self._folder / subdir / file_name).write_bytes(content)
        self._records[subdir][file_name] = {
            **index,
            "md5": hashlib.md5(content).hexdigest(),  # noqa: S324
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
        self._write()
        return file_name

    def _write(self) -> None:
        for subdir, records in self._records.items():
            folder = self._folder / subdir
            folder.mkdir(parents=True, exist_ok=True)
            document = {"info": {"subdir": subdir}, "packages": records, "packages.conda": {}}
            (folder / "repodata.json").write_text(json.dumps(document))


def pip_wheel() -> Path | None:
    """The pip that this interpreter brings along; None: Debian left it out."""
    folders = [
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
        Path(ensurepip.__file__).parent / "_bundled",
    ]
    found = [path for folder in folders if folder for path in Path(folder).glob("pip-*.whl")]
    return found[0] if found else None


def _needed(library: Path, by_file: bool) -> Iterator[Path]:
    for folder, folders, names in os.walk(library):
        folders[:] = [name for name in folders if name not in _NOT_NEEDED]
        yield from (Path(folder) / name for name in names)
        if not by_file:
            yield from (Path(folder) / name for name in folders)
            return


def _archive(index: dict[str, Any], files: dict[str, bytes], links: dict[str, str]) -> bytes:
    paths = [_path_of(path, content) for path, content in files.items()]
    paths += [
        {"_path": path, "path_type": "softlink", "sha256": hashlib.sha256(b"").hexdigest()}
        for path in links
    ]
    about = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": "\n".join([*files, *links, ""]).encode(),
    }
    if index.get("noarch") == "python":
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        about["info/link.json"] = json.dumps(link).encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for path, content in {**about, **files}.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if path.startswith(("bin/", "python-scripts/")) else 0o644
            archive.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type = tarfile.SYMTYPE
            member.linkname = target
            archive.addfile(member)
    return bz2.compress(raw.getvalue(), 1)


def _path_of(path: str, content: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if PLACEHOLDER.encode() in content:
        facts |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return facts
