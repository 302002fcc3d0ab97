"""What an operation may cost, in figures that are the same on every machine: calls, sends, bytes, requests, modules.

Time is measured in `bench/`; here a budget fails. A budget that is raised says why beside the number.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from servers import Server, answering

from jaypie_dynamo import get_entity, init_client, put_entity, query_by_scope

PACKAGE = Path(__file__).parent.parent / "jaypie_dynamo"

ENTITY = {
    "model": "record",
    "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "scope": "@",
    "sequence": 1767744000000,
    "name": "Daily log of the observatory",
    "alias": "log-000000",
    "createdAt": "2026-01-07T00:00:00.000Z",
    "updatedAt": "2026-01-07T09:30:15.250Z",
    "status": "open",
    "score": 98,
}

# Python function calls, counted by `sys.setprofile` on transport `direct`, once everything is warm.
CALLS = {"put": 66, "get": 54, "query": 94}
CALLS_PER_QUERY_ITEM = 1.05  # the conversion of the item, and a few for each 64 KB received

# Head and body of the request, in bytes, without credentials of a session; and how often the socket is written to.
BYTES = {"put": 1150, "get": 800, "query": 950}
SENDS = {"put": 1, "get": 1, "query": 1}

# What the first request loads on transport `direct` over plain HTTP, beyond what AWS's runtime client has loaded.
FIRST_REQUEST = {
    "__future__",
    "_contextvars",
    "_hashlib",
    "_socket",
    "array",
    "binascii",
    "contextvars",
    "errno",
    "importlib",
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "math",
    "select",
    "selectors",
    "socket",
    "jaypie_dynamo",
    "jaypie_dynamo._client",
    "jaypie_dynamo._entities",
    "jaypie_dynamo._errors",
    "jaypie_dynamo._expressions",
    "jaypie_dynamo._keys",
    "jaypie_dynamo._marshal",
    "jaypie_dynamo._operations",
    "jaypie_dynamo._schema",
    "jaypie_dynamo._stamps",
    "jaypie_dynamo._transport",
    "jaypie_dynamo._transport._attempt",
    "jaypie_dynamo._transport._credentials",
    "jaypie_dynamo._transport._deadline",
    "jaypie_dynamo._transport._direct",
    "jaypie_dynamo._transport._endpoint",
    "jaypie_dynamo._transport._http",
    "jaypie_dynamo._transport._policy",
    "jaypie_dynamo._transport._pool",
    "jaypie_dynamo._transport._signer",
}


def typed(entity):
    return {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in entity.items()}


def page(count):
    items = [typed({**ENTITY, "id": str(number), "indexScope": "@#record"}) for number in range(count)]
    return json.dumps({"Items": items, "Count": count}).encode()


@pytest.fixture
def serve():
    """Make the current client, on transport `direct`, get one answer to every request."""
    servers = []

    def use(body):
        server = Server(answering(body))
        servers.append(server)
        init_client(table_name="table", endpoint=server.url, transport="direct")
        return server

    yield use
    init_client(table_name="none").close()
    for server in servers:
        server.close()


OPERATIONS = {
    "put": (b"{}", lambda: put_entity(entity=ENTITY)),
    "get": (json.dumps({"Item": typed(ENTITY)}).encode(), lambda: get_entity(model="record", id=ENTITY["id"])),
    "query": (page(1), lambda: query_by_scope(model="record", scope="@", limit=1)),
}


def count_calls(operation):
    calls = 0

    def profile(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    operation()
    operation()
    sys.setprofile(profile)
    try:
        operation()
    finally:
        sys.setprofile(None)
    return calls - 1  # the operation's own lambda


@pytest.mark.parametrize("name", OPERATIONS)
def test_function_calls(serve, name):
    body, operation = OPERATIONS[name]
    serve(body)
    assert count_calls(operation) <= CALLS[name]


def test_function_calls_per_item_of_a_query(serve):
    def calls_for(count):
        serve(page(count))
        return count_calls(lambda: query_by_scope(model="record", scope="@", limit=count))

    assert (calls_for(110) - calls_for(10)) / 100 <= CALLS_PER_QUERY_ITEM


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_write_to_the_socket_and_few_bytes(serve, name, monkeypatch):
    body, operation = OPERATIONS[name]
    server = serve(body)
    operation()
    warm = len(server.received)
    sends = []
    own = threading.get_ident()
    for method in ("send", "sendall", "sendmsg"):
        original = getattr(socket.socket, method)

        def counted(self, *arguments, original=original):
            if threading.get_ident() == own:
                sends.append(original)
            return original(self, *arguments)

        monkeypatch.setattr(socket.socket, method, counted)
    operation()
    monkeypatch.undo()
    assert len(sends) == SENDS[name]
    assert len(server.received) - warm <= BYTES[name]
    assert server.accepted == 1


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the standard library's own imports differ by version")
def test_first_request_loads_exactly(serve):
    server = serve(b"{}")
    probe = f"""
import decimal, enum, json, logging, re, threading, traceback, sys
before = set(sys.modules)
sys.path.insert(0, {str(PACKAGE.parent)!r})
import jaypie_dynamo
jaypie_dynamo.init_client(table_name="t", endpoint={server.url!r}, transport="auto")
jaypie_dynamo.put_entity(entity={ENTITY!r})
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    command = [sys.executable, "-I", "-S", "-c", probe]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(json.loads(told.stdout)) == FIRST_REQUEST
