"""A loopback server that does exactly what a script says: answers, half answers, silence, resets.

    with Server(answering(b"{}")) as server:
        ...connect to server.port...

A script is a function that gets one accepted connection, a `Peer`, and runs in a thread of its own until it returns;
then the connection is closed. What the peers saw is kept in `server.requests`, `server.received` and
`server.handshake_errors`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    Script = Callable[["Peer"], None]

# Longer than any test waits for; a script that hangs this long is a bug in the test.
PATIENCE_S = 20.0


class Received(NamedTuple):
    """One request as it came off the wire."""

    start: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: Server, connection: socket.socket, number: int) -> None:
        self.server = server
        self.connection = connection
        self.number = number
        self._buffer = b""

    def read_request(self) -> Received | None:
        """Read one whole request; None where the client closed the connection."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._receive():
                return None
        start, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        stop = end + 4 + int(headers.get("content-length", "0"))
        while len(self._buffer) < stop:
            if not self._receive():
                return None
        request = Received(start, headers, self._buffer[end + 4 : stop])
        self._buffer = self._buffer[stop:]
        self.server.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def wait_for_close(self) -> None:
        """Read and drop until the client closes the connection."""
        while self._receive():
            pass

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _receive(self) -> bool:
        data = self.connection.recv(1 << 16)
        self.server.received += data
        self._buffer += data
        return bool(data)


class Server:
    """Accepts connections on a free loopback port and runs the script for each."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.received = bytearray()
        self.handshake_errors: list[OSError] = []
        self.accepted = 0
        self.most_open = 0
        self._script = script
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None and self._failures:
            raise self._failures[0]

    def close(self) -> None:
        """Stop listening, cut what is open, wait for the scripts."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._acceptor.join(PATIENCE_S)
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a script does not end"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(connection, self.accepted), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError as error:
                self.handshake_errors.append(error)
                connection.close()
                return
        with self._lock:
            self._open.add(connection)
            self.most_open = max(self.most_open, len(self._open))
        try:
            self._script(Peer(self, connection, number))
        except OSError:
            pass  # the client went away, or close() cut the connection
        except BaseException as error:
            self._failures.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def answer(body: bytes = b"{}", *, status: str = "200 OK", headers: Iterable[str] = (), crc32: bool = True) -> bytes:
    """Write a complete answer as DynamoDB does."""
    lines = [
        f"HTTP/1.1 {status}",
        "Server: Server",
        "Content-Type: application/x-amz-json-1.0",
        f"Content-Length: {len(body)}",
        "x-amzn-RequestId: TEST",
        *([f"x-amz-crc32: {zlib.crc32(body)}"] if crc32 else []),
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(*bodies: bytes) -> Script:
    """Answer every request on every connection with these bodies in turn, the last one for ever; `{}` without any."""
    bodies = bodies or (b"{}",)

    def script(peer: Peer) -> None:
        position = 0
        while peer.read_request():
            peer.send(answer(bodies[position]))
            position = min(position + 1, len(bodies) - 1)

    return script


def sending(data: bytes) -> Script:
    """Read one request, send these bytes as they are, keep the connection open."""

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.send(data)
            peer.wait_for_close()

    return script


def in_turn(*scripts: Script) -> Script:
    """Run the first script for the first connection and so on, the last one for all others."""

    def script(peer: Peer) -> None:
        scripts[min(peer.number, len(scripts)) - 1](peer)

    return script
