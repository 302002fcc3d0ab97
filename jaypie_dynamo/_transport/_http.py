"""One HTTP/1.1 connection: bytes out, one complete answer in.

The reader is strict: it takes answers as DynamoDB writes them and refuses everything else, because whoever reads
leniently reads somebody else's answer in the end. Never follows a redirect, never repeats, never judges a status,
never verifies a server: `_tls` does. Imports the vocabulary of one attempt only.

Source: https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import select
import socket
from time import monotonic

from ._attempt import AttemptError, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD_BYTES = 64 * 1024

# The largest answer, BatchGetItem's, holds 16 MB of items. Their JSON is at most seven times that: a list
# element {"BOOL":true}, counts 2 bytes and takes 14.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
MAX_BODY_BYTES = 128 * 1024 * 1024

_RECEIVE_BYTES = 64 * 1024


def open_socket(host: str, port: int, *, deadline: float) -> socket.socket:
    """Resolve a host and connect to the first of its addresses that answers.

    The resolver itself cannot be interrupted; the deadline holds again as soon as it returns.
    """
    try:
        # Bytes, because a str goes through the idna codec, whose import costs 1.4 ms.
        addresses = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AttemptError(f"Cannot resolve {host}: {error}", sent=False) from error
    failure: OSError = TimeoutError("timed out")
    for waiting, (family, kind, protocol, _, address) in enumerate(addresses, 1 - len(addresses)):
        left = deadline - monotonic()
        if left <= 0:
            break
        # One address that swallows packets leaves half of the time to those behind it.
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(left / 2 if waiting else left)
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AttemptError(f"Cannot connect to {host} port {port}: {failure}", sent=False) from failure


def read_response(receive: Callable[[], bytes], *, name: str, ends_with_close: bool = False) -> tuple[Response, bool]:
    """Read one answer and tell whether the server keeps the connection open.

    Anything but exactly one answer is an `AttemptError` that says what was wrong.

    Args:
        receive: returns what has come, or `b""` at the end of the connection.
        name: the server's name in an error.
        ends_with_close: an answer without Content-Length ends where the connection does.
    """
    data = receive()
    if not data:
        raise AttemptError(f"{name} closed the connection without an answer.", sent=True)
    while (end := data.find(b"\r\n\r\n")) < 0:
        _check_start(data, name)
        more = receive()
        if not more:
            raise _refusal(name, "the connection was closed before the end of its head")
        data += more
    status, headers, persistent = _parse_head(data[:end], name)
    length = _body_length(headers, name)
    if length is None and not ends_with_close:
        raise _refusal(name, "it has no Content-Length")
    body = data[end + 4 :]
    if length is None or len(body) < length:
        # Joined once at the end: for 1 MB that is no slower than a buffer of the known size, which a lying length would
        # make huge, and needs one allocation of that size instead of two.
        pieces, size = [body], len(body)
        while (length is None or size < length) and (more := receive()):
            pieces.append(more)
            size += len(more)
            if length is None and size > MAX_HEAD_BYTES:
                raise _refusal(name, f"it has no Content-Length and is longer than {MAX_HEAD_BYTES} bytes")
        body = b"".join(pieces)
    if length is None:
        return Response(status, headers, body), False
    if len(body) < length:
        raise _refusal(name, f"the connection was closed after {len(body)} of {length} bytes")
    if len(body) > length:
        raise _refusal(name, "more bytes came than its Content-Length says")
    return Response(status, headers, body), persistent


class Connection:
    """An open socket, plain or TLS, that carries one exchange at a time.

    Attributes:
        reusable: True when the last exchange ended cleanly and the server keeps the connection open.
        idle_since: when the connection was put aside; its owner sets it.
    """

    __slots__ = (
        "_deadline",
        "_name",
        "_readable",
        "_socket",
        "_tls",
        "_would_block",
        "idle_since",
        "reusable",
    )

    def __init__(self, connection: socket.socket, *, name: str, would_block: type[OSError] = BlockingIOError) -> None:
        """Take over a connected socket; `would_block` is what its `recv` raises when there is nothing yet."""
        self._socket = connection
        self._name = name
        self._would_block = would_block
        self._tls = would_block is not BlockingIOError
        self._readable = _readability(connection)
        self._deadline = 0.0
        self.idle_since = 0.0
        self.reusable = True

    def exchange(self, message: bytes, *, deadline: float, ends_with_close: bool = False) -> Response:
        """Send a whole request and return the whole answer.

        Args:
            message: head and body of the request.
            deadline: the `monotonic()` time at which the answer must be complete. It bounds sending,
                waiting and receiving together, so a server that drips bytes gains nothing.
            ends_with_close: an answer without Content-Length ends where the connection does.
        """
        self.reusable = False
        self._deadline = deadline
        sent = False
        try:
            rest: bytes | memoryview = message
            while rest:
                self._limit_wait()
                # A send() that fails on a plain socket has queued nothing; under TLS part of a record may have left.
                sent = sent or self._tls
                count = self._socket.send(rest)
                sent = True
                # Mostly the kernel takes all of it at once.
                rest = memoryview(rest)[count:] if count < len(rest) else b""
            response, persistent = read_response(self._receive, name=self._name, ends_with_close=ends_with_close)
        except TimeoutError as error:
            raise AttemptError(f"{self._name} did not answer in time.", sent=sent) from error
        except OSError as error:
            raise AttemptError(f"The connection to {self._name} broke: {error}", sent=sent) from error
        self.reusable = persistent
        return response

    def is_fresh(self) -> bool:
        """Tell, without waiting, whether nothing has happened on an idle connection."""
        if not self._readable():
            return True
        # Under TLS 1.3 the server's session tickets lie unread until something is received; that takes them off.
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)
        except self._would_block:
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Close this process's descriptor. A copy of it in another process stays open."""
        self.reusable = False
        self._socket.close()

    def _limit_wait(self) -> None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _receive(self) -> bytes:
        self._limit_wait()
        return self._socket.recv(_RECEIVE_BYTES)


