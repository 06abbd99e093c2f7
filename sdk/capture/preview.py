"""What would be sent of the user's code, without sending it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from dray.runtime import config
from dray.runtime.errors import InvalidInput, ServerUnreachable
from dray.sdk.capture.captured import Wishes, capture
from dray.sdk.capture.code_files import files_to_send
from dray.sdk.capture.entry import Entry, entry_of_process
from dray.sdk.client import Client


def list_code(script: str | None, folder: str | None) -> list[dict[str, Any]]:
    """See ``Task.list_code``."""
    entry = entry_of_process()
    if script is not None:
        found = Path(script).expanduser().absolute()
        if not found.is_file():
            raise InvalidInput(f"script {found} is not there", field="script", value=script)
        entry = Entry(found)
    named = "" if folder is None else str(Path(folder).expanduser().resolve())
    captured = capture(entry, Path.cwd(), Wishes(folder=named, verbatim=[]))
    settings = config.load().settings
    client: Client | None = None
    if not settings.offline:
        try:
            client = Client.from_settings(settings, retries=0)
            client.healthz()
        except ServerUnreachable:
            client = None
    try:
        return [asdict(file) for file in files_to_send(client, captured, settings)]
    finally:
        if client is not None:
            client.close()
