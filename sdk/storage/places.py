"""Where files may lie besides the server: folders, web addresses, and whatever fsspec knows.

Folders and web addresses need the standard library only. Every other scheme needs ``fsspec`` and
its package for that scheme, both imported when the first such address is used.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from dray.runtime.errors import DrayError, InvalidInput, NotFound, ServerUnreachable

#: scheme -> the packages that its addresses need.
PACKAGES: dict[str, tuple[str, ...]] = {
    "s3": ("fsspec", "s3fs"),
    "s3a": ("fsspec", "s3fs"),
    "gs": ("fsspec", "gcsfs"),
    "gcs": ("fsspec", "gcsfs"),
    "az": ("fsspec", "adlfs"),
    "abfs": ("fsspec", "adlfs"),
    "abfss": ("fsspec", "adlfs"),
    "azure": ("fsspec", "adlfs"),
    "adl": ("fsspec", "adlfs"),
    "sftp": ("fsspec", "paramiko"),
    "ssh": ("fsspec", "paramiko"),
    "hdfs": ("fsspec", "pyarrow"),
    "webhdfs": ("fsspec", "requests"),
    "smb": ("fsspec", "smbprotocol"),
    "ftp": ("fsspec",),
    "memory": ("fsspec",),
}
LOCAL_SCHEMES = frozenset({"", "file"})
WEB_SCHEMES = frozenset({"http", "https"})
#: Keys in them are flat: there is no folder to make first.
_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "azure", "memory"})
_AZURE_HOST = ".blob.core.windows.net"
_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 30.0

Progress = Callable[[int], None]


class Entry(NamedTuple):
    """One file of a place: its whole address and its size in bytes."""

    url: str
    n_bytes: int


class Place(Protocol):
    """What can be done with the addresses of one scheme; errors are Dray's."""

    def upload(self, source: Path, url: str, on_progress: Progress | None = None) -> None:
        """Put a file there, over what is there."""
        ...

    def download(self, url: str, to: Path, on_progress: Progress | None = None) -> None:
        """Write what is there into the file ``to``."""
        ...

    def size(self, url: str) -> int:
        """Bytes of a file; NotFound when it is none."""
        ...

    def files(self, url: str) -> Iterator[Entry]:
        """Every file below a folder."""
        ...

    def remove(self, url: str) -> None:
        """Delete a file; nothing happens when it is not there."""
        ...


def scheme_of(url: str) -> str:
    """The scheme of an address in lower case; empty for a path."""
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found and len(scheme) > 1 and scheme.isidentifier() else ""


def place_of(url: str) -> Place:
    """Whoever handles ``url``.

    Raises:
        InvalidInput: a scheme nobody knows, or whose package is not installed.
    """
    scheme = scheme_of(url)
    if scheme in LOCAL_SCHEMES:
        return Folders()
    if scheme in WEB_SCHEMES:
        return Web()
    require_packages(scheme, url)
    return Fsspec()


def require_packages(scheme: str, url: str) -> None:
    """Pass where everything that ``scheme`` needs can be imported here.

    Raises:
        InvalidInput: it cannot, or nobody knows the scheme.
    """
    needed = PACKAGES.get(scheme)
    if needed is None:
        if not _is_installed("fsspec"):
            raise _unknown(scheme, url)
        registry: Any = importlib.import_module("fsspec")
        if scheme not in registry.available_protocols():
            raise _unknown(scheme, url)
        return
    lacking = [name for name in needed if not _is_installed(name)]
    if lacking:
        names = " ".join(lacking)
        calls = ", ".join(f'Task.add_requirements("{name}")' for name in lacking)
        raise InvalidInput(
            f"{url}: {scheme}:// addresses need {' and '.join(lacking)}, not installed here: "
            f"pip install {names} (in a script for a queue: {calls} before Task.init)",
            field="url",
            value=url,
            packages=lacking,
        )


def local_path(url: str) -> Path:
    """The path a ``file://`` address or a plain path names."""
    text = url[len("file://") :] if scheme_of(url) == "file" else url
    text = text.removeprefix("localhost/") if text.startswith("localhost/") else text
    path = Path(text).expanduser()
    if "%" in text and not path.exists() and Path(unquote(text)).exists():
        return Path(unquote(text))
    return path


