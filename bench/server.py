"""A loopback server that answers like DynamoDB, from bytes built beforehand.

    with serve(tls=True) as server:
        ...                     # server.endpoint, server.ca_path
        print(server.stats())

It runs in a process of its own, listens on 127.0.0.1 alone, ends with its parent (its standard input closes) and
after `lifetime_s` at the latest. It checks no signature and keeps no state but its counters: what it costs must
stay small beside what its clients cost, so a request is one search in its head and one `sendall`.

`python -m bench.server --tls` starts one by hand. The process itself imports only the standard library; the
certificates are made by `serve`, with trustme.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from itertools import count
from pathlib import Path

from bench.items import QUERY_SIZES, TABLE_NAME, typed_item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
LIFETIME_S = 1800

_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_TARGET = re.compile(rb"(?i)\r\nx-amz-target: *DynamoDB_20120810\.(\w+)")
_LIMIT = re.compile(rb'"Limit" *: *(\d+)')
_DESCENDING = re.compile(rb'"ScanIndexForward" *: *false')
_WHOLE_ITEM = re.compile(rb'"ReturnValues" *: *"ALL_(NEW|OLD)"')

# struct tcp_info of linux/tcp.h, the fields this file reads: (offset, format)
# https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/tcp.h#L214
_TCP_INFO_FIELDS = {"wire_bytes_in": (128, "=Q"), "packets_in": (152, "=I"), "packets_out": (156, "=I")}
_TCP_INFO_SIZE = 160


# ---------------------------------------------------------------------------------------------- what it answers


def _text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _page(size: int, *, ascending: bool) -> bytes:
    items = [typed_item(number) for number in range(size)]
    if ascending:
        items.reverse()
    return _text({"Count": size, "Items": items, "ScannedCount": size})


def _table_description() -> dict[str, Any]:
    indexes = ("indexScope", "indexAlias", "indexClass", "indexType", "indexXid")
    strings = ("model", "id", *indexes)
    return {
        "TableName": TABLE_NAME,
        "TableStatus": "ACTIVE",
        "TableArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE_NAME}",
        "CreationDateTime": 1767744000.0,
        "ItemCount": 1000,
        "TableSizeBytes": 400000,
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "AttributeDefinitions": [
            *({"AttributeName": name, "AttributeType": "S"} for name in strings),
            {"AttributeName": "sequence", "AttributeType": "N"},
        ],
        "KeySchema": [
            {"AttributeName": "model", "KeyType": "HASH"},
            {"AttributeName": "id", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "IndexStatus": "ACTIVE",
                "KeySchema": [
                    {"AttributeName": name, "KeyType": "HASH"},
                    {"AttributeName": "sequence", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in indexes
        ],
    }


class Answers:
    """Complete answers by request; only `Date` and the request id are put in when one is sent."""

    def __init__(self) -> None:
        empty = self._framed(200, b"{}")
        attributes = self._framed(200, _text({"Attributes": typed_item()}))
        self._plain = {
            b"PutItem": empty,
            b"UpdateItem": empty,
            b"DeleteItem": empty,
            b"GetItem": self._framed(200, _text({"Item": typed_item()})),
            b"BatchWriteItem": self._framed(200, _text({"UnprocessedItems": {}})),
            b"DescribeTable": self._framed(200, _text({"Table": _table_description()})),
        }
        self._whole = {b"UpdateItem": attributes, b"DeleteItem": attributes}
        self._pages = {
            (size, ascending): self._framed(200, _page(size, ascending=ascending))
            for size in QUERY_SIZES
            for ascending in (True, False)
        }
        self._request_ids = count(1)
        self._date = b""
        self._date_second = 0

    @staticmethod
    def _framed(status: int, body: bytes) -> tuple[bytes, bytes, bytes]:
        reason = {200: "OK", 400: "Bad Request"}[status]
        before = f"HTTP/1.1 {status} {reason}\r\nServer: Server\r\nDate: "
        after = (
            "\r\nContent-Type: application/x-amz-json-1.0"
            f"\r\nContent-Length: {len(body)}"
            "\r\nConnection: keep-alive"
            f"\r\nx-amz-crc32: {zlib.crc32(body)}"
            "\r\nx-amzn-RequestId: "
        )
        return before.encode(), after.encode(), body

    def find(self, operation: bytes, body: bytes) -> bytes:
        """The whole answer to one request."""
        if operation == b"Query":
            limit = _LIMIT.search(body)
            size = int(limit[1]) if limit else 100
            frame = self._pages.get((size, _DESCENDING.search(body) is None))
            if frame is None:
                frame = self._refusal(f"Limit must be one of {QUERY_SIZES}, not {size}")
        elif operation in self._whole and _WHOLE_ITEM.search(body):
            frame = self._whole[operation]
        else:
            frame = self._plain.get(operation) or self._refusal(f"no canned answer to {operation.decode()!r}")
        before, after, content = frame
        return b"".join((before, self._now(), after, b"%052X\r\n\r\n" % next(self._request_ids), content))

    def _refusal(self, message: str) -> tuple[bytes, bytes, bytes]:
        error = {"__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": message}
        return self._framed(400, _text(error))

    def _now(self) -> bytes:
        second = int(time.time())
        if second != self._date_second:
            self._date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode()
            self._date_second = second
        return self._date


# ------------------------------------------------------------------------------------------- the server process


class Connection(threading.Thread):
    """One client's connection: answers until it closes, and counts."""

    def __init__(self, raw: socket.socket, answers: Answers, context: ssl.SSLContext | None) -> None:
        super().__init__(daemon=True)
        self._raw: socket.socket | None = raw
        self._answers = answers
        self._context = context
        self._at_close: dict[str, int] = {}
        self.requests = self.receives = self.bytes_in = self.bytes_out = 0
        self.error = ""
        self.last_body = b""

    def run(self) -> None:
        assert self._raw is not None
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context is None:
                self._converse(self._raw)
            else:
                # The raw socket stays open under a copy, so that its TCP counters can be read to the end.
                with self._context.wrap_socket(self._raw.dup(), server_side=True) as secured:
                    self._converse(secured)
        except (OSError, ValueError) as error:
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self._at_close = self._wire()
            raw, self._raw = self._raw, None
            raw.close()

    def _converse(self, connection: socket.socket) -> None:
        answers, received = self._answers, b""
        while True:
            while (head_end := received.find(b"\r\n\r\n")) < 0:
                chunk = connection.recv(1 << 18)
                if not chunk:
                    return
                self.receives += 1
                self.bytes_in += len(chunk)
                received += chunk
            length = _CONTENT_LENGTH.search(received, 0, head_end)
            target = _TARGET.search(received, 0, head_end)
            if length is None or target is None:
                raise ValueError(f"not a DynamoDB request: {received[:80]!r}")
            end = head_end + 4 + int(length[1])
            while len(received) < end:
                chunk = connection.recv(1 << 18)
                if not chunk:
                    return
                self.receives += 1
                self.bytes_in += len(chunk)
                received += chunk
            self.last_body = received[head_end + 4 : end]
            received = received[end:]
            answer = answers.find(target[1], self.last_body)
            self.requests += 1
            self.bytes_out += len(answer)
            connection.sendall(answer)

    def _wire(self) -> dict[str, int]:
        raw = self._raw
        if raw is None:
            return self._at_close
        if not hasattr(socket, "TCP_INFO"):
            return {}
        try:
            info = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        except OSError:  # closed by its own thread in this moment
            return self._at_close
        if len(info) < _TCP_INFO_SIZE:
            return {}
        return {name: struct.unpack_from(form, info, at)[0] for name, (at, form) in _TCP_INFO_FIELDS.items()}

    def counts(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "receives": self.receives,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "error": self.error,
            **self._wire(),
        }


