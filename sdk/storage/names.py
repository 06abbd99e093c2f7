"""How files of a place are called: their whole address, below the bucket, below a folder."""

from __future__ import annotations

import fnmatch
import os
from typing import Any
from urllib.parse import urlsplit

from dray.runtime.errors import InvalidInput
from dray.sdk.storage import places


def _base(url: str) -> str:
    """What names the place: ``s3://bucket``; ``file://`` or nothing for this machine."""
    scheme, parts = places.scheme_of(url), urlsplit(url)
    if scheme in places.LOCAL_SCHEMES:
        return f"{scheme}://" if scheme else ""
    base = f"{url.partition('://')[0]}://{parts.netloc}"
    first = parts.path.lstrip("/").partition("/")[0]
    # A host in front of the bucket, as MinIO and Azure have it.
    is_host = scheme in ("s3", "s3a", "azure") and (":" in parts.netloc or "." in parts.netloc)
    has_host = is_host and (scheme == "azure" or ":" in parts.netloc)
    return f"{base}/{first}" if has_host and first else base


def below_base(url: str) -> str:
    """Path of a file below its bucket or host, as the path of a folder here."""
    if places.scheme_of(url) in places.LOCAL_SCHEMES:
        return os.path.abspath(places.local_path(url)).lstrip("/")
    inner = url[len(_base(url)) :].lstrip("/").partition("?")[0]
    if ".." in inner.split("/"):
        raise InvalidInput(f"{url} leads out of its folder", field="remote_url", value=url)
    return inner or "index"


def matches(url: str, wildcard: str) -> bool:
    """Whether an address, or the name at its end, is such."""
    return fnmatch.fnmatch(url, wildcard) or fnmatch.fnmatch(url.rpartition("/")[2], wildcard)


def named(entry: places.Entry, asked: str, *, whole: bool) -> str:
    """A listed file as it is called: whole, or below what was asked for."""
    if whole:
        return entry.url
    is_local = places.scheme_of(asked) in places.LOCAL_SCHEMES
    if is_local:
        top = places.local_path(asked).as_posix().rstrip("/")
        return places.local_path(entry.url).as_posix()[len(top) :].lstrip("/")
    return entry.url[len(_base(asked)) :].lstrip("/")


def facts(entry: places.Entry, asked: str, *, whole: bool, read_hash: bool) -> dict[str, Any]:
    """Name and size of a listed file, and its sha256 where that is wanted and can be had."""
    known: dict[str, Any] = {"name": named(entry, asked, whole=whole), "size": entry.n_bytes}
    if read_hash:
        is_local = places.scheme_of(entry.url) in places.LOCAL_SCHEMES
        known["hash"] = places.sha256_of(places.local_path(entry.url)) if is_local else None
    return known
