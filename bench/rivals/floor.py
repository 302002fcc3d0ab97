"""The floor: sign, send, read, `json.loads`. No retries, no checks, no conversion of values.

What a correct client cannot go below by much. It is a bare script on purpose and trusts its server.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import json
import os
import socket
import time
from hashlib import sha256

from bench.items import TABLE_NAME, key_of, typed_item, typed_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    connection, host = open_connection(endpoint)
    sign = make_signer(host)

    def call(operation: str, parameters: dict[str, Any]) -> Any:
        connection.sendall(sign(operation, json.dumps(parameters, separators=(",", ":")).encode()))
        return json.loads(read_answer(connection))

    item = typed_item()
    return {
        "put": lambda: call("PutItem", {"TableName": TABLE_NAME, "Item": item}),
        "get": lambda: call("GetItem", {"TableName": TABLE_NAME, "Key": key_of(item)})["Item"],
        "query": lambda limit: call("Query", typed_query(limit))["Items"],
        "close": connection.close,
    }


def open_connection(endpoint: str) -> tuple[socket.socket, str]:
    scheme, _, host = endpoint.partition("://")
    name, _, port = host.partition(":")
    connection = socket.create_connection((name, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "https":
        import ssl  # not paid for over plain HTTP

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(os.environ["AWS_CA_BUNDLE"])
        connection = context.wrap_socket(connection, server_hostname=name)
    return connection, host


def make_signer(host: str) -> Callable[[str, bytes], bytes]:
    """A function that turns an operation and its body into the bytes of a signed request."""
    key_id, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    token, region = os.environ["AWS_SESSION_TOKEN"], os.environ["AWS_REGION"]
    key, key_day = b"", ""

    def sign(operation: str, body: bytes) -> bytes:
        nonlocal key, key_day
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        if now[:8] != key_day:
            key_day = now[:8]
            key = f"AWS4{secret}".encode()
            for part in (key_day, region, "dynamodb", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
        scope = f"{key_day}/{region}/dynamodb/aws4_request"
        canonical = (
            "POST\n/\n\n"
            f"content-type:application/x-amz-json-1.0\nhost:{host}\nx-amz-date:{now}\n"
            f"x-amz-security-token:{token}\nx-amz-target:DynamoDB_20120810.{operation}\n"
            f"\n{_SIGNED_HEADERS}\n{sha256(body).hexdigest()}"
        )
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        head = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"X-Amz-Date: {now}\r\nX-Amz-Security-Token: {token}\r\n"
            f"X-Amz-Target: DynamoDB_20120810.{operation}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={key_id}/{scope}, "
            f"SignedHeaders={_SIGNED_HEADERS}, Signature={signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return sign


def read_answer(connection: socket.socket) -> bytes:
    """The body of one answer; anything but 200 is an error."""
    received = connection.recv(65536)
    while (head_end := received.find(b"\r\n\r\n")) < 0:
        received += connection.recv(65536)
    head = received[:head_end]
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(head.decode())
    at = head.index(b"Content-Length: ") + 16
    length = int(head[at : head.index(b"\r", at)])
    chunks, have = [received[head_end + 4 :]], len(received) - head_end - 4
    while have < length:
        chunk = connection.recv(262144)
        if not chunk:
            raise RuntimeError("the answer ended early")
        chunks.append(chunk)
        have += len(chunk)
    return b"".join(chunks)
