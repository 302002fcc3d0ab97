"""Every operation of the document client, plain values in and out, on each engine."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from jaypie_dynamo import get_doc_client

RAW = b"\x00\xff"
FULL = {
    "model": "m",
    "id": "1",
    "indexScope": "@#m",
    "sequence": 1,
    "raw": RAW,
    "names": {"a", "b"},
    "numbers": {1, 2.5},
    "blobs": {b"a", RAW},
    "nested": {"list": [None, True, {"raw": RAW}], "S": {"N": 1}},
}


def key(id: str) -> dict[str, str]:
    return {"model": "m", "id": id}


@pytest.fixture
def call(client) -> Any:
    assert client is not None
    return get_doc_client().call


def test_one_item(call):
    assert "Attributes" not in call("PutItem", Item=FULL)
    assert call("GetItem", Key=key("1"), ConsistentRead=True)["Item"] == FULL
    assert "Item" not in call("GetItem", Key=key("2"))
    updated = call(
        "UpdateItem",
        Key=key("1"),
        UpdateExpression="SET #n = :new ADD numbers :more DELETE #names :less REMOVE nested.#s",
        ConditionExpression="contains(blobs, :raw) AND #raw = :raw",
        ExpressionAttributeNames={"#n": "name", "#names": "names", "#s": "S", "#raw": "raw"},
        ExpressionAttributeValues={":new": "x", ":more": {3}, ":less": {"b"}, ":raw": RAW},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    expected = {**FULL, "name": "x", "numbers": {1, 2.5, 3}, "names": {"a"}, "nested": {"list": FULL["nested"]["list"]}}
    assert updated == expected
    replaced = call("PutItem", Item={**key("1"), "raw": b""}, ReturnValues="ALL_OLD")
    assert replaced["Attributes"] == expected
    deleted = call(
        "DeleteItem",
        Key=key("1"),
        ConditionExpression="#raw = :raw",
        ExpressionAttributeNames={"#raw": "raw"},
        ExpressionAttributeValues={":raw": b""},
        ReturnValues="ALL_OLD",
    )
    assert deleted["Attributes"] == {**key("1"), "raw": b""}
    assert "Attributes" not in call("DeleteItem", Key=key("1"), ReturnValues="ALL_OLD")


def test_pages(call):
    for n in range(5):
        call("PutItem", Item={**FULL, "id": str(n), "sequence": n})
    query = {
        "IndexName": "indexScope",
        "KeyConditionExpression": "indexScope = :k",
        "FilterExpression": "contains(#n, :a)",
        "ExpressionAttributeNames": {"#n": "names"},
        "ExpressionAttributeValues": {":k": "@#m", ":a": "a"},
        "Limit": 2,
    }
    assert read_all(call, "Query", **query) == [{**FULL, "id": str(n), "sequence": n} for n in range(5)]
    scan = {
        "FilterExpression": "contains(blobs, :raw)",
        "ExpressionAttributeValues": {":raw": RAW},
        "Limit": 2,
    }
    found = read_all(call, "Scan", **scan)
    assert sorted(item["id"] for item in found) == list("01234")
    assert call("Scan", Select="COUNT")["Count"] == 5


def read_all(call: Any, operation: str, **params: Any) -> list[Any]:
    items: list[Any] = []
    while True:
        page = call(operation, **params)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        assert set(page["LastEvaluatedKey"]) >= {"model", "id"}
        params["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def test_batches(call, client):
    table = client.table_name
    written = call(
        "BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": {**FULL, "id": number}}} for number in "123"]}
    )
    assert written["UnprocessedItems"] == {}
    call(
        "BatchWriteItem",
        RequestItems={
            table: [{"DeleteRequest": {"Key": key("3")}}, {"PutRequest": {"Item": {**key("4"), "raw": RAW}}}],
        },
    )
    read = call(
        "BatchGetItem", RequestItems={table: {"Keys": [key(number) for number in "1234"], "ConsistentRead": True}}
    )
    assert read["UnprocessedKeys"] == {}
    assert sorted(read["Responses"][table], key=lambda item: item["id"]) == [
        {**FULL, "id": "1"},
        {**FULL, "id": "2"},
        {**key("4"), "raw": RAW},
    ]


def test_transactions(call, client):
    table = {"TableName": client.table_name}
    for number in "123":
        call("PutItem", Item={**FULL, "id": number})
    call(
        "TransactWriteItems",
        TransactItems=[
            {"Put": {**table, "Item": {**FULL, "id": "4"}, "ConditionExpression": "attribute_not_exists(id)"}},
            {
                "Update": {
                    **table,
                    "Key": key("1"),
                    "UpdateExpression": "ADD numbers :more",
                    "ExpressionAttributeValues": {":more": {9}},
                }
            },
            {"Delete": {**table, "Key": key("2")}},
            {
                "ConditionCheck": {
                    **table,
                    "Key": key("3"),
                    "ConditionExpression": "contains(blobs, :raw)",
                    "ExpressionAttributeValues": {":raw": RAW},
                }
            },
        ],
    )
    read = call("TransactGetItems", TransactItems=[{"Get": {**table, "Key": key(number)}} for number in "1234"])
    first, second, third, fourth = (answer.get("Item") for answer in read["Responses"])
    assert first == {**FULL, "numbers": {1, 2.5, 9}}
    assert not second
    assert third == {**FULL, "id": "3"}
    assert fourth == {**FULL, "id": "4"}


SELECT = 'SELECT * FROM "{}" WHERE model = ? AND id = ?'
UPDATE = 'UPDATE "{}" SET n = ? WHERE model = ? AND id = ?'
INSERT = """INSERT INTO "{}" VALUE {{'model': ?, 'id': ?, 'n': ?}}"""


def test_statements(call, client):
    select, update = SELECT.format(client.table_name), UPDATE.format(client.table_name)
    for number in "12":
        call("PutItem", Item={**FULL, "id": number})
    call("ExecuteStatement", Statement=update, Parameters=[{7}, "m", "1"])
    assert call("ExecuteStatement", Statement=select, Parameters=["m", "1"])["Items"] == [{**FULL, "n": {7}}]
    call("ExecuteTransaction", TransactStatements=[{"Statement": update, "Parameters": [RAW, "m", "2"]}])
    statements = [{"Statement": select, "Parameters": ["m", number]} for number in "12"]
    answers = call("ExecuteTransaction", TransactStatements=statements)["Responses"]
    assert [answer["Item"]["n"] for answer in answers] == [{7}, RAW]


@pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True)
def test_statements_that_moto_does_not_know(call, client):
    insert, select = INSERT.format(client.table_name), SELECT.format(client.table_name)
    call("ExecuteStatement", Statement=insert, Parameters=["m", "1", {"a": [RAW]}])
    statements = [{"Statement": select, "Parameters": ["m", number]} for number in "12"]
    first, second = call("BatchExecuteStatement", Statements=statements)["Responses"]
    assert first["Item"] == {**key("1"), "n": {"a": [RAW]}}
    assert "Item" not in second
    again = {"Statement": insert, "Parameters": ["m", "1", 5]}
    (refused,) = call("BatchExecuteStatement", Statements=[again])["Responses"]
    assert refused["Error"]["Code"] == "DuplicateItem"


def test_refusals(call, client):
    call("PutItem", Item=FULL)
    with pytest.raises(ClientError) as caught:
        call(
            "PutItem",
            Item=FULL,
            ConditionExpression="attribute_not_exists(id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert caught.value.response["Item"]["id"] == {"S": "1"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(ClientError, match="ValidationException"):
        call("GetItem", Key={"id": "1"})
    with pytest.raises(ClientError, match=r"ResourceNotFoundException.*check init_client\(table_name=…"):
        call("GetItem", Key=key("1"), TableName="no-such-table")
    table = {"TableName": client.table_name}
    check = {**table, "Key": key("9"), "ConditionExpression": "attribute_exists(id)"}
    with pytest.raises(ClientError) as caught:
        call("TransactWriteItems", TransactItems=[{"Put": {**table, "Item": key("5")}}, {"ConditionCheck": check}])
    assert caught.value.response["Error"]["Code"] == "TransactionCanceledException"
    codes = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert codes == ["None", "ConditionalCheckFailed"]
    assert "Item" not in call("GetItem", Key=key("5"))
