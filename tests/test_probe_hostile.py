"""Servers that want to hang, crash or mislead a scanner: each ends in time, with a verdict that is no product."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from endpoint_scans import report
from strangers import Reply, speaking, stranger

TIMEOUT = 3.0
GRACE = 4.0
"""What a run may take beyond its timeout: starting up, on a busy machine."""
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """However a server behaves, the run ends with its timeout."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < TIMEOUT + GRACE


def outcome(url: str) -> str:
    """What is said of the endpoint: its outcome, or why it gave no answer."""
    document = report(url, "--timeout", str(TIMEOUT))
    (seen,) = document["inventory"][0]["observed"]
    assert not document["findings"]
    assert not seen["product"]
    return str(seen["because"] if seen["outcome"] == "no answer" else seen["outcome"])


def read_request(connection: socket.socket) -> None:
    """Take a request off the wire."""
    while b"\r\n\r\n" not in connection.recv(65536):
        pass


def drip(*pieces: bytes, pause: float = 0.05) -> Callable[[socket.socket, threading.Event], None]:
    """A talk that sends the last piece over and over, after the others."""

    def talk(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        for piece in pieces[:-1]:
            connection.sendall(piece)
        while not over.is_set():
            connection.sendall(pieces[-1])
            time.sleep(pause)

    return talk


def once(answer: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """A talk that sends one answer."""

    def talk(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(answer)

    return talk


def test_one_that_never_answers() -> None:
    """It takes the connection, and that is all."""
    with speaking(lambda connection, over: over.wait(60) and None) as url:
        assert outcome(url) == "did not answer in time"


def test_one_that_drips_its_headers() -> None:
    """A byte now and then keeps every timeout for the next byte alive; the deadline ends it."""
    with speaking(drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a")) as url:
        assert "time" in outcome(url) or "long" in outcome(url)


def test_one_that_drips_its_body() -> None:
    """What came until the deadline counts, and is nothing."""
    with speaking(drip(OK + b"Content-Length: 100000\r\n\r\n", b"a")) as url:
        assert outcome(url) in ("no known product", "took too long over all requests together")


def test_one_with_an_endless_body() -> None:
    """It is read to the limit, however fast it comes."""
    with speaking(drip(OK + b"\r\n", b"x" * 65536, pause=0)) as url:
        assert outcome(url) == "no known product"


def test_one_that_redirects_with_an_endless_body() -> None:
    """The body of a redirect is read no further than that of any other answer."""
    with speaking(drip(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n", b"x" * 65536, pause=0)) as url:
        assert outcome(url) == "no known product"


def test_one_with_endless_chunks() -> None:
    """The same in chunked encoding."""
    with speaking(
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"x" * 0x4000 + b"\r\n", pause=0)
    ) as url:
        assert outcome(url) == "no known product"


def test_one_with_endless_interim_answers() -> None:
    """100 Continue for ever is no answer."""
    with speaking(drip(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01)) as url:
        assert "time" in outcome(url) or "long" in outcome(url)


@pytest.mark.parametrize(
    "body", [b"\x1f\x8bnot gzip at all", gzip.compress(b'{"version": "1.2.3"}')[:12]], ids=["no gzip", "cut gzip"]
)
def test_one_whose_gzip_is_bad(body: bytes) -> None:
    """The body then counts as empty."""
    with stranger({}, otherwise=Reply(200, body, {"Content-Encoding": "gzip"})) as server:
        assert outcome(server.url) == "no known product"


def test_one_that_sends_a_gzip_bomb() -> None:
    """Unpacking stops at the limit: a hundred megabytes of nothing never exist."""
    bomb = gzip.compress(b"\0" * 100_000_000, 9)[:120_000]
    with stranger({}, otherwise=Reply(200, bomb, {"Content-Encoding": "gzip"})) as server:
        assert outcome(server.url) == "no known product"


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: %s\r\n" % (n, b"v" * 8000) for n in range(90)),
        b"X: " + b"v" * 200_000 + b"\r\n",
        b"".join(b"X-%d: v\r\n" % n for n in range(5000)),
    ],
    ids=["large", "one huge", "many"],
)  # fmt: skip
def test_one_with_huge_headers(headers: bytes) -> None:
    """Large ones are read, and what is beyond every measure is no HTTP."""
    with speaking(once(OK + headers + b"Content-Length: 0\r\n\r\n")) as url:
        assert outcome(url) in ("no known product", "does not answer in HTTP", "cuts connections off without an answer")


def test_one_that_sends_control_characters() -> None:
    """Nothing that it says reaches a terminal as it came."""
    evil = {"/": Reply(body="Ollama is running"), "/api/tags": Reply(body={"models": []}),
            "/api/version": Reply(body={"version": "1.0\x1b]0;owned\x07\x1b[31m"})}  # fmt: skip
    with stranger(evil) as server:
        text = json.dumps(report(server.url, "--timeout", str(TIMEOUT)))
    assert "\\u001b" not in text
    assert "owned" not in text


@pytest.mark.parametrize("charset", ["utf-16", "idna", "no-such-charset", "zip", "base64", "utf-8; charset=x"])
def test_one_that_claims_a_wrong_charset(charset: str) -> None:
    """The claim is not believed."""
    with stranger(
        {}, otherwise=Reply(200, b"\xff\xfe\x00broken", {"Content-Type": f"text/html; charset={charset}"})
    ) as server:
        assert outcome(server.url) == "no known product"


@pytest.mark.parametrize(
    "target", ["/", "/a", "//a", "/\\evil", "http://[::1", "/%00", "javascript:alert(1)", "/a\x7fb", "?" * 9000]
)
def test_one_that_redirects_in_circles_or_nonsense(target: str) -> None:
    """A few redirects are followed, on the same server; the rest is an answer like any other."""
    with stranger({}, otherwise=Reply(302, "", {"Location": target})) as server:
        assert outcome(server.url) == "no known product"
        assert len(server.asked) <= 24


@pytest.mark.parametrize(
    "body",
    [
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"version": ' + "9" * 60_000 + "}",
        '"' + '\\"' * 30_000,
        '{"version": NaN}',
        "\ufeff{}",
    ],
)
def test_one_that_sends_json_to_choke_on(body: str) -> None:
    """Nesting, endless numbers and texts that never end are no document."""
    with stranger({}, otherwise=Reply(200, body, {"Content-Type": "application/json"})) as server:
        assert outcome(server.url) == "no known product"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"\x00\x01\x02" * 100,
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 200\r\n" + b"no colon\r\n" * 3 + b"\r\n",
        b"",
    ],
)
def test_one_that_speaks_something_else(answer: bytes) -> None:
    """Any other protocol is an answer that is none."""
    with speaking(once(answer)) as url:
        assert outcome(url)


def test_one_that_dies_after_its_first_answers() -> None:
    """What it said before counts; it is not taken for a product by half."""
    served: list[Any] = []

    def talk(connection: socket.socket, over: threading.Event) -> None:
        served.append(connection)
        read_request(connection)
        if len(served) < 3:
            connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")

    with speaking(talk) as url:
        assert outcome(url)
