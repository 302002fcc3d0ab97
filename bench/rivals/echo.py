"""The wire alone: the bytes of the floor out and in, signed once beforehand, never parsed."""

from __future__ import annotations

import json

from bench.items import TABLE_NAME, key_of, typed_item, typed_query
from bench.rivals.floor import make_signer, open_connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    connection, host = open_connection(endpoint)
    sign = make_signer(host)

    def exchange(operation: str, parameters: dict[str, Any]) -> Callable[[], bytes]:
        request = sign(operation, json.dumps(parameters, separators=(",", ":")).encode())
        length = 0

        def call() -> bytes:
            nonlocal length
            connection.sendall(request)
            received = connection.recv(262144)
            if not length:  # every answer to these bytes is as long as the first
                while (head_end := received.find(b"\r\n\r\n")) < 0:
                    received += connection.recv(262144)
                at = received.index(b"Content-Length: ") + 16
                length = head_end + 4 + int(received[at : received.index(b"\r", at)])
            have = len(received)
            while have < length:
                have += len(connection.recv(262144))
            return received

        return call

    queries: dict[int, Callable[[], bytes]] = {}

    def query(limit: int) -> bytes:
        if limit not in queries:
            queries[limit] = exchange("Query", typed_query(limit))
        return queries[limit]()

    item = typed_item()
    return {
        "put": exchange("PutItem", {"TableName": TABLE_NAME, "Item": item}),
        "get": exchange("GetItem", {"TableName": TABLE_NAME, "Key": key_of(item)}),
        "query": query,
        "close": connection.close,
    }
