"""``output_uri``: what may be one, and the address of each file of a task below it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.storage import places

#: What stays as it is in a part of an address; the rest is written as ``%XX``.
_SAFE = "'[]{}()$^,.; -_+="
_NAMES_KEPT = 200


def checked(output_uri: object, *, is_remote: bool = False) -> str:
    """``output_uri`` as it is recorded; empty for the server's own store.

    Args:
        output_uri: a path or an address; True, False and None mean the server's store, or what
            ``DRAY_OUTPUT_URI`` or ``CLEARML_DEFAULT_OUTPUT_URI`` says (None alone).
        is_remote: an agent uploads, in its own environment: packages are not looked for here.

    Raises:
        WrongType: neither text, path, bool nor None.
        InvalidInput: an unknown scheme, a package that lacks, a folder that cannot be written.
    """
    if output_uri is None:
        from dray.runtime import aliases, config

        output_uri = config.load().settings.output_uri or aliases.variable("DEFAULT_OUTPUT_URI")
    if output_uri in (None, True, False, ""):
        return ""
    if not isinstance(output_uri, str | os.PathLike):
        raise WrongType(
            f"output_uri is {output_uri!r}: a path, an address such as s3://bucket/folder, True "
            "(the server's store) or False",
            field="output_uri",
        )
    text = str(os.fspath(cast("str | os.PathLike[str]", output_uri))).strip()
    scheme = places.scheme_of(text)
    if scheme in places.WEB_SCHEMES:
        return _web(text)
    if scheme in places.LOCAL_SCHEMES:
        return _folder(text, scheme, must_be_writable=not is_remote)
    try:
        if not is_remote:
            places.require_packages(scheme, text)
        elif scheme not in places.PACKAGES:
            places.place_of(text)
    except InvalidInput as exc:
        raise InvalidInput(
            f"output_uri {exc.message}", **{**exc.details, "field": "output_uri"}
        ) from exc
    return text.rstrip("/")


def address(task: Mapping[str, Any], folder: str, name: str, filename: str) -> str:
    """Where a file of a task goes; empty where that is the server's store.

    Args:
        task: JSON of ``models.Task``.
        folder: ``artifacts``, ``models`` …
        name: of the artifact or model.
        filename: of the file.
    """
    execution: dict[str, Any] = task.get("execution") or {}
    base = str(execution.get("output_uri") or "")
    if not base:
        return ""
    project = [_part(part) for part in str(task["project"]).split("/") if part]
    own = _part(f"{task['name']}.{task['id']}")
    return "/".join([base.rstrip("/"), *project, own, folder, _part(name), _part(filename)])


def _part(text: str) -> str:
    quoted = quote(text, safe=_SAFE)[:_NAMES_KEPT]
    return "_" + quoted if quoted.startswith(".") else quoted or "_"


def _web(text: str) -> str:
    """The server's own address means its store; any other cannot be written."""
    from dray.runtime import config

    settings = config.load().settings
    if settings.url and text.rstrip("/") == settings.url.rstrip("/"):
        return ""
    raise InvalidInput(
        f"output_uri {text!r}: a web address cannot be written to; True keeps files in the "
        "server's own store, s3://, gs://, az:// and folders keep them elsewhere",
        field="output_uri",
        value=text,
    )


def _folder(text: str, scheme: str, *, must_be_writable: bool) -> str:
    path = places.local_path(text).absolute()
    if must_be_writable:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise InvalidInput(
                f"output_uri {text!r}: the folder cannot be made ({exc.strerror or exc})",
                field="output_uri",
                value=text,
            ) from exc
        if not os.access(path, os.W_OK | os.X_OK):
            raise InvalidInput(
                f"output_uri {text!r}: the folder cannot be written by {_user()}",
                field="output_uri",
                value=text,
            )
    return f"file://{path.as_posix()}" if scheme == "file" else path.as_posix()


def _user() -> str:
    from dray.sdk.runs import whoami

    return whoami.user()