def _accept(listener: socket.socket, connections: list[Connection], context: ssl.SSLContext | None) -> None:
    answers = Answers()
    while True:
        raw, _ = listener.accept()
        connection = Connection(raw, answers, context)
        connections.append(connection)
        connection.start()


def _run(tls_chain: str, lifetime_s: int) -> None:
    signal.alarm(lifetime_s)  # its default action ends the process
    context = None
    if tls_chain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls_chain)
    connections: list[Connection] = []
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, connections, context), daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:  # ends when the parent does
            if line.strip() == "stats":
                usage = resource.getrusage(resource.RUSAGE_SELF)
                bodies = [connection.last_body for connection in connections if connection.last_body]
                answer = {
                    "cpu_s": usage.ru_utime + usage.ru_stime,
                    "last_body": bodies[-1].decode() if bodies else "",
                    "connections": [connection.counts() for connection in connections],
                }
                print(json.dumps(answer), flush=True)
    os._exit(0)  # daemon threads may sit in recv; nothing is left to save


# ---------------------------------------------------------------------------------------------- the parent's side


class Server:
    """A running server, seen from the process that started it."""

    def __init__(self, endpoint: str, ca_path: str | None, process: subprocess.Popen[str]) -> None:
        self.endpoint = endpoint
        self.ca_path = ca_path
        self._process = process

    def stats(self) -> dict[str, Any]:
        """What came in so far: CPU time of the server, its last request body, counters a connection."""
        commands, answers = _pipes(self._process)
        commands.write("stats\n")
        commands.flush()
        stats: dict[str, Any] = json.loads(answers.readline())
        return stats

    def totals(self) -> dict[str, float]:
        """The counters summed over all connections, with their number and the server's CPU time."""
        stats = self.stats()
        connections = stats["connections"]
        names = ("requests", "receives", "bytes_in", "bytes_out", *_TCP_INFO_FIELDS)
        totals: dict[str, float] = {name: sum(c.get(name, 0) for c in connections) for name in names}
        return {**totals, "connections": len(connections), "cpu_s": stats["cpu_s"]}


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


