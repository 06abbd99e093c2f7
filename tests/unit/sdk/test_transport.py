"""The transport against a small real server that answers as each test says."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.errors import (
    DrayError,
    Forbidden,
    InvalidInput,
    NotFound,
    OffsetMismatch,
    ServerUnreachable,
    error_classes,
)
from dray.sdk.http.sse import ServerEvent, parse_events
from dray.sdk.http.transport import Transport, decode_problem, pause_s


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands each request to the next answer of its server's script."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ValueError):
            self.close_connection = True

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        seen = Seen(self.command, self.path, dict(self.headers), b"", self.client_address[1])
        self.server.seen.append(seen)
        script = self.server.script
        then = script.pop(0) if script else ok({})
        if not getattr(then, "reads_no_body", False):
            seen.body = self.rfile.read(length)
        then(self)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Answer = Callable[[Handler], None]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int


@dataclass
class Server(http.server.ThreadingHTTPServer):
    script: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def reply(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def ok(value: Any) -> Answer:
    return reply(200, json.dumps(value).encode())


def problem(status: int, **members: Any) -> Answer:
    return reply(status, json.dumps(members).encode(), "application/problem+json")


def hang_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut_short(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"half": ')
    hang_up(handler)


def events(*blocks: str) -> Answer:
    """Some events, then the connection ends."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write("".join(blocks).encode())
        handler.close_connection = True

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def http_(server: Server, pauses: list[float]) -> Iterator[Transport]:
    transport = Transport(server.url, "the-token", retries=3, sleep=pauses.append)
    yield transport
    transport.close()


def test_a_call_sends_and_reads_json_with_the_token(server: Server, http_: Transport) -> None:
    server.script.append(ok({"id": "x"}))
    answer = http_.call(
        "POST", "/tasks", {"name": "é"}, query={"a": ["1", "2"], "b": None, "c": ""}
    )
    (seen,) = server.seen
    assert answer == {"id": "x"}
    assert seen.path == "/api/v1/tasks?a=1&a=2"
    assert json.loads(seen.body) == {"name": "é"}
    assert seen.headers["Authorization"] == "Bearer the-token"
    assert seen.headers["Content-Type"] == "application/json"


def test_an_address_below_a_path_is_kept(server: Server) -> None:
    with closing(Transport(server.url + "/dray/")) as transport:
        transport.call("GET", "/queues")
        transport.call("GET", "/healthz", base="")
    assert [seen.path for seen in server.seen] == ["/dray/api/v1/queues", "/dray/healthz"]
    assert "Authorization" not in server.seen[0].headers


def test_an_empty_answer_is_none(server: Server, http_: Transport) -> None:
    server.script.append(reply(204, b""))
    assert http_.call("DELETE", "/tasks/x") is None


def test_a_connection_is_kept_and_used_again(server: Server, http_: Transport) -> None:
    for _ in range(3):
        http_.call("GET", "/queues")
    assert len({seen.port for seen in server.seen}) == 1


