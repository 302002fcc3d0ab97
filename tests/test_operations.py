"""What is written into a request, and what is made of an answer. No engine."""

from __future__ import annotations

import json
from collections import OrderedDict
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from transports import LOST, NEVER_SENT, Scripted, refusal

from jaypie_dynamo import AmbiguousWriteError, ConfigurationError, TransportError, ValidationError, make_client, where
from jaypie_dynamo._expressions import Placeholders, compile_condition
from jaypie_dynamo._marshal import write_value
from jaypie_dynamo._operations import (
    ConditionFailedError,
    call_plain,
    delete_item,
    get_item,
    put_item,
    query,
    update_item,
)
from jaypie_dynamo._transport._attempt import Response

KEY = {"model": "record", "id": "1"}
TYPED_KEY = {"model": {"S": "record"}, "id": {"S": "1"}}
OPEN = where("status").eq("open")
IS_OPEN = {
    "ConditionExpression": "#n0 = :v0",
    "ExpressionAttributeNames": {"#n0": "status"},
    "ExpressionAttributeValues": {":v0": {"S": "open"}},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch):
    monkeypatch.setattr("jaypie_dynamo._transport._policy.delay_s", lambda *_, **__: 0.0)


def scripted(*answers, **settings):
    client = make_client(table_name="the-table", **settings)
    client.set_transport(Scripted(*answers))
    return client, client.transport


def run_query(client, *, condition=None, **changed):
    placeholders = Placeholders(write_value)
    key_condition = f"{placeholders.name('model')} = {placeholders.value('record', 'model')}"
    given = {
        "index": None,
        "key_condition": key_condition,
        "filter_text": None if condition is None else compile_condition(condition, placeholders),
        "projection": None,
        "placeholders": placeholders,
        "ascending": True,
        "limit": None,
        "start_key": None,
    }
    return query(client, **given | changed)


# --- requests ------------------------------------------------------------------------------------------------------

