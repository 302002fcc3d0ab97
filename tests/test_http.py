"""The strict reader, from memory; then one connection over real sockets that misbehave."""

from __future__ import annotations

import itertools
import socket
import threading
import tracemalloc
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import Peer, Server, answer, answering, sending

from jaypie_dynamo._transport import _http
from jaypie_dynamo._transport._attempt import AttemptError
from jaypie_dynamo._transport._http import MAX_BODY_BYTES, MAX_HEAD_BYTES, Connection, open_socket, read_response

if TYPE_CHECKING:
    from collections.abc import Iterable

GOOD = answer(b'{"Item":{}}')


class Pieces:
    """A stream that comes in these pieces and then ends."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def __call__(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:stop] for start, stop in itertools.pairwise(marks)]


def test_an_answer_is_read_whole() -> None:
    data = answer(b"{}", status="400 Bad Request", headers=("Date: now", "X-Two: a", "x-two:b\t", "Empty:"))
    response, persistent = read_response(Pieces([data]), name="x")
    assert (response.status, response.body, persistent) == (400, b"{}", True)
    assert response.headers == {
        "server": "Server",
        "content-type": "application/x-amz-json-1.0",
        "content-length": "2",
        "x-amzn-requestid": "TEST",
        "x-amz-crc32": "2745614147",
        "date": "now",
        "x-two": "a, b",
        "empty": "",
    }
    assert type(response.body) is bytes


@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 5_000_000])
def test_bodies_of_any_size_arrive_as_they_were_sent(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    data = answer(body, crc32=False)
    for step in (65_536, 1 << 20, len(data)):
        stream = Pieces(data[i : i + step] for i in range(0, len(data), step))
        assert read_response(stream, name="x")[0].body == body


@given(st.lists(st.integers(0, 1 << 16)), st.binary(max_size=300))
def test_where_the_bytes_are_cut_makes_no_difference(places: list[int], body: bytes) -> None:
    response, persistent = read_response(Pieces(cut(answer(body, crc32=False), places)), name="x")
    assert (response.body, persistent) == (body, True)


@pytest.mark.parametrize(
    ("header", "persistent"),
    [
        ("Connection: keep-alive", True),
        ("connection:Keep-Alive", True),
        ("Connection: close", False),
        ("Connection: CLOSE", False),
        ("Connection: keep-alive, close", False),
        ("Connection: upgrade", False),
    ],
)
def test_the_server_decides_whether_the_connection_stays(header: str, persistent: bool) -> None:
    assert read_response(Pieces([answer(headers=(header,))]), name="x")[1] is persistent
    assert read_response(Pieces([answer().replace(b"/1.1", b"/1.0", 1)]), name="x")[1] is False


def head(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


REFUSED = {
    "nothing": (b"", "without an answer"),
    "end within the head": (b"HTTP/1.1 200 OK\r\nContent-Le", "before the end of its head"),
    "end within the body": (answer(b"{}")[:-1], "after 1 of 2 bytes"),
    "extra byte": (answer(b"{}") + b"x", "more bytes"),
    "two answers": (answer(b"{}") * 2, "more bytes"),
    "no length": (head("HTTP/1.1 200 OK"), "no Content-Length"),
    "chunked": (head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "Transfer-Encoding"),
    "chunked and a length": (
        head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Length: 2", body=b"{}"),
        "Transfer-Encoding",
    ),
    "two lengths": (head("HTTP/1.1 200 OK", "Content-Length: 2", "content-length: 3", body=b"{}"), "more than one"),
    "twice the same length": (head("HTTP/1.1 200 OK", *["Content-Length: 2"] * 2, body=b"{}"), "more than one"),
    "list of lengths": (head("HTTP/1.1 200 OK", "Content-Length: 2, 2", body=b"{}"), "Content-Length is '2, 2'"),
    "negative length": (head("HTTP/1.1 200 OK", "Content-Length: -2"), "Content-Length is '-2'"),
    "signed length": (head("HTTP/1.1 200 OK", "Content-Length: +2", body=b"{}"), "Content-Length is"),
    "hexadecimal length": (head("HTTP/1.1 200 OK", "Content-Length: 0x2", body=b"{}"), "Content-Length is"),
    "empty length": (head("HTTP/1.1 200 OK", "Content-Length:", body=b"{}"), "Content-Length is"),
    "endless length": (head("HTTP/1.1 200 OK", "Content-Length: " + "9" * 5000), "Content-Length is"),
    "length over the cap": (head("HTTP/1.1 200 OK", f"Content-Length: {MAX_BODY_BYTES + 1}"), "is over"),
    "compressed": (head("HTTP/1.1 200 OK", "Content-Encoding: gzip", "Content-Length: 0"), "compressed"),
    "continue": (head("HTTP/1.1 100 Continue") + answer(), "not a final one"),
    "switching protocols": (head("HTTP/1.1 101 Switching Protocols", "Content-Length: 0"), "not a final one"),
    "status 600": (head("HTTP/1.1 600 X", "Content-Length: 0"), "not a final one"),
    "status of two digits": (head("HTTP/1.1 20 OK", "Content-Length: 0"), "status line"),
    "status of four digits": (head("HTTP/1.1 2000 OK", "Content-Length: 0"), "status line"),
    "status of letters": (head("HTTP/1.1 2x0 OK", "Content-Length: 0"), "status line"),
    "no status": (head("HTTP/1.1", "Content-Length: 0"), "status line"),
    "HTTP/2": (head("HTTP/2 200", "Content-Length: 0"), "status line"),
    "HTTP/1.2": (head("HTTP/1.2 200 OK", "Content-Length: 0"), "status line"),
    "lower case": (head("http/1.1 200 OK", "Content-Length: 0"), "status line"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP/1.1"),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", "not HTTP/1.1"),
    "LF alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "CR LF"),
    "LF alone once": (b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n", "lone CR or LF"),
    "CR alone": (b"HTTP/1.1 200 OK\r\nA: b\rContent-Length: 0\r\n\r\n", "lone CR or LF"),
    "NUL": (head("HTTP/1.1 200 OK", "A: \0", "Content-Length: 0"), "a NUL"),
    "beyond ASCII": (head("HTTP/1.1 200 OK", "A: \xe9", "Content-Length: 0"), "beyond ASCII"),
    "folded line": (head("HTTP/1.1 200 OK", "A: b", " c: d", "Content-Length: 0"), "a line of its head"),
    "space before colon": (head("HTTP/1.1 200 OK", "Content-Length : 0"), "a line of its head"),
    "tab before colon": (head("HTTP/1.1 200 OK", "Content-Length\t: 0"), "a line of its head"),
    "no colon": (head("HTTP/1.1 200 OK", "Content-Length 0"), "a line of its head"),
    "no name": (head("HTTP/1.1 200 OK", ": 0", "Content-Length: 0"), "a line of its head"),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, "longer than 65536"),
    "long head with an end": (
        head("HTTP/1.1 200 OK", "A: " + "b" * MAX_HEAD_BYTES, "Content-Length: 0"),
        "longer than",
    ),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("step", [1 << 20, 1_000])
def test_everything_else_is_refused_by_name(data: bytes, says: str, step: int) -> None:
    with pytest.raises(AttemptError, match=says) as caught:
        read_response(Pieces(data[i : i + step] for i in range(0, len(data), step)), name="the server")
    assert (caught.value.sent, caught.value.retryable) == (True, True)
    assert "the server" in str(caught.value)
    assert len(str(caught.value)) < 200


@given(
    st.lists(
        st.tuples(st.sampled_from(["replace", "insert", "delete"]), st.integers(0, 400), st.binary(max_size=8)),
        max_size=6,
    ),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_a_mutated_answer_is_read_or_refused(mutations: list[tuple[str, int, bytes]], places: list[int]) -> None:
    data = GOOD
    for kind, place, extra in mutations:
        place %= len(data) + 1
        data = (
            data[:place]
            + (b"" if kind == "delete" else extra)
            + data[place + (kind != "insert") * max(1, len(extra)) :]
        )
    stream = Pieces(cut(data, places))
    try:
        response, _ = read_response(stream, name="x")
    except AttemptError:
        return
    assert len(response.body) == int(response.headers["content-length"])
    assert data.endswith(response.body)
    assert stream() == b""


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(AttemptError):
        read_response(Pieces(pieces), name="x")


def test_memory_is_taken_for_what_has_come_not_for_what_is_promised() -> None:
    stream = Pieces([head("HTTP/1.1 200 OK", f"Content-Length: {MAX_BODY_BYTES}"), b"x"])
    tracemalloc.start()
    try:
        with pytest.raises(AttemptError, match=f"after 1 of {MAX_BODY_BYTES} bytes"):
            read_response(stream, name="x")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_only_when_asked_does_an_answer_end_with_the_connection() -> None:
    data = head("HTTP/1.0 200 OK", body=b"abc")
    response, persistent = read_response(Pieces(cut(data, [20, 21])), name="x", ends_with_close=True)
    assert (response.body, persistent) == (b"abc", False)
    with pytest.raises(AttemptError, match="longer than"):
        read_response(Pieces([data, b"x" * MAX_HEAD_BYTES]), name="x", ends_with_close=True)


# From here on real sockets.


def connect(server: Server) -> Connection:
    return Connection(open_socket("127.0.0.1", server.port, deadline=monotonic() + 5), name="the server")


def exchange(connection: Connection, message: bytes = b"", timeout_s: float = 5) -> bytes:
    message = message or b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    return connection.exchange(message, deadline=monotonic() + timeout_s).body


def until_something_happens(connection: Connection) -> None:
    patience = monotonic() + 5
    while connection.is_fresh():
        assert monotonic() < patience


def test_a_connection_carries_one_exchange_after_another() -> None:
    with Server(answering(b"1", b"22", b"x" * 300_000)) as server:
        connection = connect(server)
        assert [exchange(connection), exchange(connection)] == [b"1", b"22"]
        assert connection.reusable
        assert connection.is_fresh()
        assert exchange(connection) == b"x" * 300_000
        connection.close()
        assert not connection.reusable
    assert server.accepted == 1


def test_small_packets_leave_at_once_and_dead_peers_are_noticed() -> None:
    with Server(answering()) as server:
        opened = open_socket("localhost", server.port, deadline=monotonic() + 5)
        with opened:
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_request_leaves_in_one_piece() -> None:
    calls: list[int] = []

    class Counting(socket.socket):
        def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
            calls.append(len(data))
            return super().send(data, flags)

    with Server(answering()) as server:
        plain = open_socket("127.0.0.1", server.port, deadline=monotonic() + 5)
        connection = Connection(Counting(fileno=plain.detach()), name="x")
        exchange(connection, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
        connection.close()
    assert len(calls) == 1


def test_a_request_larger_than_the_buffers_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    with Server(answering()) as server:
        connection = connect(server)
        exchange(connection, b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        connection.close()
    assert server.requests[0].body == body


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (lambda peer: peer.read_request() and peer.reset(), "broke"),
        (lambda peer: peer.read_request(), "without an answer"),
        (lambda peer: peer.read_request() and peer.send(GOOD[:60]), "before the end of its head"),
        (lambda peer: peer.read_request() and peer.send(GOOD[:-1]), "bytes"),
        (sending(GOOD + b"x"), "more bytes"),
    ],
)  # fmt: skip
def test_after_a_bad_end_the_request_counts_as_sent_and_the_connection_as_spent(script: object, says: str) -> None:
    with Server(script) as server:  # type: ignore[arg-type]
        connection = connect(server)
        with pytest.raises(AttemptError, match=says) as caught:
            exchange(connection)
        assert caught.value.sent
        assert not connection.reusable
        connection.close()


def test_silence_ends_with_the_deadline() -> None:
    with Server(Peer.wait_for_close) as server:
        connection = connect(server)
        started = monotonic()
        with pytest.raises(AttemptError, match="did not answer in time") as caught:
            exchange(connection, timeout_s=0.2)
        assert caught.value.sent
        assert 0.15 < monotonic() - started < 1
        assert not connection.reusable
        connection.close()


def test_a_drip_of_bytes_ends_with_the_deadline() -> None:
    stop = threading.Event()

    def drip(peer: Peer) -> None:
        peer.read_request()
        for byte in answer(b"x" * 10_000):
            peer.send(bytes([byte]))
            stop.wait(0.01)

    with Server(drip) as server:
        connection = connect(server)
        started = monotonic()
        with pytest.raises(AttemptError, match="did not answer in time"):
            exchange(connection, timeout_s=0.3)
        assert monotonic() - started < 1
        stop.set()
        connection.close()


def test_a_server_that_does_not_read_ends_with_the_deadline() -> None:
    done = threading.Event()
    with Server(lambda _: done.wait(20)) as server:  # type: ignore[arg-type, return-value]
        connection = connect(server)
        started = monotonic()
        with pytest.raises(AttemptError, match="did not answer in time") as caught:
            exchange(connection, b"x" * 50_000_000, timeout_s=0.3)
        assert caught.value.sent
        assert monotonic() - started < 1
        done.set()
        connection.close()


def test_without_time_nothing_is_sent() -> None:
    with Server(answering()) as server:
        connection = connect(server)
        with pytest.raises(AttemptError) as caught:
            exchange(connection, timeout_s=0)
        assert not caught.value.sent
        connection.close()
    assert server.received == b""


def test_a_write_to_a_reset_connection_was_not_sent() -> None:
    connected = threading.Event()
    with Server(lambda peer: connected.wait(20) and peer.reset()) as server:  # type: ignore[arg-type, func-returns-value]
        connection = connect(server)
        connected.set()
        until_something_happens(connection)
        with pytest.raises(AttemptError, match="broke") as caught:
            exchange(connection)
        assert not caught.value.sent
        connection.close()


@pytest.mark.parametrize(
    "act",
    [lambda _: None, Peer.reset, lambda peer: peer.send(b"x") or peer.wait_for_close()],
    ids=["closed", "reset", "stray byte"],
)
def test_an_idle_connection_on_which_something_happened_is_not_fresh(act: Any) -> None:
    connected = threading.Event()
    with Server(lambda peer: connected.wait(20) and act(peer)) as server:  # type: ignore[arg-type, return-value]
        connection = connect(server)
        assert connection.is_fresh()
        connected.set()
        until_something_happens(connection)
        connection.close()


def test_without_poll_select_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_http.select, "poll")
    with Server(lambda peer: peer.read_request() and peer.send(GOOD)) as server:
        connection = connect(server)
        assert connection.is_fresh()
        exchange(connection)
        until_something_happens(connection)
        connection.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_says_where() -> None:
    port = closed_port()
    with pytest.raises(AttemptError, match=f"Cannot connect to 127.0.0.1 port {port}: .*refused") as caught:
        open_socket("127.0.0.1", port, deadline=monotonic() + 1)
    assert (caught.value.sent, caught.value.retryable) == (False, True)


def test_an_unknown_host_says_so() -> None:
    with pytest.raises(AttemptError, match=r"Cannot resolve no-such-host\.invalid") as caught:
        open_socket("no-such-host.invalid", 80, deadline=monotonic() + 1)
    assert not caught.value.sent


def addresses(*ports: int) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answering()) as server:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(closed_port(), server.port))
        open_socket("x", 1, deadline=monotonic() + 1).close()


def test_a_silent_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # A full backlog swallows connection attempts as a firewall does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, Server(answering()) as server:
        port = silent.getsockname()[1]
        waiting = [socket.create_connection(("127.0.0.1", port))]
        try:
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(port, server.port))
            started = monotonic()
            open_socket("x", 1, deadline=started + 0.4).close()
            assert 0.15 < monotonic() - started < 0.4
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(port))
            with pytest.raises(AttemptError, match="timed out") as caught:
                open_socket("x", 1, deadline=monotonic() + 0.1)
            assert not caught.value.sent
        finally:
            for each in waiting:
                each.close()


def test_time_that_the_resolver_used_up_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answering()) as server:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(server.port))
        with pytest.raises(AttemptError, match="timed out"):
            open_socket("x", 1, deadline=monotonic())
    assert server.accepted == 0
