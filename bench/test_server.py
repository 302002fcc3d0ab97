from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import zlib
from typing import Any

import pytest

from bench.items import QUERY_SIZES, typed_item, typed_query
from bench.server import ROOT, Server, serve


def ask(connection: http.client.HTTPConnection, operation: str, body: Any) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request("POST", "/", json.dumps(body), {"X-Amz-Target": f"DynamoDB_20120810.{operation}"})
    answer = connection.getresponse()
    return answer, answer.read()


def connect(server: Server) -> http.client.HTTPConnection:
    scheme, _, host = server.endpoint.partition("://")
    if scheme == "http":
        return http.client.HTTPConnection(host, timeout=5)
    return http.client.HTTPSConnection(host, timeout=5, context=ssl.create_default_context(cafile=server.ca_path))


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("PutItem", {"Item": typed_item()}, {}),
        ("DeleteItem", {}, {}),
        ("DeleteItem", {"ReturnValues": "ALL_OLD"}, {"Attributes": typed_item()}),
        ("UpdateItem", {}, {}),
        ("UpdateItem", {"ReturnValues": "ALL_NEW"}, {"Attributes": typed_item()}),
        ("GetItem", {}, {"Item": typed_item()}),
        ("BatchWriteItem", {"RequestItems": {}}, {"UnprocessedItems": {}}),
    ],
)
@pytest.mark.parametrize("secured", [False, True], ids=["http", "tls"])
def test_answers(
    operation: str, body: Any, expected: Any, *, secured: bool, server: Server, tls_server: Server
) -> None:
    connection = connect(tls_server if secured else server)
    answer, content = ask(connection, operation, body)
    assert answer.status == 200
    assert answer.getheader("content-type") == "application/x-amz-json-1.0"
    assert int(answer.getheader("x-amz-crc32", "-1")) == zlib.crc32(content)
    assert len(answer.getheader("x-amzn-RequestId", "")) == 52
    assert json.loads(content) == expected
    connection.close()


def test_describe_table_names_the_indexes(server: Server) -> None:
    connection = connect(server)
    table = json.loads(ask(connection, "DescribeTable", {"TableName": "bench"})[1])["Table"]
    assert len(table["GlobalSecondaryIndexes"]) == 5
    assert {row["AttributeName"] for row in table["AttributeDefinitions"]} >= {"model", "id", "sequence"}
    connection.close()


@pytest.mark.parametrize("size", QUERY_SIZES)
@pytest.mark.parametrize("descending", [True, False])
def test_pages_are_what_the_index_would_give(size: int, *, descending: bool, server: Server) -> None:
    connection = connect(server)
    answer, content = ask(connection, "Query", {**typed_query(size), "ScanIndexForward": not descending})
    page = json.loads(content)
    assert int(answer.getheader("x-amz-crc32", "-1")) == zlib.crc32(content)
    assert (page["Count"], page["ScannedCount"], len(page["Items"])) == (size, size, size)
    sequences = [int(item["sequence"]["N"]) for item in page["Items"]]
    assert sequences == sorted(sequences, reverse=descending)
    assert len({item["id"]["S"] for item in page["Items"]}) == size
    assert {item["indexScope"]["S"] for item in page["Items"]} == {"@#record"}
    assert {len(item) for item in page["Items"]} == {12}
    connection.close()


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [("Query", {"Limit": 7}, "Limit must be one of"), ("Scan", {}, "no canned answer to 'Scan'")],
)
def test_refuses_what_it_has_no_answer_to(operation: str, body: Any, message: str, server: Server) -> None:
    connection = connect(server)
    answer, content = ask(connection, operation, body)
    assert answer.status == 400
    assert message in json.loads(content)["message"]
    connection.close()


def test_counts_by_connection() -> None:
    with serve() as server:
        connections = [connect(server), connect(server)]
        for connection, requests in zip(connections, (3, 1), strict=True):
            for _ in range(requests):
                _, content = ask(connection, "GetItem", {"Key": {}})
        stats = server.stats()
        first, second = stats["connections"]
        assert (first["requests"], second["requests"]) == (3, 1)
        assert first["bytes_in"] == 3 * second["bytes_in"] == first["wire_bytes_in"]
        assert first["bytes_out"] == 3 * second["bytes_out"] > 3 * len(content)
        # http.client sends the head and the body apart.
        assert (first["packets_in"], first["packets_out"]) == (6, 3)
        assert stats["last_body"] == '{"Key": {}}'
        assert stats["cpu_s"] > 0
        totals = server.totals()
        assert (totals["requests"], totals["connections"]) == (4, 2)
        for connection in connections:
            connection.close()


def test_a_broken_request_closes_its_connection_alone(server: Server) -> None:
    broken, sound = connect(server), connect(server)
    assert ask(sound, "GetItem", {})[0].status == 200
    broken.request("GET", "/")
    with pytest.raises(http.client.RemoteDisconnected):
        broken.getresponse()
    assert ask(sound, "GetItem", {})[0].status == 200
    broken.close()
    sound.close()


def test_ends_with_its_parent() -> None:
    # The parent is killed between `yield` and its own clean-up.
    program = "\n".join(
        [
            "import os",
            "from bench.server import serve",
            "with serve() as server:",
            "    print(server._process.pid, flush=True)",
            "    os._exit(1)",
        ]
    )
    parent = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    # The server held the other end of the captured standard error: `run` returned, so it is gone.
    assert parent.returncode == 1
    assert int(parent.stdout) > 0


def test_ends_after_its_lifetime() -> None:
    with serve(lifetime_s=1) as server:
        assert server._process.wait(timeout=10) == -14  # SIGALRM