@contextlib.contextmanager
def serve(*, tls: bool = False, lifetime_s: int = LIFETIME_S) -> Iterator[Server]:
    """Start a server, yield it, stop it."""
    with tempfile.TemporaryDirectory(prefix="bench-server-") as folder:
        ca_path, chain = _make_certificates(Path(folder)) if tls else (None, "")
        command = [sys.executable, "-m", "bench.server", "--serve", chain, "--lifetime", str(lifetime_s)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                port = int(_pipes(process)[1].readline())
                yield Server(f"{'https' if tls else 'http'}://{HOST}:{port}", ca_path, process)
            finally:
                process.kill()


def _make_certificates(folder: Path) -> tuple[str, str]:
    # As at AWS: RSA keys, and an intermediate between the root and the server.
    import trustme

    root = trustme.CA(key_type=trustme.KeyType.RSA)
    leaf = root.create_child_ca(key_type=trustme.KeyType.RSA).issue_cert(
        HOST, "localhost", key_type=trustme.KeyType.RSA
    )
    ca_path, chain_path = folder / "ca.pem", folder / "chain.pem"
    root.cert_pem.write_to_path(ca_path)
    leaf.private_key_and_cert_chain_pem.write_to_path(chain_path)
    return str(ca_path), str(chain_path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.server", description=__doc__.split("\n")[0])
    parser.add_argument("--tls", action="store_true", help="serve HTTPS, with a certificate made on the spot")
    parser.add_argument("--lifetime", type=int, default=LIFETIME_S, help="seconds after which it ends by itself")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _run(arguments.serve, arguments.lifetime)
        return
    with serve(tls=arguments.tls, lifetime_s=arguments.lifetime) as server:
        print(server.endpoint)
        if server.ca_path:
            print(f"AWS_CA_BUNDLE={server.ca_path} SSL_CERT_FILE={server.ca_path}")
        print("Enter shows the counters, Ctrl-D ends.", flush=True)
        for _ in sys.stdin:
            print(json.dumps(server.totals(), indent=2), flush=True)


if __name__ == "__main__":
    main()