def test_threads_share_connections_without_mixing_answers(server: Server, http_: Transport) -> None:
    def echo(handler: Handler) -> None:
        ok({"path": handler.path})(handler)

    server.script += [echo] * 200
    wrong: list[object] = []

    def work(name: int) -> None:
        for i in range(20):
            path = f"/t{name}/{i}"
            if http_.call("GET", path)["path"] != "/api/v1" + path:
                wrong.append(path)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_makes_connections_of_its_own(server: Server) -> None:
    # A real fork in a process of its own: pytest's has threads.
    code = """
import os, sys
from dray.sdk.http.transport import Transport
transport = Transport(sys.argv[1])
transport.call("GET", "/before")
pid = os.fork()
transport.call("GET", "/child" if pid == 0 else "/parent")
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
    subprocess.run([sys.executable, "-c", code, server.url], check=True, timeout=60)
    port = {seen.path.rpartition("/")[2]: seen.port for seen in server.seen}
    assert port["before"] == port["parent"] != port["child"]


# Trouble.


def test_a_request_that_may_be_repeated_is_repeated_with_growing_pauses(
    server: Server, http_: Transport, pauses: list[float]
) -> None:
    server.script += [hang_up, cut_short, reply(502, b"<html>", "text/html"), ok({"n": 1})]
    assert http_.call("GET", "/queues") == {"n": 1}
    assert len(server.seen) == 4
    assert len(pauses) == 3
    assert all(0 < pause <= 5 for pause in pauses)


def test_one_that_must_not_be_is_sent_once_and_the_doubt_is_told(
    server: Server, http_: Transport, pauses: list[float]
) -> None:
    server.script += [hang_up]
    with pytest.raises(ServerUnreachable, match="may or may not have been done"):
        http_.call("POST", "/tasks/x/reset", {})
    assert len(server.seen) == 1
    assert pauses == []


def test_one_with_a_key_may_be_repeated(server: Server, http_: Transport) -> None:
    server.script += [hang_up]
    http_.call("POST", "/tasks", {}, headers={"Idempotency-Key": "k"}, idempotent=True)
    assert [seen.headers["Idempotency-Key"] for seen in server.seen] == ["k", "k"]


def test_a_connection_closed_while_idle_costs_nothing(
    server: Server, http_: Transport, pauses: list[float]
) -> None:
    def close_after(handler: Handler) -> None:
        ok({})(handler)
        hang_up(handler)

    server.script += [close_after]
    http_.call("GET", "/first")
    http_.call("POST", "/second", {})
    assert len(server.seen) == 2
    assert pauses == []


def test_no_server_is_told_with_its_address_and_the_way_out(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}", retries=2, sleep=pauses.append)
    with pytest.raises(ServerUnreachable, match="dray up") as trouble:
        transport.call("POST", "/tasks/x/reset", {})  # it was never sent, so it is repeated
    assert trouble.value.details["url"] == f"http://127.0.0.1:{port}"
    assert "DRAY_URL" in trouble.value.message
    assert len(pauses) == 2


def test_a_silent_server_is_given_up(server: Server) -> None:
    release = threading.Event()

    def silent(handler: Handler) -> None:
        release.wait(30)
        hang_up(handler)

    server.script += [silent]
    transport = Transport(server.url, retries=0, timeout_s=0.05)
    with pytest.raises(ServerUnreachable, match="timed out"):
        transport.call("GET", "/queues")
    release.set()


@pytest.mark.parametrize("code", sorted(error_classes().keys() - {"server_unreachable"}))
def test_each_error_is_raised_as_the_class_the_server_raised(
    server: Server, http_: Transport, code: str
) -> None:
    server.script.append(problem(409, code=code, detail="the sentence", expected={"stdout": 3}))
    with pytest.raises(DrayError, match="the sentence") as refusal:
        http_.call("GET", "/x")
    assert type(refusal.value) is error_classes()[code]
    assert refusal.value.details == {"expected": {"stdout": 3}}


def test_a_server_that_says_it_cannot_be_reached_is_tried_again(
    server: Server, http_: Transport
) -> None:
    server.script += [problem(503, code="server_unreachable", detail="starting"), ok({"n": 2})]
    assert http_.call("GET", "/x") == {"n": 2}


def test_a_code_of_a_newer_server_keeps_its_sentence() -> None:
    error = decode_problem({"code": "quota", "detail": "over quota", "status": 429}, "said")
    assert type(error) is DrayError
    assert error.message == "over quota"
    assert error.details == {"code": "quota", "status": 429}
    assert decode_problem({}, "said").message == "said"
    assert isinstance(decode_problem({"code": "not_found", "message": "m"}, "said"), NotFound)
    assert isinstance(decode_problem({"code": "offset_mismatch"}, "said"), OffsetMismatch)


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"<html>", "text/html"),
        reply(404, b"<html>", "text/html"),
        reply(500, b"[1]"),
        reply(400, b"{", "application/problem+json"),
    ],
)
def test_what_is_no_dray_server_is_told(server: Server, http_: Transport, answer: Answer) -> None:
    server.script.append(answer)
    with pytest.raises(DrayError, match="is it a Dray server"):
        http_.call("GET", "/x")


def test_a_redirect_is_told_with_its_goal(server: Server) -> None:
    server.script.append(reply(308, b"", Location="https://new.example"))
    transport = Transport(server.url, retries=0)
    with pytest.raises(ServerUnreachable, match=r"https://new\.example"):
        transport.call("GET", "/x")


@pytest.mark.parametrize("url", ["", "localhost:8262", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidInput, match="http://HOST:8262"):
        Transport(url)


def test_a_token_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidInput) as refusal:
        Transport("http://127.0.0.1", "sécret\n")
    assert "cret" not in refusal.value.message


def test_pauses_grow_to_a_limit_and_differ() -> None:
    assert 0.1 <= pause_s(0) <= 0.2
    assert 2.5 <= pause_s(1000) <= 5.0
    assert len({pause_s(5) for _ in range(10)}) > 1


# Files.


def test_a_file_is_streamed_up_and_from_its_beginning_again(
    server: Server, http_: Transport, tmp_path: Path
) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(os.urandom(1 << 20))
    server.script += [hang_up, reply(201, b"")]
    http_.upload("/blobs/abc", source)
    assert [len(seen.body) for seen in server.seen] == [1 << 20, 1 << 20]
    assert server.seen[1].body == source.read_bytes()
    assert server.seen[1].headers["Content-Length"] == str(1 << 20)


def test_a_refusal_before_the_body_was_read_is_still_heard(
    server: Server, http_: Transport, tmp_path: Path
) -> None:
    def refuse(handler: Handler) -> None:
        problem(403, code="forbidden", detail="not yours")(handler)
        hang_up(handler)

    refuse.reads_no_body = True  # type: ignore[attr-defined]
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(32 << 20))
    server.script += [refuse] * 5
    # The system may throw the answer away with the connection; then it was unreachable.
    with pytest.raises((Forbidden, ServerUnreachable)):
        http_.upload("/blobs/abc", source)


def test_a_file_that_is_not_there_is_no_trouble_of_the_server(
    http_: Transport, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        http_.upload("/blobs/abc", tmp_path / "never")


def test_a_download_comes_in_blocks(server: Server, http_: Transport) -> None:
    data = os.urandom(1 << 20)
    server.script.append(reply(200, data, "application/octet-stream"))
    blocks = list(http_.download("/blobs/abc", headers={"Range": "bytes=0-"}))
    assert b"".join(blocks) == data
    assert len(blocks) > 1
    assert server.seen[0].headers["Range"] == "bytes=0-"


def test_a_download_cut_short_is_an_error_and_not_a_short_file(
    server: Server, http_: Transport
) -> None:
    server.script.append(cut_short)
    with pytest.raises(ServerUnreachable, match="less than it said"):
        list(http_.download("/blobs/abc"))


def test_a_download_given_up_keeps_no_half_read_connection(
    server: Server, http_: Transport
) -> None:
    server.script.append(reply(200, bytes(4 << 20)))
    blocks = http_.download("/blobs/abc")
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    server.script.append(ok({"n": 1}))
    assert http_.call("GET", "/x") == {"n": 1}


# Events.


def test_events_are_read_as_the_standard_says() -> None:
    text = (
        ": a comment\nevent: piece\nid: 7\ndata: one\ndata: two\n\n"
        "data:no space\r\n\r\nevent: lost\n\nid: 9\ndata\n\ndata: cut off"
    )
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    assert list(parse_events(lines, "3")) == [
        ServerEvent("piece", "7", "one\ntwo"),
        ServerEvent("message", "7", "no space"),
        ServerEvent("message", "9", ""),
    ]


def test_a_lost_stream_goes_on_after_the_last_event(server: Server, http_: Transport) -> None:
    server.script += [
        events("id: 1\ndata: a\n\n", "id: 2\ndata: b\n\n", "id: 3\ndata: cut"),
        hang_up,
        reply(502, b""),
        events("id: 3\ndata: c\n\n", "event: closed\ndata: {}\n\n"),
    ]
    got: list[str] = []
    with closing(http_.events("/follow", query={"after": 0})) as stream:
        for event in stream:
            if event.event == "closed":
                break
            got.append(event.data)
    assert got == ["a", "b", "c"]
    asked = [seen.headers.get("Last-Event-ID") for seen in server.seen]
    assert asked == [None, "2", "2", "2"]


def test_a_stream_that_shall_not_come_again_ends(server: Server, http_: Transport) -> None:
    server.script.append(reply(204, b""))
    assert list(http_.events("/follow")) == []


def test_a_refused_stream_is_raised(server: Server, http_: Transport) -> None:
    server.script.append(problem(404, code="not_found", detail="no such task"))
    with pytest.raises(NotFound):
        next(http_.events("/follow"))


def test_a_stream_without_a_sign_of_life_is_given_up(server: Server, http_: Transport) -> None:
    server.script += [hang_up] * 20
    with pytest.raises(ServerUnreachable):
        next(http_.events("/follow", patience_s=0.0))
