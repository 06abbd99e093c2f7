"""The network of the chaos: it passes on, and it is troubled in every way it says."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dray.selftest.cluster import free_ports
from dray.selftest.proxy import Proxy, Trouble
from tests.waiting import wait_until

PATH = f"/api/v1/tasks/{'a' * 32}/attempts/1/frames"
OTHER_PATH = f"/api/v1/tasks/{'b' * 32}/attempts/1/frames"


class Gateway(BaseHTTPRequestHandler):
    """Answers everything and notes it; an attempt 9 is over."""

    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(409 if "/9/" in self.path else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def proxy(seen: list[str]) -> Iterator[Proxy]:
    handler = type("Noting", (Gateway,), {"seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (port,) = free_ports(1)
    proxy = Proxy(port, server.server_address[1])
    proxy.start()
    proxy.port = port  # type: ignore[attr-defined]
    yield proxy
    proxy.stop()
    server.shutdown()
    server.server_close()
    thread.join()


def get(proxy: Proxy, path: str = PATH, timeout_s: float = 10.0) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout_s)  # type: ignore[attr-defined]
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def troubled(proxy: Proxy, trouble: Trouble | None) -> None:
    proxy.set(trouble)
    wait_until(lambda: proxy.trouble == trouble)


def test_it_passes_on_and_counts_what_came_too_late(proxy: Proxy, seen: list[str]) -> None:
    assert get(proxy) == 200
    assert get(proxy, PATH.replace("/1/", "/9/")) == 409
    assert (len(seen), proxy.n_refused) == (2, 1)


def test_a_cut_breaks_connections_and_refuses_new_ones(proxy: Proxy, seen: list[str]) -> None:
    port: int = proxy.port  # type: ignore[attr-defined]
    open_one = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    open_one.request("GET", PATH)
    open_one.getresponse().read()
    troubled(proxy, Trouble("cut"))
    assert open_one.sock.recv(1) == b""
    open_one.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        get(proxy)
    troubled(proxy, None)
    assert get(proxy) == 200
    assert len(seen) == 2
    assert proxy.n_hit["cut"] >= 2


def test_a_lost_reply_is_one_to_a_request_that_arrived(proxy: Proxy, seen: list[str]) -> None:
    troubled(proxy, Trouble("lost replies"))
    with pytest.raises((OSError, http.client.HTTPException)):
        get(proxy)
    assert seen == [PATH]


def test_silence_lasts_until_it_is_healed(proxy: Proxy, seen: list[str]) -> None:
    troubled(proxy, Trouble("silence"))
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(get(proxy)))
    caller.start()
    wait_until(lambda: proxy.n_hit["silence"])
    assert seen == []
    troubled(proxy, None)
    caller.join()
    assert answers == [200]


def test_a_delay_delays(proxy: Proxy) -> None:
    troubled(proxy, Trouble("delay", delay_s=0.5))
    with pytest.raises(socket.timeout):
        get(proxy, timeout_s=0.1)
    troubled(proxy, Trouble("delay", delay_s=0.01))
    assert get(proxy) == 200


def test_a_trouble_of_some_tasks_spares_the_others(proxy: Proxy) -> None:
    salt = next(
        salt
        for salt in range(1000)
        if Trouble("cut", 0.5, salt).hits(b"a" * 32)
        and not Trouble("cut", 0.5, salt).hits(b"b" * 32)
    )
    troubled(proxy, Trouble("cut", share=0.5, salt=salt))
    with pytest.raises((OSError, http.client.HTTPException)):
        get(proxy)
    assert get(proxy, OTHER_PATH) == 200
