"""Git servers on loopback: over http with a login and LFS, and a real sshd with a key."""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.envbuilder.repositories import AS_SOMEBODY

_START_S = 10.0


@dataclass
class WebServer:
    """Every repository below a folder, over http.

    Attributes:
        url: of the folder, without login.
        logins: ``{first folder of a path: user:token}``; what is not in it, anybody may read.
        objects: what LFS keeps, by sha256.
        requests: method, path and login of each request.
    """

    root: Path
    url: str = ""
    logins: dict[str, str] = field(default_factory=dict[str, str])
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def keep(self, data: bytes) -> str:
        """Have LFS keep ``data``; the pointer that git has of it."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.objects[sha256] = data
        return (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n"
        )

    def n_fetches(self) -> int:
        """How often objects of git or of LFS were asked for."""
        return sum(
            path.endswith("/git-upload-pack") or path.startswith("/lfs-object/")
            for _, path, _ in self.requests
        )


@contextmanager
def web_server(root: Path) -> Iterator[WebServer]:
    served = WebServer(root)

    class Handler(_Handler):
        site = served

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: WebServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        login = self._login()
        self.site.requests.append((self.command, path, login))
        wanted = self.site.logins.get(path.split("/")[1])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if wanted is not None and login != wanted:
            self._send(401, b"who is there?", ("WWW-Authenticate", 'Basic realm="git"'))
        elif path.startswith("/lfs-object/"):
            self._send(200, self.site.objects[path.rpartition("/")[2]])
        elif path.endswith("/info/lfs/objects/batch"):
            self._send(200, json.dumps(self._batch(body)).encode(), _LFS)
        else:
            self._backend(path, query, body)

    def _login(self) -> str:
        kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
        return base64.b64decode(value).decode() if kind == "Basic" else ""

    def _batch(self, body: bytes) -> object:
        def answer(asked: dict[str, object]) -> dict[str, object]:
            if asked["oid"] not in self.site.objects:
                return {**asked, "error": {"code": 404, "message": "Object does not exist"}}
            href = f"{self.site.url}/lfs-object/{asked['oid']}"
            return {**asked, "actions": {"download": {"href": href}}}

        objects = [answer(each) for each in json.loads(body)["objects"]]
        return {"transfer": "basic", "objects": objects}

    def _backend(self, path: str, query: str, body: bytes) -> None:
        variables = {
            **AS_SOMEBODY,
            "GIT_PROJECT_ROOT": str(self.site.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
        }
        command = ["git", "http-backend"]
        ran = subprocess.run(command, input=body, env=variables, capture_output=True, check=False)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if line]
        status = dict(headers).get("Status", "200 OK")
        plain = [pair for pair in headers if pair[0] != "Status"]
        self._send(int(status.split()[0]), content, *plain)

    def _send(self, status: int, content: bytes, *headers: tuple[str, ...]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


_LFS = ("Content-Type", "application/vnd.git-lfs+json")


@dataclass(frozen=True)
class SshServer:
    """An sshd that this user may log in to with ``key``.

    Attributes:
        known_hosts: with its host key.
    """

    port: int
    key: Path
    known_hosts: Path

    @property
    def url(self) -> str:
        """Of this machine's root folder."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def command(self, *, with_key: bool = True, known_hosts: Path | None = None) -> str:
        """What a node would have in ``~/.ssh/config``, as git takes it."""
        options = {
            "UserKnownHostsFile": known_hosts or self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
            "IdentityFile": self.key if with_key else "none",
            "IdentitiesOnly": "yes" if with_key else "no",
        }
        said = " ".join(f"-o {name}={value}" for name, value in options.items())
        return f"ssh -F /dev/null {said}"


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """A server, or the test is skipped and says why."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh") is None:
        pytest.skip("no sshd or ssh on this machine (apt-get install openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists, as root
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    shutil.copyfile(folder / "user.pub", folder / "authorized_keys")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
    }
    (folder / "config").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    command = [sshd, "-D", "-e", "-f", str(folder / "config")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _until_listening(process, folder / "log")
        yield SshServer(port, folder / "user", folder / "known_hosts")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def ssh_agent(key: Path, folder: Path) -> Iterator[Path]:
    """The socket of an ssh-agent that has ``key``."""
    agent = folder / "agent"
    command = ["ssh-agent", "-D", "-a", str(agent)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_S
        while not agent.exists():
            assert time.monotonic() < deadline, "ssh-agent did not start"
            time.sleep(0.01)
        _run("ssh-add", "-q", str(key), SSH_AUTH_SOCK=str(agent))
        yield agent
    finally:
        process.terminate()
        process.wait()


def _until_listening(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while b"Server listening" not in log.read_bytes():
        if process.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text()}")
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def _run(*command: str, **variables: str) -> None:
    subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True)