class Folders:
    """Paths of this machine, and of what is mounted on it."""

    def upload(self, source: Path, url: str, on_progress: Progress | None = None) -> None:
        """Copy a file; it appears whole, with its folder."""
        target = local_path(url)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
            try:
                with source.open("rb") as reading, aside.open("wb") as writing:
                    _copy(reading, writing, on_progress)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as exc:
            raise ServerUnreachable(f"{url} cannot be written: {exc}", url=url) from exc

    def download(self, url: str, to: Path, on_progress: Progress | None = None) -> None:
        """Copy a file."""
        self.size(url)
        try:
            with local_path(url).open("rb") as reading, to.open("wb") as writing:
                _copy(reading, writing, on_progress)
        except OSError as exc:
            raise ServerUnreachable(f"{url} cannot be read: {exc}", url=url) from exc

    def size(self, url: str) -> int:
        """Bytes of a file."""
        path = local_path(url)
        if not path.is_file():
            raise NotFound(f"there is no file {url}", url=url)
        return path.stat().st_size

    def files(self, url: str) -> Iterator[Entry]:
        """Every file below a folder, by name."""
        top = local_path(url)
        prefix = "file://" if scheme_of(url) == "file" else ""
        for path in sorted(top.rglob("*")):
            if path.is_file():
                yield Entry(prefix + path.as_posix(), path.stat().st_size)

    def remove(self, url: str) -> None:
        """Delete a file."""
        try:
            local_path(url).unlink(missing_ok=True)
        except OSError as exc:
            raise ServerUnreachable(f"{url} cannot be deleted: {exc}", url=url) from exc


class Web:
    """``http(s)``: read with the standard library; the Dray server's own with its token."""

    def upload(self, source: Path, url: str, on_progress: Progress | None = None) -> None:
        """Refused: a web address says nothing of how to write there."""
        _ = on_progress
        raise InvalidInput(
            f"{source} cannot be uploaded to {url}: web addresses are read only; use a folder, "
            "s3://, gs:// or az://, or task.upload_artifact for the server's own store",
            field="remote_url",
            value=url,
        )

    def download(self, url: str, to: Path, on_progress: Progress | None = None) -> None:
        """Fetch the body of a GET."""
        own = own_server_path(url)
        if own is not None:
            client, path = own
            with to.open("wb") as file:
                n_bytes = 0
                for block in client.download_path(path):
                    n_bytes += file.write(block)
                    _tell(on_progress, n_bytes)
            return
        with self._open(url) as answer, to.open("wb") as file:
            n_bytes = _copy(answer, file, on_progress)
            told = answer.headers.get("Content-Length")
        if told is not None and n_bytes < int(told):
            raise ServerUnreachable(f"{url} ended after {n_bytes} of {told} bytes", url=url)

    def size(self, url: str) -> int:
        """What the server says is its length."""
        with self._open(url, "HEAD") as answer:
            told = answer.headers.get("Content-Length")
        if told is None:
            raise NotFound(f"the server does not say how large {url} is", url=url)
        return int(told)

    def files(self, url: str) -> Iterator[Entry]:
        """Refused: there is no way to ask."""
        raise InvalidInput(f"the files below the web address {url} cannot be listed", field="url")

    def remove(self, url: str) -> None:
        """Refused."""
        raise InvalidInput(f"the web address {url} cannot be deleted", field="url")

    def _open(self, url: str, method: str = "GET") -> Any:
        import urllib.error  # dear to import, and few need it
        import urllib.request

        request = urllib.request.Request(url, method=method)  # noqa: S310  (http alone comes here)
        try:
            return closing(urllib.request.urlopen(request, timeout=_TIMEOUT_S))  # noqa: S310
        except urllib.error.HTTPError as exc:
            kind = NotFound if exc.code in (404, 410) else ServerUnreachable
            raise kind(f"{url} answers {exc.code} {exc.reason}", url=url) from exc
        except (OSError, ValueError) as exc:
            raise ServerUnreachable(f"{url} cannot be reached: {exc}", url=url) from exc


