"""``StorageManager``: files at any address, fetched into a cache and put back.

Folders and web addresses need nothing but Python. ``s3://``, ``gs://``, ``az://`` and the rest go
through fsspec, which must be installed where the call is made.
"""

from __future__ import annotations

import builtins
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from dray.runtime.errors import DrayError, InvalidInput, NotFound, ServerUnreachable, WrongType
from dray.sdk.artifacts import archives
from dray.sdk.http.transport import pause_s
from dray.sdk.session import say
from dray.sdk.storage import cache as storage_cache
from dray.sdk.storage import names as storage_names
from dray.sdk.storage import places

#: Tries of one file unless told.
RETRIES = 3


class _Reports:
    """MiB after which a transfer says how far it is; 0: never."""

    upload_mib = 0
    download_mib = 0


class StorageManager:
    """Files at any address; every method is a class method.

    A method that ClearML lets return None on failure does so here, after one line that says why.
    What the caller could have known (an unknown scheme, a package that lacks, a local file that
    is not there) is raised.
    """

    @classmethod
    def get_local_copy(
        cls,
        remote_url: str,
        cache_context: str | None = None,
        extract_archive: bool = True,
        name: str | None = None,
        force_download: bool = False,
    ) -> str | None:
        """Path of the file at ``remote_url`` on this machine; of the unpacked folder of an archive.

        Args:
            remote_url: a path or ``file://`` (given back as it is), ``http(s)://`` (of the Dray
                server with its token), or what fsspec knows.
            cache_context: part of the cache, with a limit of its own; ``global`` unless said.
            extract_archive: unpack ``.zip``, ``.tar``, ``.tar.gz`` and ``.tgz``.
            name: of the folder it is unpacked into.
            force_download: fetch it again though it is in the cache.

        Returns:
            None when it cannot be fetched.

        Raises:
            InvalidInput: an address nothing is known of, or whose package lacks.
        """
        try:
            path = cls.fetch(remote_url, cache_context, force_download=force_download)
        except (NotFound, ServerUnreachable) as exc:
            say(f"warning: {exc.message}")
            return None
        if not extract_archive or not archives.is_archive(Path(path)):
            return path
        return cls._unpacked(Path(path), remote_url, cache_context, name)

    @classmethod
    def fetch(
        cls, remote_url: str, cache_context: str | None = None, *, force_download: bool = False
    ) -> str:
        """As :meth:`get_local_copy` without unpacking, and raising what goes wrong.

        Raises:
            NotFound: there is no such file.
            ServerUnreachable: it cannot be fetched.
        """
        url = _text(remote_url, "remote_url")
        place = places.place_of(url)
        if places.scheme_of(url) in places.LOCAL_SCHEMES:
            path = places.local_path(url)
            if not path.exists():
                raise NotFound(f"there is no file {url}", url=url)
            return str(path)

        def bring(to: Path) -> None:
            report = _reporter(url, "fetched", _Reports.download_mib)
            _repeat(lambda: place.download(url, to, report), RETRIES)

        return str(storage_cache.fetched(url, cache_context, bring, again=force_download))

    @classmethod
    def upload_file(
        cls,
        local_file: str | os.PathLike[str],
        remote_url: str,
        wait_for_upload: bool = True,
        retries: int | None = None,
    ) -> str:
        """Put a file at an address; returns the address.

        Args:
            local_file: its path.
            remote_url: whole address, with the file's name there.
            wait_for_upload: False: a thread uploads it, which the process waits for at its end.
            retries: tries after the first; 3 unless said.

        Raises:
            InvalidInput: there is no such file, or the address cannot be written to.
            ServerUnreachable: it could not be uploaded.
        """
        url, source = _text(remote_url, "remote_url"), Path(local_file).expanduser()
        if not source.is_file():
            raise InvalidInput(f"local_file {str(local_file)!r} is no file", field="local_file")
        place = places.place_of(url)

        def put() -> None:
            report = _reporter(url, "uploaded", _Reports.upload_mib)
            _repeat(
                lambda: place.upload(source, url, report), RETRIES if retries is None else retries
            )

        if wait_for_upload or isinstance(place, places.Web):
            put()
        else:
            threading.Thread(target=_told(put), name="dray-upload").start()
        return url

    @classmethod
    def upload_folder(
        cls,
        local_folder: str | os.PathLike[str],
        remote_url: str,
        match_wildcard: str | None = None,
        retries: int | None = None,
    ) -> str | None:
        """Put every file below a folder under an address, with the same folders there.

        Args:
            local_folder: its path.
            remote_url: address of the folder to make.
            match_wildcard: such as ``*.json``: only files of such a name.
            retries: tries of each file after the first; 3 unless said.

        Returns:
            The address; None when a file could not be uploaded.

        Raises:
            InvalidInput: there is no such folder.
        """
        url, top = _text(remote_url, "remote_url"), Path(local_folder).expanduser()
        if not top.is_dir():
            raise InvalidInput(
                f"local_folder {str(local_folder)!r} is no folder", field="local_folder"
            )
        n_failed = n_files = 0
        for path in sorted(top.rglob(match_wildcard or "*")):
            if not path.is_file():
                continue
            n_files += 1
            target = f"{url.rstrip('/')}/{path.relative_to(top).as_posix()}"
            try:
                cls.upload_file(path, target, retries=retries)
            except ServerUnreachable as exc:
                n_failed += 1
                say(f"warning: {exc.message}")
        if n_failed:
            say(f"warning: {n_failed} of {n_files} files of {top} were not uploaded to {url}")
            return None
        return url

    @classmethod
    def download_file(
        cls,
        remote_url: str,
        local_folder: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        skip_zero_size_check: bool = False,
        silence_errors: bool = False,
    ) -> str | None:
        """Fetch a file into a folder, below the path it has at its place.

        ``s3://bucket/sub/file.ext`` into ``data`` is ``data/sub/file.ext``.

        Args:
            remote_url: of the file.
            local_folder: of the cache unless said.
            overwrite: fetch it though a file is there.
            skip_zero_size_check: take an empty file without a word.
            silence_errors: say nothing when it cannot be fetched.

        Returns:
            Path of the file; None when it cannot be fetched.
        """
        url = _text(remote_url, "remote_url")
        place = places.place_of(url)
        base = Path(local_folder).expanduser() if local_folder else storage_cache.folder()
        path = base.absolute() / storage_names.below_base(url)
        if path.is_file() and not overwrite:
            return str(path)
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            report = _reporter(url, "fetched", _Reports.download_mib)
            _repeat(lambda: place.download(url, aside, report), RETRIES)
            if not aside.stat().st_size and not skip_zero_size_check:
                raise NotFound(f"{url} is empty", url=url)
            aside.replace(path)
        except (NotFound, ServerUnreachable, OSError) as exc:
            if not silence_errors:
                say(f"warning: {exc}")
            return None
        finally:
            aside.unlink(missing_ok=True)
        return str(path)

    @classmethod
    def download_folder(
        cls,
        remote_url: str,
        local_folder: str | os.PathLike[str] | None = None,
        match_wildcard: str | None = None,
        overwrite: bool = False,
        skip_zero_size_check: bool = False,
        silence_errors: bool = False,
        max_workers: int | None = None,
    ) -> str | None:
        """Fetch every file below an address into a folder, each as :meth:`download_file` does.

        Args:
            remote_url: of the folder.
            local_folder: made when it is not there; of the cache unless said.
            match_wildcard: such as ``*.json``: only files whose whole address is such.
            overwrite: fetch files though they are there.
            skip_zero_size_check: take empty files without a word.
            silence_errors: say nothing of what cannot be fetched.
            max_workers: files fetched at a time; as many as there are processors unless said.

        Returns:
            The folder; None when the address cannot be listed or the folder not be made.
        """
        from concurrent.futures import ThreadPoolExecutor

        folder = Path(local_folder).expanduser() if local_folder else storage_cache.folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = builtins.list(places.place_of(remote_url).files(remote_url))
        except (DrayError, OSError) as exc:
            if isinstance(exc, InvalidInput):
                raise
            if not silence_errors:
                say(f"warning: {exc}")
            return None
        wanted = [
            e.url
            for e in found
            if not match_wildcard or storage_names.matches(e.url, match_wildcard)
        ]
        with ThreadPoolExecutor(max_workers or os.cpu_count() or 1) as pool:
            for url in wanted:
                pool.submit(
                    cls.download_file,
                    url,
                    folder,
                    overwrite,
                    skip_zero_size_check,
                    silence_errors,
                )
        if not wanted and not silence_errors:
            say(f"warning: there are no files to fetch below {remote_url}")
        return str(folder)

    @classmethod
    def exists_file(cls, remote_url: str) -> bool:
        """Whether there is a file; False for a folder, and when nobody can be asked."""
        if _text(remote_url, "remote_url").endswith("/"):
            return False
        return cls.get_file_size_bytes(remote_url, silence_errors=True) is not None

    @classmethod
    def get_file_size_bytes(cls, remote_url: str, silence_errors: bool = False) -> int | None:
        """Bytes of a file; None when it cannot be asked for, which is told unless silenced."""
        try:
            return places.place_of(remote_url).size(_text(remote_url, "remote_url"))
        except (NotFound, ServerUnreachable) as exc:
            if not silence_errors:
                say(f"warning: {exc.message}")
            return None

    @classmethod
    def list(
        cls,
        remote_url: str,
        return_full_path: bool = False,
        with_metadata: bool = False,
        read_hash: bool = False,
    ) -> builtins.list[str] | builtins.list[dict[str, Any]] | None:
        """Files below an address.

        Args:
            remote_url: of a folder.
            return_full_path: whole addresses; otherwise names below the bucket, or for a folder of
                this machine below that.
            with_metadata: dicts of ``name`` and ``size`` (bytes) instead of names.
            read_hash: with those, ``hash``: the sha256 of each local file; None elsewhere.

        Returns:
            None when it cannot be listed, such as a web address.
        """
        url = _text(remote_url, "remote_url")
        try:
            found = builtins.list(places.place_of(url).files(url))
        except DrayError as exc:
            if isinstance(exc, InvalidInput) and not isinstance(places.place_of(url), places.Web):
                raise
            say(f"warning: {exc.message}")
            return None
        if not with_metadata:
            return [storage_names.named(e, url, whole=return_full_path) for e in found]
        return [
            storage_names.facts(e, url, whole=return_full_path, read_hash=read_hash) for e in found
        ]

    @classmethod
    def get_metadata(
        cls, remote_url: str, return_full_path: bool = False, read_hash: bool = False
    ) -> dict[str, Any] | None:
        """``name`` and ``size`` (bytes) of a file; None when it cannot be asked for."""
        size = cls.get_file_size_bytes(remote_url)
        if size is None:
            return None
        entry = places.Entry(remote_url, size)
        is_local = places.scheme_of(remote_url) in places.LOCAL_SCHEMES
        return storage_names.facts(
            entry, remote_url, whole=return_full_path or is_local, read_hash=read_hash
        )

    @classmethod
    def set_cache_file_limit(cls, cache_file_limit: int, cache_context: str | None = None) -> int:
        """Keep at most so many files in a context of the cache; returns that number."""
        return storage_cache.set_limit(cache_context, cache_file_limit)

    @classmethod
    def get_files_server(cls) -> str:
        """Address of the Dray server, which keeps artifacts itself.

        Raises:
            ServerUnreachable: none is configured.
        """
        from dray.runtime import config
        from dray.sdk.client import find_server

        return find_server(config.load().settings)[0]

    @classmethod
    def set_report_upload_chunk_size(cls, chunk_size_mb: int) -> None:
        """Say after every so many MiB how far an upload is; 0: never, which is the default."""
        _Reports.upload_mib = int(chunk_size_mb)

    @classmethod
    def set_report_download_chunk_size(cls, chunk_size_mb: int) -> None:
        """Say after every so many MiB how far a download is; 0: never, which is the default."""
        _Reports.download_mib = int(chunk_size_mb)

    @classmethod
    def _unpacked(cls, path: Path, url: str, context: str | None, name: str | None) -> str:
        kept = storage_cache.entry(url, context).parent
        stamp = f"{path.stat().st_size}-{path.stat().st_mtime_ns}"
        folder = kept / f"{(name or path.name).replace('/', '_')}.{stamp}.unpacked"
        try:
            return str(folder if folder.is_dir() else archives.unpack(path, folder))
        except (InvalidInput, OSError) as exc:
            say(f"warning: {url} is not unpacked: {exc}")
            return str(path)


def _text(url: Any, field: str) -> str:
    if isinstance(url, os.PathLike):
        url = os.fspath(cast("os.PathLike[str]", url))
    if not isinstance(url, str):
        raise WrongType(f"{field} is {url!r}; it must be an address as text", field=field)
    if not url:
        raise InvalidInput(f"{field} is empty; it must be an address", field=field)
    return url


def _repeat(work: Callable[[], None], retries: int) -> None:
    """Do ``work``, again while a place does not answer."""
    for n_failures in range(max(0, retries) + 1):
        try:
            work()
        except ServerUnreachable:
            if n_failures >= retries:
                raise
            time.sleep(pause_s(n_failures))
        else:
            return


def _told(work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        except DrayError as exc:
            say(f"warning: {exc.message}")

    return run


def _reporter(url: str, done: str, every_mib: int) -> Callable[[int], None] | None:
    if every_mib <= 0:
        return None
    said = 0

    def report(n_bytes: int) -> None:
        nonlocal said
        if n_bytes - said >= every_mib << 20:
            said = n_bytes
            say(f"{n_bytes / 2**20:.0f} MiB of {url} {done}")

    return report
