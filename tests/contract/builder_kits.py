"""What the contract of environment builders needs from each manager: specs in its own words."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dray.envbuilder.spec import EnvironmentSpec, ProjectFile
from tests.unit.envbuilder.channels import Channel
from tests.unit.envbuilder.indexes import Index, make_wheel, serve_index

#: Whether installers that take seconds to start are tried, too: ``make test-managers``.
ALL = os.environ.get("DRAY_TEST_MANAGERS") == "1"
#: Those of which only a part of the contract is tried otherwise.
SLOW = ("pip",)

USER, PASSWORD = "somebody", "verysecret"
_LOGIN = "POETRY_HTTP_BASIC_LOOP_BACK"
#: Variables of an agent by which every manager here finds the login of its packages.
SECRETS = {
    "DRAY_SECRET_INDEX_PASSWORD": PASSWORD,
    f"DRAY_SECRET_{_LOGIN}_USERNAME": USER,
    f"DRAY_SECRET_{_LOGIN}_PASSWORD": PASSWORD,
}


class Kit(Protocol):
    """One manager with two versions of ``draysample``, 1.0 and 1.1, to install."""

    manager: str

    @contextmanager
    def served(self, *, hangs: bool = False, login: str = "") -> Iterator[Index]:
        """The packages on loopback, for those who have the ``login`` (``user:password``)."""
        ...

    def spec(self, version: str = "", *, login: str = "") -> EnvironmentSpec:
        """An environment with that version of it; with none of it for an empty one.

        ``login`` stands before the host in the URL that packages come from.
        """
        ...

    def with_wrong_hash(self) -> EnvironmentSpec:
        """One whose package is not what was locked."""
        ...

    def package(self, version: str) -> Path:
        """The served file of a version."""
        ...


class _WheelKit:
    """uv and pip: requirement lines and an index of wheels."""

    def __init__(self, manager: str, folder: Path) -> None:
        self.manager = manager
        self._wheels = folder / "wheels"
        for version in ("1.0", "1.1"):
            make_wheel(self._wheels, "draysample", version)
        self._url = ""

    @contextmanager
    def served(self, *, hangs: bool = False, login: str = "") -> Iterator[Index]:
        with serve_index(self._wheels, hangs=hangs, login=login) as index:
            self._url = index.url
            yield index

    def spec(self, version: str = "", *, login: str = "") -> EnvironmentSpec:
        return EnvironmentSpec(
            manager=self.manager,
            requirements=(f"draysample=={version}",) if version else (),
            index_urls=(_with_login(self._url, login),),
        )

    def with_wrong_hash(self) -> EnvironmentSpec:
        return EnvironmentSpec(
            manager=self.manager,
            requirements=(f"draysample==1.0 --hash=sha256:{'0' * 64}",),
            index_urls=(self._url,),
        )

    def package(self, version: str) -> Path:
        return next(self._wheels.glob(f"draysample-{version}-*.whl"))


class _PoetryKit(_WheelKit):
    """Poetry: a project that it has really locked."""

    def spec(self, version: str = "", *, login: str = "") -> EnvironmentSpec:
        wanted = f'"draysample=={version}"' if version else ""
        if version not in ("", "1.0", "1.1"):
            wanted = '"draysample>=1"'
        pyproject = (
            '[project]\nname = "sample"\nversion = "0"\nrequires-python = ">=3.10"\n'
            f"dependencies = [{wanted}]\n[tool.poetry]\npackage-mode = false\n"
            f'[[tool.poetry.source]]\nname = "loop-back"\nurl = "{self._url}"\n'
            'priority = "primary"\n'
        )
        assert login in ("", f"{USER}:${{INDEX_PASSWORD}}")  # Poetry asks the node's secrets
        lock = self._lock(pyproject)
        if version not in ("", "1.0", "1.1"):
            lock = lock.replace('version = "1.1"', f'version = "{version}"')
        return self._with(pyproject, lock)

    def with_wrong_hash(self) -> EnvironmentSpec:
        project, lock = self.spec("1.0").files
        return self._with(project.text, re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", lock.text))

    def _with(self, pyproject: str, lock: str) -> EnvironmentSpec:
        files = (ProjectFile("pyproject.toml", pyproject), ProjectFile("poetry.lock", lock))
        return EnvironmentSpec(manager="poetry", origin="poetry.lock", files=files)

    def _lock(self, pyproject: str) -> str:
        folder = self._wheels.with_name("project")
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(pyproject)
        (folder / "poetry.lock").unlink(missing_ok=True)
        login = {f"{_LOGIN}_USERNAME": USER, f"{_LOGIN}_PASSWORD": PASSWORD}
        command = [poetry() or "poetry", "lock", "-n", "-q"]
        subprocess.run(command, cwd=folder, check=True, env={**os.environ, **login})
        return (folder / "poetry.lock").read_text()


class _CondaKit:
    """conda packages, Python among them, in a channel made here."""

    def __init__(self, tool: str, folder: Path) -> None:
        self.manager = "conda"
        self._folder = folder / "channel"
        self._channel = Channel(self._folder)
        self._python = self._channel.add_python(by_file=tool != "rattler")
        self._channel.add_pip(version="99.0")  # which conda wants with every Python
        self._names = {v: self._channel.add_sample(v) for v in ("1.0", "1.1")}
        self._url = ""

    @contextmanager
    def served(self, *, hangs: bool = False, login: str = "") -> Iterator[Index]:
        with serve_index(self._folder, hangs=hangs, login=login) as index:
            self._url = index.url.removesuffix("/simple")
            yield index

    def spec(self, version: str = "", *, login: str = "") -> EnvironmentSpec:
        lines = [f"--channel {_with_login(self._url, login)}"]
        lines += [f"draysample={version}"] if version else []
        return EnvironmentSpec(manager="conda", requirements=tuple(lines))

    def with_wrong_hash(self) -> EnvironmentSpec:
        python, sample = self._explicit(self._python), self._explicit(self._names["1.0"])
        wrong = f"{sample.partition('#')[0]}#{'0' * 32}"
        return EnvironmentSpec(manager="conda", requirements=("@EXPLICIT", python, wrong))

    def package(self, version: str) -> Path:
        return self._channel.path_of(self._names[version])

    def _explicit(self, name: str) -> str:
        return self._channel.url_of(name).replace(self._channel.url, self._url)


def _with_login(url: str, login: str) -> str:
    return url.replace("http://", f"http://{login}@") if login else url


def poetry() -> str | None:
    """Poetry on this machine."""
    return shutil.which("poetry")


def conda() -> str | None:
    """micromamba, mamba or conda on this machine."""
    named = os.environ.get("MAMBA_EXE") or os.environ.get("CONDA_EXE")
    return named or next(filter(None, map(shutil.which, ("micromamba", "mamba", "conda"))), None)


#: ``{parameter: (kit, why it cannot be tried here)}``; an empty reason: it can.
KITS: dict[str, tuple[type[_WheelKit] | type[_CondaKit], str]] = {
    "uv": (_WheelKit, ""),
    "pip": (_WheelKit, ""),
    "poetry": (
        _PoetryKit,
        ""
        if ALL and poetry()
        else "poetry starts slowly: `make test-managers`, with poetry on the path",
    ),
    "rattler": (
        _CondaKit,
        "" if importlib.util.find_spec("rattler") else "py-rattler is not installed",
    ),
    "conda": (
        _CondaKit,
        ""
        if ALL and conda()
        else "conda starts slowly: `make test-managers`, with micromamba, mamba or conda installed",
    ),
}