def _check_start(data: bytes, name: str) -> None:
    # Without these a server that will never send the end of a head would be waited for.
    if data[:7] != b"HTTP/1."[: len(data)]:
        raise _refusal(name, "it is not HTTP/1.1")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise _refusal(name, "a line of its head does not end with CR LF")
    if len(data) > MAX_HEAD_BYTES:
        raise _refusal(name, f"its head is longer than {MAX_HEAD_BYTES} bytes")


def _parse_head(head: bytes, name: str) -> tuple[int, dict[str, str], bool]:
    if len(head) > MAX_HEAD_BYTES:
        raise _refusal(name, f"its head is longer than {MAX_HEAD_BYTES} bytes")
    text = head.decode("latin-1").replace("\t", " ")
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if text.count("\r") != breaks or text.count("\n") != breaks or "\0" in text or not text.isascii():
        raise _refusal(name, "its head holds a lone CR or LF, a NUL or a byte beyond ASCII")
    version, code, reason = lines[0][:9], lines[0][9:12], lines[0][12:13]
    if version not in ("HTTP/1.1 ", "HTTP/1.0 ") or not code.isdecimal() or reason not in ("", " "):
        raise _refusal(name, f"its status line is {lines[0][:40]!r}")
    status = int(code)
    if not 200 <= status < 600:
        raise _refusal(name, f"its status is {status}, which is not a final one")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field, colon, value = line.partition(":")
        if not colon or not field or " " in field:
            raise _refusal(name, f"a line of its head is {line[:40]!r}")
        field = field.lower()
        value = value.strip(" ")
        if field in headers:
            if field == "content-length":
                raise _refusal(name, "it has more than one Content-Length")
            value = f"{headers[field]}, {value}"
        headers[field] = value
    persistent = version == "HTTP/1.1 " and headers.get("connection", "keep-alive").lower() == "keep-alive"
    return status, headers, persistent


def _body_length(headers: dict[str, str], name: str) -> int | None:
    if "transfer-encoding" in headers:
        raise _refusal(name, "it has a Transfer-Encoding")
    if headers.get("content-encoding", "identity") != "identity":
        raise _refusal(name, "it is compressed, which was not asked for")
    text = headers.get("content-length")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise _refusal(name, f"its Content-Length is {text[:40]!r}")
    length = int(text)
    if length > MAX_BODY_BYTES:
        raise _refusal(name, f"its Content-Length of {length} is over {MAX_BODY_BYTES}")
    return length


def _refusal(name: str, reason: str) -> AttemptError:
    return AttemptError(f"The answer of {name} cannot be trusted: {reason}.", sent=True)


def _readability(connection: socket.socket) -> Callable[[], object]:
    if hasattr(select, "poll"):
        # select() refuses descriptors over 1023 and costs twice as much.
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return lambda: poll.poll(0)
    return lambda: select.select([connection], [], [], 0)[0]