QUERY = {
    "KeyConditionExpression": "#n0 = :v0",
    "ExpressionAttributeNames": {"#n0": "model"},
    "ExpressionAttributeValues": {":v0": {"S": "record"}},
}
ASKED_FOR = {
    "put": (
        lambda client: put_item(client, item=KEY | {"n": Decimal("1.50"), "s": {"b", "a"}}),
        "PutItem",
        {"Item": TYPED_KEY | {"n": {"N": "1.50"}, "s": {"SS": ["a", "b"]}}},
    ),
    "put if": (lambda client: put_item(client, item=KEY, condition=OPEN), "PutItem", {"Item": TYPED_KEY} | IS_OPEN),
    "get": (lambda client: get_item(client, key=KEY, consistent=False), "GetItem", {"Key": TYPED_KEY}),
    "get, consistent": (
        lambda client: get_item(client, key=KEY, consistent=True),
        "GetItem",
        {"Key": TYPED_KEY, "ConsistentRead": True},
    ),
    "delete": (
        lambda client: delete_item(client, key=KEY),
        "DeleteItem",
        {"Key": TYPED_KEY, "ReturnValues": "ALL_OLD"},
    ),
    "delete if": (
        lambda client: delete_item(client, key=KEY, condition=OPEN),
        "DeleteItem",
        {"Key": TYPED_KEY, "ReturnValues": "ALL_OLD"} | IS_OPEN,
    ),
    "update": (
        lambda client: update_item(client, key=KEY, condition=OPEN, may_resend=True, set={"n": 1}, remove=["m"]),
        "UpdateItem",
        {
            "Key": TYPED_KEY,
            "UpdateExpression": "SET #n0 = :v0 REMOVE #n1",
            "ConditionExpression": "#n2 = :v1",
            "ExpressionAttributeNames": {"#n0": "n", "#n1": "m", "#n2": "status"},
            "ExpressionAttributeValues": {":v0": {"N": "1"}, ":v1": {"S": "open"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            "ReturnValues": "ALL_NEW",
        },
    ),
    "query": (run_query, "Query", QUERY),
    "query, all options": (
        lambda client: run_query(
            client,
            index="indexScope",
            condition=OPEN,
            projection="#n0",
            ascending=False,
            limit=7,
            start_key=KEY | {"sequence": 1.5},
            count=True,
        ),
        "Query",
        {
            "IndexName": "indexScope",
            "KeyConditionExpression": "#n0 = :v0",
            "FilterExpression": "#n1 = :v1",
            "ProjectionExpression": "#n0",
            "ScanIndexForward": False,
            "Limit": 7,
            "ExclusiveStartKey": TYPED_KEY | {"sequence": {"N": "1.5"}},
            "Select": "COUNT",
            "ExpressionAttributeNames": {"#n0": "model", "#n1": "status"},
            "ExpressionAttributeValues": {":v0": {"S": "record"}, ":v1": {"S": "open"}},
        },
    ),
}


@pytest.mark.parametrize(("call", "operation", "members"), ASKED_FOR.values(), ids=ASKED_FOR)
def test_request(call, operation, members):
    client, transport = scripted({"Count": 0, "Items": [], "Attributes": {}})
    call(client)
    [request] = transport.requests
    assert request.operation == operation
    assert json.loads(request.body) == {"TableName": "the-table", **members}
    # What the transport shows to tracing and validation names the same table and index.
    named = {name: members[name] for name in ("IndexName",) if name in members}
    shown = {name: value for name, value in request.params.items() if name not in ("Item", "Key", "UpdateExpression")}
    assert shown == {"TableName": "the-table", **named}


@pytest.mark.parametrize("call", [call for call, _, _ in ASKED_FOR.values()], ids=ASKED_FOR)
def test_nothing_is_sent_without_a_table(call):
    client = make_client()
    client.set_transport(Scripted())
    with pytest.raises(ConfigurationError, match=r"init_client\(table_name=…\) or set DYNAMODB_TABLE_NAME"):
        call(client)


def test_text_stays_utf_8():
    client, transport = scripted({})
    put_item(client, item=KEY | {"ключ": "ж🎉\u2028\x00"})
    assert transport.body["Item"]["ключ"] == {"S": "ж🎉\u2028\x00"}
    assert "ж🎉".encode() in transport.requests[0].body


# --- answers -------------------------------------------------------------------------------------------------------


def test_get_reads_the_item():
    client, _ = scripted({"Item": TYPED_KEY | {"n": {"N": "1.50"}, "m": {"M": {"l": {"L": [{"NULL": True}]}}}}})
    assert get_item(client, key=KEY, consistent=False) == KEY | {"n": 1.5, "m": {"l": [None]}}


def test_numbers_are_read_as_the_client_says():
    client, _ = scripted({"Item": {"n": {"N": "1.50"}}}, {"Count": 1, "Items": [{"n": {"N": "2.50"}}]}, parse_float=str)
    assert get_item(client, key=KEY, consistent=False) == {"n": "1.50"}
    assert run_query(client).items == [{"n": "2.50"}]


def test_get_of_no_item():
    client, _ = scripted({})
    assert get_item(client, key=KEY, consistent=False) is None


def test_query_reads_a_page():
    client, _ = scripted({"Count": 1, "ScannedCount": 5, "Items": [TYPED_KEY], "LastEvaluatedKey": TYPED_KEY})
    page = run_query(client)
    assert (page.items, page.count, page.last_key) == ([KEY], 1, KEY)


def test_query_reads_the_last_page():
    client, _ = scripted({"Count": 0, "Items": []})
    page = run_query(client)
    assert (page.items, page.count, page.last_key) == ([], 0, None)


def test_query_counts():
    client, _ = scripted({"Count": 3, "ScannedCount": 5})
    assert run_query(client, count=True).count == 3


@pytest.mark.parametrize(("answer", "removed"), [({"Attributes": TYPED_KEY}, True), ({}, False)])
def test_delete_tells_whether_there_was_an_item(answer, removed):
    client, _ = scripted(answer)
    assert delete_item(client, key=KEY) is removed


READS = {
    "get": lambda client: get_item(client, key=KEY, consistent=False),
    "query": run_query,
    "plain read": lambda client: call_plain(client, "Scan", params={}, read=lambda answer: answer, write=False),
}
WRITES = {
    "put": lambda client: put_item(client, item=KEY),
    "put if": lambda client: put_item(client, item=KEY, condition=OPEN),
    "delete": lambda client: delete_item(client, key=KEY),
    "delete if": lambda client: delete_item(client, key=KEY, condition=OPEN),
    "update": lambda client: update_item(client, key=KEY, condition=OPEN, may_resend=False, set={"n": 1}),
    "plain write": lambda client: call_plain(
        client, "PutItem", params={}, read=lambda answer: answer, write=True, resend=False
    ),
}
RESENT = {"put", "delete"}

CORRUPT = {
    "no JSON": b'{"Items":[',
    "no object": [],
    "text": "text",
    "no typed attribute": {"Item": {"a": 5}, "Count": 1, "Items": [{"a": 5}], "Attributes": {"a": 5}},
    "an unknown type": {"Item": {"a": {"X": 1}}, "Count": 1, "Items": [{"a": {"X": 1}}]},
    "no item": {"Item": 5, "Count": 1, "Items": [5]},
    "no list": {"Item": [5], "Count": 1, "Items": 5},
    "null": {"Item": {"a": None}, "Count": 0, "Items": None},
    "a map of items": {"Item": {"a": {}}, "Count": 0, "Items": {}},
    "no count": {"Item": {"a": {"N": "x"}}, "Items": []},
    "no key": {"Item": [], "Count": 0, "Items": [], "LastEvaluatedKey": {"a": "b"}},
}


@pytest.mark.parametrize("answer", CORRUPT.values(), ids=CORRUPT)
@pytest.mark.parametrize("name", ["get", "query"])
def test_a_corrupt_answer_is_asked_for_again(name, answer):
    client, transport = scripted(answer, {"Count": 0, "Items": []})
    READS[name](client)
    assert len(transport.requests) == 2
    client, transport = scripted(*[answer] * 4)
    with pytest.raises(TransportError, match="the answer is corrupt") as caught:
        READS[name](client)
    assert type(caught.value) is TransportError
    assert len(transport.requests) == 4


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("failure", [b"{", refusal("InternalServerError", 500), LOST], ids=["corrupt", "500", "lost"])
def test_a_write_without_an_answer_is_resent_only_where_that_changes_nothing(name, failure):
    client, transport = scripted(failure, {})
    if name in RESENT:
        WRITES[name](client)
        assert len(transport.requests) == 2
    else:
        with pytest.raises(AmbiguousWriteError, match="may or may not have been applied"):
            WRITES[name](client)
        assert len(transport.requests) == 1


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_what_was_never_sent_is_tried_again(name):
    client, transport = scripted(NEVER_SENT, {"Count": 0, "Items": [], "Attributes": {}})
    (READS | WRITES)[name](client)
    assert len(transport.requests) == 2
    client, _ = scripted(*[NEVER_SENT] * 4)
    with pytest.raises(TransportError) as caught:
        (READS | WRITES)[name](client)
    assert type(caught.value) is TransportError


def test_a_delete_that_finds_nothing_after_a_lost_answer_counts_as_done():
    client, _ = scripted(LOST, {})
    assert delete_item(client, key=KEY) is True
    client, _ = scripted(NEVER_SENT, {})
    assert delete_item(client, key=KEY) is False


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["put if", "delete if", "update"])
@pytest.mark.parametrize(("members", "existing"), [({"Item": TYPED_KEY}, KEY), ({}, None)])
def test_a_false_condition_tells_what_is_stored(name, members, existing):
    client, _ = scripted(refusal("ConditionalCheckFailedException", **members))
    with pytest.raises(ConditionFailedError) as caught:
        WRITES[name](client)
    assert caught.value.existing == existing


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_refusal_is_a_client_error(name):
    client, transport = scripted(refusal("AccessDeniedException"))
    with pytest.raises(ClientError) as caught:
        (READS | WRITES)[name](client)
    assert caught.value.response["Error"] == {"Code": "AccessDeniedException", "Message": "because"}
    assert caught.value.operation_name == transport.requests[0].operation
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_missing_table_is_named_with_the_place_it_was_looked_for(name):
    client, _ = scripted(refusal("ResourceNotFoundException"), region="eu-central-1")
    with pytest.raises(ClientError) as caught:
        (READS | WRITES)[name](client)
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceNotFoundException"
    assert "'the-table' at eu-central-1" in error["Message"]
    assert "create_table()" in error["Message"]


def test_a_plain_call_gives_a_false_condition_as_it_came():
    client, _ = scripted(refusal("ConditionalCheckFailedException", Item=TYPED_KEY))
    with pytest.raises(ClientError) as caught:
        WRITES["plain write"](client)
    assert caught.value.response["Item"] == TYPED_KEY


# --- plain calls ---------------------------------------------------------------------------------------------------


def test_plain_parameters_are_written_as_they_are():
    client, transport = scripted({})
    params = OrderedDict(TableName="t", Key={"b": {"B": b"\x00\xff"}}, Limit=3, Nested=[{"BOOL": True}, None])
    call_plain(client, "GetItem", params=params, read=lambda answer: answer, write=False)
    assert transport.body == {
        "TableName": "t",
        "Key": {"b": {"B": "AP8="}},
        "Limit": 3,
        "Nested": [{"BOOL": True}, None],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, Decimal(1), object(), {(1, 2): 3}])
def test_plain_parameters_that_are_no_json_are_refused(value):
    client, transport = scripted()
    with pytest.raises(ValidationError, match="the parameters cannot be written as JSON"):
        call_plain(client, "GetItem", params={"Limit": value}, read=lambda answer: answer, write=False)
    assert transport.requests == []


def test_plain_parameters_that_contain_themselves_are_refused():
    client, _ = scripted()
    params = {}
    params["Key"] = params
    with pytest.raises(ValidationError, match="the parameters cannot be written as JSON"):
        call_plain(client, "GetItem", params=params, read=lambda answer: answer, write=False)


def test_responses_of_other_kinds():
    client, _ = scripted(*[Response(403, {}, b"<html>proxy</html>")] * 4)
    with pytest.raises(TransportError, match="HTTP status 403 came back without an error of DynamoDB's"):
        get_item(client, key=KEY, consistent=False)
