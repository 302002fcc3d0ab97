"""A loopback HTTP server that answers from a script and keeps what it was sent: the far end of transport tests.

A step of the script is an `Answer`, or one of the ways a connection fails. Without a step left it answers `{}`.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None  # a Content-Length that is not the body's; the connection is closed after it

    def to_bytes(self) -> bytes:
        length = len(self.body) if self.announced is None else self.announced
        headers = {"Content-Length": str(length), "x-amzn-RequestId": "REQUEST", **self.headers}
        lines = [f"HTTP/1.1 {self.status} Because", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + self.body


def answer_json(members: Any, status: int = 200, **headers: str) -> Answer:
    body = json.dumps(members).encode()
    return Answer(
        status, body, {"Content-Type": "application/x-amz-json-1.0", "x-amz-crc32": str(crc32(body)), **headers}
    )


def answer_error(code: str, status: int = 400, **members: Any) -> Answer:
    return answer_json({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "why", **members}, status)


# Ways to fail
RESET = "reset the connection after the request"
CLOSE = "close the connection after the request"
STALL = "never answer"
BREAK_OFF = Answer(200, b'{"Items":[', announced=4096)
GARBAGE = "answer with something that is not HTTP"


@dataclass
class Received:
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return self.headers["x-amz-target"].rpartition(".")[2]


class ScriptedServer:
    def __init__(self, *steps: Any, tls: ssl.SSLContext | None = None) -> None:
        self.steps = list(steps)
        self.received: list[Received] = []
        self.problems: list[str] = []
        self._respond: Callable[[Received], Any] | None = None
        self._tls = tls
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def respond_with(self, respond: Callable[[Received], Any]) -> None:
        """Ask `respond` for each step instead of the script."""
        self._respond = respond

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.received]

    def close(self) -> None:
        self._closing.set()
        # A connection of our own wakes `accept`, which a closed listener does not on every platform.
        socket.create_connection(("127.0.0.1", self.port)).close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            with self._lock:
                self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection.makefile("rb") as stream:
                while (request := self._read_request(stream)) is not None:
                    if not self._play(connection, request):
                        break
        except OSError:
            pass  # the client's end of a failure that a test wants
        finally:
            connection.close()

    def _read_request(self, stream: Any) -> Received | None:
        first = stream.readline()
        if not first:
            return None
        headers: dict[str, str] = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if "transfer-encoding" in headers:
            self.problems.append("chunked request")
        body = stream.read(int(headers.get("content-length", "0")))
        return Received(first.split()[1].decode(), headers, body)

    def _play(self, connection: socket.socket, request: Received) -> bool:
        with self._lock:
            self.received.append(request)
            step = self.steps.pop(0) if self.steps else Answer()
        if self._respond is not None:
            step = self._respond(request)
        if isinstance(step, Answer):
            connection.sendall(step.to_bytes())
            return step.announced is None
        if step == GARBAGE:
            connection.sendall(b"\x15\x03\x01 not at all\r\n\r\n")
        elif step == STALL:
            self._closing.wait(30)
        elif step == RESET:
            # Zero linger makes close() send RST.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
