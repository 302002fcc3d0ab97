"""Clients over real sockets: nothing stays open, and a client that was passed in is its owner's."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import boto3
import pytest

import jaypie_dynamo
from jaypie_dynamo import (
    Client,
    describe_status,
    get_client,
    get_entity,
    init_client,
    make_client,
    put_entity,
    reset_client,
    use_client,
)

ROOT = Path(jaypie_dynamo.__file__).parents[1]


def connections(port: int) -> int:
    """Count the sockets of this process that are connected to a port."""
    found = 0
    for candidate in gc.get_objects():
        if isinstance(candidate, socket.socket) and candidate.fileno() != -1:
            try:
                found += candidate.getpeername()[1] == port
            except OSError:
                continue
    return found


def leave(client: Client) -> None:
    with client:
        pass


ENDINGS = {
    "close": lambda client: client.close(),
    "with": leave,
    "reset_client": lambda _: reset_client(),
    "init_client": lambda _: init_client(table_name="other"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_connection_is_left_open(ending, dynamodb_local_endpoint, transport):
    port = int(dynamodb_local_endpoint.rpartition(":")[2])
    client = init_client(table_name="no-such-table", endpoint=dynamodb_local_endpoint, transport=transport)
    before = connections(port)
    assert describe_status()["reachable"]
    assert get_client().list_tables(Limit=1)
    assert connections(port) > before
    ENDINGS[ending](client)
    assert connections(port) == before
    reset_client()


def test_interpreter_exits_without_a_word(dynamodb_local_endpoint, transport):
    script = f"""
        from jaypie_dynamo import describe_status, init_client
        init_client(table_name="no-such-table", endpoint="{dynamodb_local_endpoint}", transport="{transport}")
        assert describe_status()["reachable"]
    """
    # The development mode tells of sockets that are only collected, and of errors on the way out.
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_client_that_was_passed_is_used_and_stays_open(engine, client):
    session = boto3.Session("local", "local", region_name="us-east-1")
    owner = session.client("dynamodb", endpoint_url=engine.endpoint)
    with make_client(table_name=client.table_name, client=owner) as passed, use_client(passed):
        put_entity(entity={"model": "m", "id": "1", "scope": "@", "raw": b"\x00"})
        assert get_client() is owner
    key = {"model": {"S": "m"}, "id": {"S": "1"}}
    assert owner.get_item(TableName=client.table_name, Key=key)["Item"]["raw"] == {"B": b"\x00"}
    assert get_entity(model="m", id="1")["raw"] == b"\x00"
    owner.close()
