"""Tables made, compared and removed on each engine."""

from __future__ import annotations

import contextlib
import json
import uuid
from typing import Any

import pytest

from jaypie_dynamo import (
    create_table,
    describe_status,
    destroy_table,
    get_client,
    init_client,
    put_entity,
    query_by_scope,
    reset_client,
    table_schema,
)

INDEXES = ["indexScope", "indexAlias", "indexClass", "indexType", "indexXid"]


@pytest.fixture
def real(engine, transport):
    """Give the low-level client of a current client whose table is not there yet."""
    init_client(
        table_name=f"test-{uuid.uuid4().hex}",
        region="us-east-1",
        endpoint=engine.endpoint,
        credentials=("local", "local"),  # in process moto asks for some too
        transport=transport,
    )
    yield get_client()
    reset_client()


@pytest.fixture
def new_table(real):
    """Make names of tables that are removed in the end."""
    names: list[str] = []

    def name() -> str:
        names.append(f"test-{uuid.uuid4().hex}")
        return names[-1]

    yield name
    for made in names:
        with contextlib.suppress(real.exceptions.ResourceNotFoundException):
            real.delete_table(TableName=made)


def describe(real: Any, name: str) -> Any:
    return real.describe_table(TableName=name)["Table"]


def test_table_comes_and_goes(real, engine):
    name = describe_status()["table_name"]
    missing = describe_status()
    assert (missing["reachable"], missing["table"]) == (True, None)
    assert "create it with create_table()" in missing["problem"]

    created = {"table_name": name, "created": True, "status": "ACTIVE", "differences": []}
    assert create_table() == created
    table = describe(real, name)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == set(INDEXES)
    assert create_table() == {**created, "created": False}

    put_entity(entity={"model": "m", "id": "1", "scope": "@"})
    assert [entity["id"] for entity in query_by_scope(model="m", scope="@").items] == ["1"]
    status = describe_status()
    assert status == {
        "initialized": True,
        "table_name": name,
        "region": "us-east-1",
        "endpoint": engine.endpoint,
        "transport": status["transport"],
        "transport_reason": status["transport_reason"],
        "reachable": True,
        "table": {
            "status": "ACTIVE",
            "item_count": 1,
            "size_bytes": status["table"]["size_bytes"],
            "differences": [],
        },
        "problem": None,
    }
    assert status["transport"]
    assert status["transport_reason"]

    assert destroy_table(table_name=name) is True
    assert destroy_table(table_name=name) is False
    assert describe_status()["table"] is None


def test_provisioned_table(real, new_table):
    name = new_table()
    created = create_table(table_name=name, billing_mode="PROVISIONED")
    assert (created["created"], created["differences"]) == (True, [])
    table = describe(real, name)
    for holder in (table, *table["GlobalSecondaryIndexes"]):
        throughput = holder["ProvisionedThroughput"]
        assert (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (5, 5)


def test_expiry_is_enabled(real, new_table):
    name = new_table()
    create_table(table_name=name, ttl_attribute="expires")
    told = real.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert told["AttributeName"] == "expires"
    assert told["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    plain = new_table()
    create_table(table_name=plain)
    assert real.describe_time_to_live(TableName=plain)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"


def test_table_that_exists_is_compared_and_left_alone(real, new_table):
    definition = json.loads(table_schema("json"))
    name = new_table()
    definition["KeySchema"] = definition["KeySchema"][:1]
    definition["AttributeDefinitions"] = [
        *(entry for entry in definition["AttributeDefinitions"] if entry["AttributeName"] not in ("id", "indexAlias")),
        {"AttributeName": "other", "AttributeType": "N"},
    ]
    scope, _, record_class, kind, xid = definition["GlobalSecondaryIndexes"]
    scope["Projection"] = {"ProjectionType": "KEYS_ONLY"}
    kind["KeySchema"] = kind["KeySchema"][:1]
    xid["KeySchema"][1]["AttributeName"] = "other"
    definition["GlobalSecondaryIndexes"] = [scope, record_class, kind, xid]
    real.create_table(TableName=name, **definition)
    before = describe(real, name)
    compared = create_table(table_name=name)
    assert compared == {
        "table_name": name,
        "created": False,
        "status": "ACTIVE",
        "differences": [
            "the table's key is model, not model + id",
            "the index 'indexScope' does not project all attributes",
            "the index 'indexAlias' is missing",
            "the index 'indexType' has the key indexType, not indexType + sequence",
            "the index 'indexXid' has the key indexXid + other, not indexXid + sequence",
        ],
    }
    assert describe(real, name)["GlobalSecondaryIndexes"] == before["GlobalSecondaryIndexes"]


def test_published_schema_makes_the_same_table(real, new_table):
    name = new_table()
    real.create_table(TableName=name, **json.loads(table_schema("json")))
    assert create_table(table_name=name) == {
        "table_name": name,
        "created": False,
        "status": "ACTIVE",
        "differences": [],
    }
