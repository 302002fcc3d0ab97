"""A loopback server that misbehaves on purpose: one fault for each attempt, taken from a script.

    with FaultServer() as server:
        server.load([COMMIT_THEN_RESET])      # the first attempt; every further one is answered as it should be
        ...a client on server.url...
        server.seen                           # what became of each attempt

Behind the faults stands `Table`, a model of as much of DynamoDB as the tests send to it, so that what was really
written is known, and how often.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from types import TracebackType

# Longer than any test waits for; a peer that hangs this long is a bug in the test.
PATIENCE_S = 30.0


class Request(NamedTuple):
    """One request as it came off the wire."""

    operation: str
    headers: dict[str, str]
    body: bytes


class Seen(NamedTuple):
    """What became of one attempt: which fault it met, on which connection (counted from 1)."""

    fault: str
    connection: int
    request: Request | None


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: Any, number: int) -> None:
        self.connection = connection
        self.number = number
        self._buffer = b""

    def wait_for_bytes(self) -> bool:
        """Wait until something of a request has come; False at the end of the connection."""
        return bool(self._buffer) or self._receive()

    def read_request(self) -> Request | None:
        """Read one whole request; None where the client closed the connection."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._receive():
                return None
        _, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        stop = end + 4 + int(headers.get("content-length", "0"))
        while len(self._buffer) < stop:
            if not self._receive():
                return None
        request = Request(headers.get("x-amz-target", "").rpartition(".")[2], headers, self._buffer[end + 4 : stop])
        self._buffer = self._buffer[stop:]
        return request

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reset(self) -> None:
        """End the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def close(self) -> None:
        """End the connection with FIN; under TLS without saying so in TLS."""
        self.connection.close()

    def wait_for_close(self) -> None:
        """Say nothing until the client gives up."""
        while self._receive():
            self._buffer = b""

    def _receive(self) -> bool:
        data = self.connection.recv(1 << 16)
        self._buffer += data
        return bool(data)


# --- the table behind the faults ------------------------------------------------------------------------------------


class Table:
    """What DynamoDB would store and answer: single items, equality conditions, SET and ADD, transactions of one."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.writes = 0
        self._tokens: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Do what a request asks for."""
        with self._lock:
            return self._operations[request.operation](self, json.loads(request.body))

    def _get(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        item = self.items.get(body["Key"]["id"]["S"])
        return 200, {} if item is None else {"Item": item}

    def _put(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self._write(body, body["Item"]["id"]["S"], lambda _: body["Item"])

    def _update(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = body["Key"]["id"]["S"]
        status, answer = self._write(body, name, lambda item: _updated(item or dict(body["Key"]), body))
        return status, answer if status != 200 else {"Attributes": self.items[name]}

    def _delete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        item = self.items.get(body["Key"]["id"]["S"])
        status, answer = self._write(body, body["Key"]["id"]["S"], lambda _: None)
        return status, answer if status != 200 or item is None else {"Attributes": item}

    def _transact(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        token, written = body["ClientRequestToken"], json.dumps(body).encode()
        if token in self._tokens:
            same = self._tokens[token] == written
            return (200, {}) if same else refusal("IdempotentParameterMismatchException")
        [(kind, single)] = body["TransactItems"][0].items()
        status, answer = {"Put": self._put, "Update": self._update, "Delete": self._delete}[kind](single)
        if status == 200:
            self._tokens[token] = written
            return 200, {}
        reason = {"Code": "ConditionalCheckFailed", **{key: answer[key] for key in ("Item",) if key in answer}}
        return refusal("TransactionCanceledException", CancellationReasons=[reason])

    def _write(
        self, body: dict[str, Any], name: str, change: Callable[[dict[str, Any] | None], dict[str, Any] | None]
    ) -> tuple[int, dict[str, Any]]:
        item = self.items.get(name)
        if not _holds(item, body):
            told = {"Item": item} if item is not None and "ReturnValuesOnConditionCheckFailure" in body else {}
            return refusal("ConditionalCheckFailedException", **told)
        changed = change(item)
        self.writes += 1
        if changed is None:
            self.items.pop(name, None)
        else:
            self.items[name] = changed
        return 200, {}

    _operations: dict[str, Callable[[Table, dict[str, Any]], tuple[int, dict[str, Any]]]] = {  # noqa: RUF012
        "GetItem": _get,
        "PutItem": _put,
        "UpdateItem": _update,
        "DeleteItem": _delete,
        "TransactWriteItems": _transact,
    }


def _holds(item: dict[str, Any] | None, body: dict[str, Any]) -> bool:
    names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
    for term in filter(None, body.get("ConditionExpression", "").split(" AND ")):
        if function := re.fullmatch(r"attribute_(not_)?exists\((#\w+)\)", term):
            holds = (names[function[2]] in (item or {})) != bool(function[1])
        else:
            left, right = term.split(" = ")
            holds = (item or {}).get(names[left]) == values[right]
        if not holds:
            return False
    return True


def _updated(item: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    names, values = body["ExpressionAttributeNames"], body["ExpressionAttributeValues"]
    updated = dict(item)
    for verb, actions in re.findall(r"(SET|ADD|REMOVE) (.*?)(?= ADD | REMOVE |$)", body["UpdateExpression"]):
        for action in actions.split(", "):
            name, *operands = (names.get(word) or values.get(word) for word in action.split() if word != "=")
            if verb == "SET":
                (updated[name],) = operands
            elif verb == "REMOVE":
                updated.pop(name, None)
            else:
                updated[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(operands[0]["N"]))}
    return updated


def refusal(code: str, message: str = "as scripted", **members: Any) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **members}


class Upstream:
    """A real DynamoDB (AWS's Local) behind the faults; counts the writes that it carries out."""

    def __init__(self, endpoint: str) -> None:
        self.writes = 0
        parts = urlsplit(endpoint)
        self._address = (parts.hostname, parts.port)
        self._idle: list[http.client.HTTPConnection] = []

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Pass a request on."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE_S)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        connection.request("POST", "/", body=request.body, headers=headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        self._idle.append(connection)
        self.writes += response.status == 200 and request.operation not in _READS
        return answer

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


_READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan"})
_PASSED_ON = ("content-type", "x-amz-target", "x-amz-date", "authorization")


# --- bytes on the wire ----------------------------------------------------------------------------------------------

REASONS = {200: "OK", 204: "No Content", 301: "Moved Permanently", 400: "Bad Request", 413: "Payload Too Large"}


def write_answer(
    status: int, body: bytes, *headers: str, crc32: int | None = None, length: int | None = None, version: str = "1.1"
) -> bytes:
    """Write an answer as DynamoDB does, but for what is said otherwise."""
    lines = [
        f"HTTP/{version} {status} {REASONS.get(status, 'Whatever')}",
        "Server: Server",
        "Content-Type: application/x-amz-json-1.0",
        f"Content-Length: {len(body) if length is None else length}",
        "x-amzn-RequestId: TEST",
        f"x-amz-crc32: {zlib.crc32(body) if crc32 is None else crc32}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def write_json(status: int, answer: Any, *headers: str, **options: Any) -> bytes:
    return write_answer(status, json.dumps(answer).encode(), *headers, **options)


def write_html(status: int, *headers: str) -> bytes:
    body = b"<html><body>The service is not available.</body></html>"
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Type: text/html", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


# --- faults ---------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """What one attempt meets.

    Attributes:
        name: for the test's id.
        kind: what is known after it:
            `ok`       the answer is good;
            `lost`     nothing: the request may have been carried out;
            `error500` the same, in DynamoDB's own words;
            `unsent`   no request has left;
            `racing`   `lost` or `unsent`, whichever the kernels make of it;
            `foreign`  something else than DynamoDB refused;
            `throttled`, `refused`: DynamoDB did.
        play: does it; returns whether the connection lives on.
        when: `accept` (before TLS), `bytes` (as soon as something has come), `request` (when all of it has come).
        breaks: whether the connection is of no use afterwards.
    """

    name: str
    kind: str
    play: Callable[[Peer, Callable[[], tuple[int, dict[str, Any]]]], bool]
    when: str = "request"
    breaks: bool = True


def _sending(write: Callable[[int, dict[str, Any]], bytes], *, end: str = "close") -> Any:
    """Carry the request out and send what `write` makes of the answer; then close, reset, wait or go on."""

    def play(peer: Peer, carry_out: Callable[[], tuple[int, dict[str, Any]]]) -> bool:
        peer.send(write(*carry_out()))
        return _end(peer, end)

    return play


def _saying(data: bytes, *, end: str = "go on") -> Any:
    """Send these bytes instead of carrying anything out."""

    def play(peer: Peer, _: Any) -> bool:
        peer.send(data)
        return _end(peer, end)

    return play


def _ending(end: str, *, commits: bool) -> Any:
    def play(peer: Peer, carry_out: Callable[[], tuple[int, dict[str, Any]]]) -> bool:
        if commits:
            carry_out()
        return _end(peer, end)

    return play


def _end(peer: Peer, end: str) -> bool:
    if end == "go on":
        return True
    {"close": peer.close, "reset": peer.reset, "wait": peer.wait_for_close}[end]()
    return False


def _cut(data: bytes, *, keep: float) -> bytes:
    return data[: int(len(data) * keep)]


def _drip(pause_s: float, pieces: int) -> Any:
    def play(peer: Peer, carry_out: Callable[[], tuple[int, dict[str, Any]]]) -> bool:
        data = write_json(*carry_out())
        size = -(-len(data) // pieces)
        pause = threading.Event()
        for start in range(0, len(data), size):
            peer.send(data[start : start + size])
            pause.wait(pause_s)
        return True

    return play


def _chunked(status: int, answer: dict[str, Any]) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status} OK\r\nTransfer-Encoding: chunked\r\nx-amz-crc32: {zlib.crc32(body)}\r\n\r\n"
    return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


OK = Fault("ok", "ok", _sending(write_json, end="go on"), breaks=False)
THROTTLE = Fault(
    "throttle",
    "throttled",
    _saying(write_json(*refusal("ProvisionedThroughputExceededException"))),
    breaks=False,
)
NO_ITEM = Fault(
    "false condition with an item of no shape",
    "refused",
    _saying(write_json(*refusal("ConditionalCheckFailedException", Item={"id": 5}))),
    breaks=False,
)
NO_REASON = Fault(
    "cancellation with a reason of no shape",
    "refused",
    _saying(write_json(*refusal("TransactionCanceledException", CancellationReasons=["none"]))),
    breaks=False,
)
INVALID = Fault("invalid", "refused", _saying(write_json(*refusal("ValidationException"))), breaks=False)
ERROR_500 = Fault("500", "error500", _saying(write_json(500, refusal("InternalServerError")[1])), breaks=False)
COMMIT_THEN_500 = Fault(
    "commit, then 500",
    "error500",
    _sending(lambda *_: write_json(500, refusal("InternalServerError")[1]), end="go on"),
    breaks=False,
)
COMMIT_THEN_RESET = Fault("commit, then reset", "lost", _ending("reset", commits=True))
RESET = Fault("reset after the request", "lost", _ending("reset", commits=False))
BLACK_HOLE = Fault("black hole", "lost", _ending("wait", commits=False))
COMMIT_THEN_SILENCE = Fault("commit, then silence", "lost", _ending("wait", commits=True))
# Twenty pieces in half a second at least: longer than a read timeout of 0.3 s, each piece sooner.
SLOW_DRIP = Fault("slow drip", "lost", _drip(0.025, 20))

# Faults that cost no time, and are told from what comes back.
FAULTS = (
    Fault("reset on accept", "racing", _ending("reset", commits=False), when="accept"),
    Fault("close on accept", "racing", _ending("close", commits=False), when="accept"),
    Fault("reset within the request", "lost", _ending("reset", commits=False), when="bytes"),
    RESET,
    COMMIT_THEN_RESET,
    Fault("close after the request", "lost", _ending("close", commits=False)),
    Fault("commit, then close", "lost", _ending("close", commits=True)),
    ERROR_500,
    COMMIT_THEN_500,
    Fault("HTML 503", "foreign500", _saying(write_html(503)), breaks=False),
    Fault("HTML 502 and close", "foreign500", _saying(write_html(502, "Connection: close"), end="close")),
    Fault("commit, then 504", "foreign500", _sending(lambda *_: write_html(504), end="go on"), breaks=False),
    Fault("empty 413", "foreign", _saying(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), breaks=False),
    Fault("HTML 403", "foreign", _saying(write_html(403)), breaks=False),
    Fault("redirect", "foreign", _saying(write_html(301, "Location: http://127.0.0.1:9/")), breaks=False),
    Fault("400 that is a list", "foreign", _saying(write_json(400, ["no", "error"])), breaks=False),
    Fault("400 without a code", "foreign", _saying(write_json(400, {"message": "no"})), breaks=False),
    Fault("400 whose code is a number", "foreign", _saying(write_json(400, {"__type": 400})), breaks=False),
    THROTTLE,
    Fault("429", "throttled", _saying(write_json(429, refusal("TooManyRequestsException")[1])), breaks=False),
    INVALID,
    NO_ITEM,
    NO_REASON,
    Fault("truncated head", "lost", _sending(lambda *answer: write_json(*answer)[:60])),
    Fault("truncated body", "lost", _sending(lambda *answer: write_json(*answer, length=4096))),
    Fault("truncated error", "lost", _saying(_cut(write_json(*refusal("Throttling")), keep=0.8), end="close")),
    Fault("truncated body and reset", "lost", _sending(lambda *answer: write_json(*answer, length=4096), end="reset")),
    Fault("wrong crc32", "lost", _sending(lambda *answer: write_json(*answer, crc32=1), end="go on"), breaks=False),
    Fault("refusal with a wrong crc32", "lost", _saying(write_json(*refusal("Throttling"), crc32=1)), breaks=False),
    Fault("a list", "lost", _sending(lambda *_: write_json(200, [1, 2]), end="go on"), breaks=False),
    Fault("a number", "lost", _sending(lambda *_: write_json(200, 5), end="go on"), breaks=False),
    Fault(
        "half of the JSON", "lost", _sending(lambda *_: write_answer(200, b'{"Item":{"i'), end="go on"), breaks=False
    ),
    Fault("no JSON", "lost", _sending(lambda *_: write_answer(200, b"OK"), end="go on"), breaks=False),
    Fault("200 that is empty", "lost", _sending(lambda *_: write_answer(200, b""), end="go on"), breaks=False),
    Fault("200 that is HTML", "lost", _sending(lambda *_: write_html(200), end="go on"), breaks=False),
    Fault("202", "lost", _sending(lambda *_: write_html(202), end="go on"), breaks=False),
    Fault("huge header", "lost", _sending(lambda *answer: write_json(*answer, f"X-Large: {'x' * 100_000}"))),
    Fault("many headers", "lost", _sending(lambda *answer: write_json(*answer, *["X-Many: 1"] * 6000))),
    Fault("not HTTP", "lost", _sending(lambda *_: b"SSH-2.0-OpenSSH_9.6\r\n")),
    Fault("nonsense in the head", "lost", _sending(lambda *answer: b"\0" + write_json(*answer))),
    Fault(
        "answer and close",
        "ok",
        _sending(lambda *answer: write_json(*answer, "Connection: close")),
    ),
    Fault("HTTP/1.0", "ok", _sending(lambda *answer: write_json(*answer, version="1.0"))),
)

# What HTTP allows, `botocore` therefore takes, and DynamoDB never sends: to `direct` a sign that somebody else answers.
UNUSUAL = (
    Fault("chunked", "lost", _sending(_chunked, end="go on")),
    Fault("100-continue", "lost", _sending(lambda *answer: b"HTTP/1.1 100 Continue\r\n\r\n" + write_json(*answer))),
    Fault("extra bytes", "lost", _sending(lambda *answer: write_json(*answer) + b"HTTP/1.1 200", end="go on")),
    Fault("no length", "lost", _sending(lambda *answer: write_json(*answer).replace(b"Content-Length", b"X-Length"))),
)

# Faults whose whole effect is silence.
SILENT = (BLACK_HOLE, COMMIT_THEN_SILENCE, SLOW_DRIP)

# What happens under TLS before a request can leave.
HANDSHAKES = (
    Fault("handshake reset", "unsent", _ending("reset", commits=False), when="bytes of TLS"),
    Fault("handshake closed", "unsent", _ending("close", commits=False), when="bytes of TLS"),
    Fault("handshake not answered", "unsent", _ending("wait", commits=False), when="bytes of TLS"),
    Fault("plain HTTP instead of TLS", "unsent", _saying(write_html(400), end="close"), when="bytes of TLS"),
)


# --- the server -----------------------------------------------------------------------------------------------------


class FaultServer:
    """Accepts connections on a free loopback port; each attempt meets the next fault of the script, then `OK`.

    Behind it is a `Table` of its own, or an `Upstream`: then it is a proxy.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
        upstream: Upstream | None = None,
    ) -> None:
        self.table = Table()
        self._upstream = upstream
        self.seen: list[Seen] = []
        self.accepted = 0
        self.choose: Callable[[Request], Fault] | None = None
        self._faults: deque[Fault] = deque()
        self.otherwise = OK
        self._tls = tls
        self._open: set[Any] = set()
        self._busy: dict[Any, Request] = {}
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor: threading.Thread | None = None
        self.listen()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.check()

    def listen(self) -> None:
        """Accept connections, again after `refuse`."""
        self._listener.listen(64)
        self.listening = True
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def refuse(self) -> None:
        """Keep the port, but let nobody connect, and cut who is connected and not being served."""
        self._stop_listening()
        self.cut_idle()
        self.listening = False
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self._listener = listener

    def load(self, faults: Iterable[Fault] = (), *, otherwise: Fault | None = None) -> None:
        """Begin anew: an empty table, no connection, this script; `otherwise` is met when it has ended."""
        self.cut()
        self.check()
        self.table = Table()
        self.seen = []
        self.then(faults, otherwise=otherwise)

    def then(self, faults: Iterable[Fault], *, otherwise: Fault | None = None) -> None:
        """Go on with this script."""
        with self._lock:
            self._faults = deque(faults)
            self.otherwise = otherwise or OK

    def cut(self) -> None:
        """End every connection from this side, and wait until that is done."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a peer does not end"

    def cut_idle(self) -> None:
        """End, from this side, every connection on which no request is being carried out."""
        with self._lock:
            for connection in self._open - self._busy.keys():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def is_busy_with(self, text: bytes = b"") -> bool:
        """Tell whether a request that holds this text is being carried out."""
        with self._lock:
            return any(text in request.body for request in self._busy.values())

    def check(self) -> None:
        """Raise what went wrong inside the server itself."""
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        self._stop_listening()
        self.cut()

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        if self._acceptor is not None:
            self._acceptor.join(PATIENCE_S)

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                thread = threading.Thread(target=self._run, args=(connection, self.accepted), daemon=True)
                self._threads.append(thread)
                self._open.add(connection)
            thread.start()

    def _run(self, connection: Any, number: int) -> None:
        kept = [connection]
        try:
            self._serve(kept, number)
        except OSError:
            pass  # the client went away, or `cut` ended the connection
        except BaseException as error:
            self._failures.append(error)
        finally:
            with self._lock:
                self._open -= set(kept)
            kept[-1].close()

    def _serve(self, kept: list[Any], number: int) -> None:
        if self._meets("accept"):
            self._play(Peer(kept[-1], number), None)
            return
        if self._meets("bytes of TLS"):
            peer = Peer(kept[-1], number)
            if peer.wait_for_bytes():
                self._play(peer, None)
            return
        if self._tls is not None:
            wrapped = self._tls.wrap_socket(kept[-1], server_side=True)
            with self._lock:
                kept.append(wrapped)
                self._open.add(wrapped)
        peer = Peer(kept[-1], number)
        while peer.wait_for_bytes():
            if self._meets("bytes"):
                self._play(peer, None)
                return
            request = peer.read_request()
            if request is None or not self._play(peer, request):
                return

    def _meets(self, when: str) -> bool:
        with self._lock:
            return bool(self._faults) and self._faults[0].when == when

    def _play(self, peer: Peer, request: Request | None) -> bool:
        with self._lock:
            fault = self._faults.popleft() if self._faults else self.otherwise
            if self.choose is not None and request is not None:
                fault = self.choose(request)
            self.seen.append(Seen(fault.name, peer.number, request))
            if request is not None:
                self._busy[peer.connection] = request

        def carry_out() -> tuple[int, dict[str, Any]]:
            assert request is not None
            try:
                return (self._upstream or self.table).answer(request)
            finally:
                self._is_done(peer)

        try:
            return fault.play(peer, carry_out)
        finally:
            self._is_done(peer)

    def _is_done(self, peer: Peer) -> None:
        with self._lock:
            self._busy.pop(peer.connection, None)
