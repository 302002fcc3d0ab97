"""What a user does wrong, end to end: every message names the place and the next step."""

from __future__ import annotations

import re
import socket

import pytest
from botocore.exceptions import ClientError

from jaypie_dynamo import (
    ConfigurationError,
    TransportError,
    ValidationError,
    create_table,
    describe_status,
    destroy_table,
    get_doc_client,
    get_entity,
    is_initialized,
    make_client,
    put_entity,
    query_by_scope,
    use_client,
)
from jaypie_dynamo._transport import _policy

ENTITY = {"model": "m", "id": "1", "scope": "@"}
CALLS = {
    "get": lambda: get_entity(model="m", id="1"),
    "put": lambda: put_entity(entity=ENTITY),
    "query": lambda: query_by_scope(model="m", scope="@"),
    "document": lambda: get_doc_client().call("Scan"),
    "create_table": create_table,
}


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch):
    monkeypatch.setattr(_policy.time, "sleep", lambda _: None)


def test_not_initialized():
    assert not is_initialized()
    for call in CALLS.values():
        with pytest.raises(
            ConfigurationError, match=r"^DynamoDB client not initialized\. Call init_client\(\) first\.$"
        ):
            call()
    assert "Call init_client() first" in describe_status()["problem"]


def test_no_table_name(engine, transport):
    with (
        make_client(endpoint=engine.endpoint, transport=transport, credentials=("a", "b")) as client,
        use_client(client),
    ):
        for call in CALLS.values():
            with pytest.raises(
                ConfigurationError, match=r"No table name\. .*init_client\(table_name=…\).*DYNAMODB_TABLE_NAME"
            ):
                call()
        assert "DYNAMODB_TABLE_NAME" in describe_status()["problem"]


def test_missing_table(engine, transport):
    with (
        make_client(
            table_name="no-such-table",
            region="eu-west-1",
            endpoint=engine.endpoint,
            transport=transport,
            credentials=("a", "b"),
        ) as client,
        use_client(client),
    ):
        place = engine.endpoint or "eu-west-1"
        for name in ("get", "put", "query", "document"):
            with pytest.raises(ClientError) as caught:
                CALLS[name]()
            assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
            assert f"'no-such-table' at {place}: check init_client(table_name=…, region=…)" in str(caught.value)
            assert "create it with create_table()" in str(caught.value)
        status = describe_status()
        assert (status["reachable"], status["table"]) == (True, None)
        assert "create_table()" in status["problem"]
        assert destroy_table(table_name="no-such-table") is False


@pytest.mark.usefixtures("client")
def test_bad_values_name_their_place():
    with pytest.raises(ValidationError, match=r"^state\.items\[3\]\.price: NaN and infinity .* store None or a string"):
        put_entity(entity={**ENTITY, "state": {"items": [0, 1, 2, {"price": float("nan")}]}})
    with pytest.raises(
        ValidationError, match=r"^scope is missing or empty; it must be a non-empty str; the root is APEX"
    ):
        put_entity(entity={"model": "m", "id": "1"})
    with pytest.raises(ValidationError, match="entity must be a mapping of attribute names to values, not a list"):
        put_entity(entity=[ENTITY])
    with pytest.raises(ValidationError, match=r"^id has 1025 bytes; DynamoDB allows 1024"):
        get_entity(model="m", id="x" * 1025)
    with pytest.raises(ValidationError, match=r"'DescribeTable' is not one of .*Query.*; get_client"):
        get_doc_client().call("DescribeTable")
    assert get_entity(model="m", id="1") is None


# The engine is never asked here: a socket that nobody listens at, and no credentials to be found.


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_unreachable_endpoint(transport):
    port = unused_port()
    endpoint = f"http://127.0.0.1:{port}"
    with (
        make_client(table_name="t", endpoint=endpoint, transport=transport, max_attempts=2) as client,
        use_client(client),
    ):
        for name in CALLS:
            with pytest.raises(TransportError, match=r"failed.*: .*\(attempt 2 of 2\)\.") as caught:
                CALLS[name]()
            assert type(caught.value) is TransportError  # nothing was sent, so nothing is in doubt
            assert re.search(rf"127\.0\.0\.1(:| port ){port}", str(caught.value))
            assert str(caught.value).endswith("Is the endpoint right, and can this machine reach it?")
        status = describe_status()
        assert (status["reachable"], status["table"]) == (False, None)
        assert str(port) in status["problem"]


def test_no_credentials():
    with (
        make_client(table_name="t", region="us-east-1", transport="botocore") as client,
        use_client(client),
    ):
        for call in CALLS.values():
            with pytest.raises(ConfigurationError) as caught:
                call()
            for words in ("Unable to locate credentials", "AWS_ACCESS_KEY_ID", "credentials= to init_client()"):
                assert words in str(caught.value)
        status = describe_status()
        assert status["reachable"] is False
        assert "Unable to locate credentials" in status["problem"]