class Fsspec:
    """Everything else, through fsspec; any error of its many packages becomes one of ours."""

    def upload(self, source: Path, url: str, on_progress: Progress | None = None) -> None:
        """Put a file."""

        def put(system: Any, path: str) -> None:
            if scheme_of(url) not in _FLAT:
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
            with source.open("rb") as reading, system.open(path, "wb") as writing:
                _copy(reading, writing, on_progress)

        self._do(url, "written", put)

    def download(self, url: str, to: Path, on_progress: Progress | None = None) -> None:
        """Get a file."""

        def get(system: Any, path: str) -> None:
            with system.open(path, "rb") as reading, to.open("wb") as writing:
                _copy(reading, writing, on_progress)

        self._do(url, "read", get)

    def size(self, url: str) -> int:
        """Bytes of a file."""

        def ask(system: Any, path: str) -> int:
            info = system.info(path)
            if info["type"] != "file":
                raise FileNotFoundError(path)
            return int(info["size"])

        return int(self._do(url, "read", ask))

    def files(self, url: str) -> Iterator[Entry]:
        """Every file below a folder."""

        def ask(system: Any, path: str) -> list[Entry]:
            found: dict[str, dict[str, Any]] = system.find(path, detail=True)
            above = url.rstrip("/")
            stem = path.strip("/")
            return [
                Entry(above + name.strip("/")[len(stem) :], int(info.get("size") or 0))
                for name, info in sorted(found.items())
            ]

        yield from self._do(url, "listed", ask)

    def remove(self, url: str) -> None:
        """Delete a file."""

        def drop(system: Any, path: str) -> None:
            if system.exists(path):
                system.rm_file(path)

        self._do(url, "deleted", drop)

    def _do(self, url: str, done: str, work: Callable[[Any, str], Any]) -> Any:
        try:
            core: Any = importlib.import_module("fsspec.core")
            address, options = _for_fsspec(url)
            return work(*core.url_to_fs(address, **options))
        except DrayError:
            raise
        except FileNotFoundError as exc:
            raise NotFound(f"there is no file {url}", url=url) from exc
        except Exception as exc:  # each package has errors of its own
            raise ServerUnreachable(
                f"{url} cannot be {done}: {type(exc).__name__}: {exc}", url=url
            ) from exc


def upload_bytes(data: bytes, url: str) -> None:
    """Put ``data`` there as a file."""
    with tempfile.NamedTemporaryFile(prefix="dray-") as file:
        file.write(data)
        file.flush()
        place_of(url).upload(Path(file.name), url)


def sha256_of(source: Path | bytes) -> str:
    """The sha256 of a file, or of bytes."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def own_server_path(url: str) -> tuple[Any, str] | None:
    """A client of the configured server and the path below its API, when ``url`` lies there."""
    from dray.runtime import config
    from dray.sdk.client import Client
    from dray.sdk.http.transport import API

    try:
        client = Client.from_settings(config.load().settings)
    except ServerUnreachable:
        return None
    if not url.startswith(f"{client.url}{API}/"):
        return None
    return client, url[len(client.url) + len(API) :]


def _for_fsspec(url: str) -> tuple[str, dict[str, Any]]:
    """``url`` as fsspec's packages have it: they know no host in a bucket's address."""
    scheme, parts = scheme_of(url), urlsplit(url)
    if scheme in ("s3", "s3a") and parts.port is not None:
        secure = "https" if parts.port == 443 else "http"
        endpoint = f"{secure}://{parts.netloc}"
        return f"s3://{parts.path.lstrip('/')}", {"client_kwargs": {"endpoint_url": endpoint}}
    if scheme == "azure":
        host = parts.hostname or ""
        if host.endswith(_AZURE_HOST):
            account = host.removesuffix(_AZURE_HOST)
            return f"abfs://{parts.path.lstrip('/')}", {"account_name": account}
        return f"abfs://{url.partition('://')[2]}", {}
    return url, {}


def _unknown(scheme: str, url: str) -> InvalidInput:
    known = " ".join(f"{name}://" for name in PACKAGES)
    return InvalidInput(
        f"{url}: nothing is known of {scheme}:// addresses; known are paths, file:// {known}",
        field="url",
        value=url,
    )


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _copy(reading: Any, writing: Any, on_progress: Progress | None) -> int:
    n_bytes = 0
    while block := reading.read(_BLOCK_BYTES):
        writing.write(block)
        n_bytes += len(block)
        _tell(on_progress, n_bytes)
    return n_bytes


def _tell(on_progress: Progress | None, n_bytes: int) -> None:
    if on_progress is not None:
        on_progress(n_bytes)
