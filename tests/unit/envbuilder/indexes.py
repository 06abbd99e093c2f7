"""A package index of our own on loopback, whose wheels are made here, so tests need no network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any


def make_wheel(
    folder: Path, name: str, version: str, more: Mapping[str, str] | None = None
) -> Path:
    """A pure wheel with module ``name`` (``VERSION`` inside) and a console script of that name.

    ``more`` are further files by path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\ndef main():\n    print('{name} {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        **(more or {}),
    }
    rows = [f"{path},sha256={_record_hash(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _record_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass
class Index:
    """A simple index that is being served.

    Attributes:
        url: for ``Execution.index_urls``.
        requests: paths that were asked for.
        asked: set once anything was asked for.
        answer: set it, and an index that hangs goes on.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    asked: Event = field(default_factory=Event)
    answer: Event = field(default_factory=Event)
    is_closing: bool = False


@contextmanager
def serve_index(folder: Path, *, hangs: bool = False, login: str = "") -> Iterator[Index]:
    """Serve the wheels in ``folder``; one that ``hangs`` answers once it is told to.

    With ``login`` (``user:password``) it answers nobody else; ``url`` has none of it.
    """
    index = Index("")
    _write_pages(folder)

    wanted = f"Basic {base64.b64encode(login.encode()).decode()}"

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            index.requests.append(self.path)
            if login and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            index.asked.set()
            if hangs:
                index.answer.wait()
                if index.is_closing:
                    self.close_connection = True
                    return
            with suppress(BrokenPipeError):  # whoever asked may be gone by now
                super().do_GET()

        def log_message(self, *args: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield index
    finally:
        index.is_closing = True
        index.answer.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _write_pages(folder: Path) -> None:
    for wheel in folder.glob("*.whl"):
        page = folder / "simple" / wheel.name.split("-")[0] / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        links = page.read_text() if page.exists() else ""
        page.write_text(f'{links}<a href="/{wheel.name}">{wheel.name}</a>\n')
