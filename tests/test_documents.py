"""The document client's tables against botocore's model of DynamoDB, and what it sends. No network here."""

from __future__ import annotations

import copy
import functools
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel

from jaypie_dynamo import (
    AmbiguousWriteError,
    ConfigurationError,
    DocumentClient,
    TransportError,
    ValidationError,
    get_doc_client,
    make_client,
    use_client,
)
from jaypie_dynamo._documents import _ANSWER_PLACES, _ITEM, _LEGACY, _ONE_TABLE, _READS, _REQUEST_PLACES, _VALUES
from jaypie_dynamo._transport import _policy
from jaypie_dynamo._transport._attempt import AttemptError, Request, Response

# --- the tables


@functools.cache
def service_model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("dynamodb", "service-2"), "dynamodb")


def find_places(shape: Any) -> Any:
    """Find where attribute values stand in a shape, in the form of the tables; None where there are none."""
    if shape is None:
        return None
    if shape.name == "AttributeValue":
        return "value"
    if shape.type_name == "map":
        inner = find_places(shape.value)
        return _ITEM if inner == "value" else inner and {"*": inner}
    if shape.type_name == "list":
        inner = find_places(shape.member)
        return _VALUES if inner == "value" else inner and {"[]": inner}
    if shape.type_name == "structure":
        return {name: places for name, member in shape.members.items() if (places := find_places(member))} or None
    return None


def find_request_places(operation: str) -> Any:
    return find_places(service_model().operation_model(operation).input_shape) or {}


def find_answer_places(operation: str) -> Any:
    return find_places(service_model().operation_model(operation).output_shape) or {}


def is_legacy(name: str, operation: str) -> bool:
    member = service_model().operation_model(operation).input_shape.members[name]
    return str(member.documentation).startswith("<p>This is a legacy parameter")


# Exports of a table are the control plane's, though newer models have attribute values in them.
EXPORTS = {"DescribeExport", "ExportTableToPointInTime"}
# The oldest botocore supported does not know every operation.
KNOWN = sorted(_REQUEST_PLACES.keys() & set(service_model().operation_names))


def test_every_operation_with_values_is_covered():
    names = service_model().operation_names
    with_values = {name for name in names if find_request_places(name) or find_answer_places(name)}
    assert with_values - EXPORTS == set(KNOWN)
    assert _REQUEST_PLACES.keys() == _ANSWER_PLACES.keys()
    assert len(KNOWN) >= 13


@pytest.mark.parametrize("operation", KNOWN)
def test_request_places_are_the_models(operation):
    found = find_request_places(operation)
    assert {name: places for name, places in found.items() if name not in _LEGACY} == _REQUEST_PLACES[operation]


@pytest.mark.parametrize("operation", KNOWN)
def test_answer_places_hold_the_models(operation):
    assert_within(find_answer_places(operation), _ANSWER_PLACES[operation])


def assert_within(found: Any, places: Any) -> None:
    # Tables shared between operations name a few places that one of them does not have.
    if isinstance(found, str):
        assert found == places
    else:
        for name, inner in found.items():
            assert_within(inner, places[name])


def test_legacy_parameters_are_the_models_that_hold_values():
    found = {name for operation in KNOWN for name in find_request_places(operation) if is_legacy(name, operation)}
    assert found == _LEGACY


def test_operations_on_one_table_are_the_models():
    model = service_model()
    found = {name for name in KNOWN if "TableName" in model.operation_model(name).input_shape.required_members}
    assert found == _ONE_TABLE & set(KNOWN)


def test_reads_are_those_that_cannot_write():
    # PartiQL statements may write.
    assert set(_READS) == {"BatchGetItem", "GetItem", "Query", "Scan", "SearchVectors", "TransactGetItems"}


# --- calls


class Canned:
    """A transport that gives each answer in turn and remembers what it was sent."""

    name = "canned"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def send(self, request: Request, timeout_s: float | None = None) -> Response:  # noqa: ARG002
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status = 400 if "__type" in answer else 200
        return Response(status, {}, json.dumps(answer).encode())

    def close(self) -> None:
        pass

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    delays: list[float] = []
    monkeypatch.setattr(_policy.time, "sleep", delays.append)
    return delays


def document_client(*answers: Any, **settings: Any) -> tuple[DocumentClient, Canned]:
    client, transport = make_client(**{"table_name": "mine", **settings}), Canned(*answers)
    client.set_transport(transport)
    with use_client(client):
        return get_doc_client(), transport


def test_values_are_converted_both_ways_and_the_rest_passes():
    documents, transport = document_client(
        {
            "Items": [{"id": {"S": "1"}, "raw": {"B": "AAE="}, "tags": {"SS": ["a"]}}],
            "LastEvaluatedKey": {"id": {"S": "1"}},
            "Count": 1,
            "ConsumedCapacity": {"Table": {"CapacityUnits": 0.5}},
        }
    )
    answer = documents.call(
        "Query",
        IndexName="indexScope",
        KeyConditionExpression="indexScope = :k",
        ExpressionAttributeValues={":k": "@#record", ":b": b"\x00", ":s": {2, 1}, ":n": None},
        ExclusiveStartKey={"id": "0", "sequence": 5},
        Limit=5,
        ScanIndexForward=False,
    )
    assert transport.bodies == [
        {
            "TableName": "mine",
            "IndexName": "indexScope",
            "KeyConditionExpression": "indexScope = :k",
            "ExpressionAttributeValues": {
                ":k": {"S": "@#record"},
                ":b": {"B": "AA=="},
                ":s": {"NS": ["1", "2"]},
                ":n": {"NULL": True},
            },
            "ExclusiveStartKey": {"id": {"S": "0"}, "sequence": {"N": "5"}},
            "Limit": 5,
            "ScanIndexForward": False,
        }
    ]
    assert answer == {
        "Items": [{"id": "1", "raw": b"\x00\x01", "tags": {"a"}}],
        "LastEvaluatedKey": {"id": "1"},
        "Count": 1,
        "ConsumedCapacity": {"Table": {"CapacityUnits": 0.5}},
    }


def test_names_that_look_like_places_are_not_taken_for_them():
    documents, transport = document_client({"Item": {"Item": {"M": {"S": {"S": "x"}}}, "Key": {"S": "k"}}})
    answer = documents.call("GetItem", Key={"Key": "k", "Item": {"S": 1}}, TableName="other")
    assert transport.bodies == [
        {"TableName": "other", "Key": {"Key": {"S": "k"}, "Item": {"M": {"S": {"N": "1"}}}}},
    ]
    assert answer == {"Item": {"Item": {"S": "x"}, "Key": "k"}}


def test_places_inside_lists_and_maps():
    documents, transport = document_client(
        {"UnprocessedItems": {"t": [{"PutRequest": {"Item": {"a": {"N": "1"}}}}, {"DeleteRequest": {"Key": {}}}]}}
    )
    answer = documents.call(
        "BatchWriteItem",
        RequestItems={"t": [{"PutRequest": {"Item": {"a": 1}}}, {"DeleteRequest": {"Key": {"id": "x"}}}]},
    )
    assert transport.bodies == [
        {
            "RequestItems": {
                "t": [
                    {"PutRequest": {"Item": {"a": {"N": "1"}}}},
                    {"DeleteRequest": {"Key": {"id": {"S": "x"}}}},
                ]
            }
        }
    ]
    assert answer == {
        "UnprocessedItems": {"t": [{"PutRequest": {"Item": {"a": 1}}}, {"DeleteRequest": {"Key": {}}}]},
    }


def test_transactions_and_statements():
    documents, transport = document_client({"Responses": [{"Item": {"a": {"N": "1.5"}}}, {}]}, {"Responses": [{}]})
    assert documents.call("TransactGetItems", TransactItems=({"Get": {"Key": {"id": "x"}, "TableName": "t"}},)) == {
        "Responses": [{"Item": {"a": 1.5}}, {}]
    }
    documents.call("BatchExecuteStatement", Statements=[{"Statement": "…", "Parameters": ["x", {1}, (b"",)]}])
    assert transport.bodies[1]["Statements"][0]["Parameters"] == [{"S": "x"}, {"NS": ["1"]}, {"L": [{"B": ""}]}]


def test_parse_float_is_the_clients():
    documents, _ = document_client({"Item": {"a": {"N": "1.5"}}}, parse_float=Decimal)
    assert type(documents.call("GetItem", Key={"id": "x"})["Item"]["a"]) is Decimal


def test_arguments_are_not_changed():
    documents, _ = document_client({})
    params = {
        "TransactItems": [{"Put": {"TableName": "t", "Item": {"a": [1, {"b": {"c"}}]}}}],
        "ClientRequestToken": "token",
    }
    before = copy.deepcopy(params)
    documents.call("TransactWriteItems", **params)
    assert params == before


@pytest.mark.parametrize("operation", sorted(_ONE_TABLE))
def test_table_is_the_clients_where_one_is_taken(operation):
    documents, transport = document_client({}, {})
    documents.call(operation)
    documents.call(operation, TableName="other")
    assert [body["TableName"] for body in transport.bodies] == ["mine", "other"]
    documents, transport = document_client({}, table_name=None)
    with pytest.raises(ConfigurationError, match="No table name"):
        documents.call(operation)
    documents.call(operation, TableName="other")
    assert len(transport.requests) == 1


@pytest.mark.parametrize("operation", sorted(_REQUEST_PLACES.keys() - _ONE_TABLE))
def test_no_table_is_put_where_none_is_taken(operation):
    documents, transport = document_client({}, table_name=None)
    documents.call(operation)
    assert transport.bodies == [{}]


# --- refusals, before anything is sent

NAN = float("nan")


@pytest.mark.parametrize(
    ("operation", "params", "path", "message"),
    [
        ("CreateTable", {}, "operation", "'CreateTable' is not one of "),
        ("query", {}, "operation", "get_client() has all others"),
        ("", {}, "operation", "'' is not one of "),
        *(
            ("Query", {name: {}}, name, f"{name} is a legacy parameter; use an expression instead")
            for name in sorted(_LEGACY)
        ),
        ("GetItem", {"Key": 5}, "Key", "Key must be a dict of attributes, not a int"),
        ("GetItem", {"Key": None}, "Key", "Key must be a dict of attributes, not a NoneType"),
        ("GetItem", {"Key": {"id": {1, "1"}}}, "Key.id", "Key.id: a set must hold one kind of value"),
        ("PutItem", {"Item": {"a": [{"b": NAN}]}}, "Item.a[0].b", "Item.a[0].b: NaN and infinity"),
        ("PutItem", {"Item": {"": 1}}, "Item.", "Item.: an attribute name must not be empty"),
        ("Scan", {"ExpressionAttributeValues": {":v": set()}}, "ExpressionAttributeValues.:v", "an empty set"),
        ("ExecuteStatement", {"Parameters": "x"}, "Parameters", "Parameters must be a list of values, not a str"),
        ("ExecuteStatement", {"Parameters": [1, [1j]]}, "Parameters[1][0]", "Parameters[1][0]: a builtins.complex"),
        (
            "BatchGetItem",
            {"RequestItems": {"t": {"Keys": [{"id": "1"}, ["id"]]}}},
            "RequestItems.t.Keys[1]",
            "RequestItems.t.Keys[1] must be a dict of attributes, not a list",
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"t": [{"PutRequest": {"Item": {"a": NAN}}}]}},
            "RequestItems.t[0].PutRequest.Item.a",
            "RequestItems.t[0].PutRequest.Item.a: NaN",
        ),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Delete": {"Key": {}}}, {"Update": {"ExpressionAttributeValues": {":v": NAN}}}]},
            "TransactItems[1].Update.ExpressionAttributeValues.:v",
            "TransactItems[1].Update.ExpressionAttributeValues.:v: NaN",
        ),
        ("Scan", {"Limit": object()}, None, "object stands where no attribute value belongs"),
        ("Scan", {"Limit": NAN}, None, "the parameters cannot be written as JSON"),
        ("Scan", {"ProjectionExpression": {"a"}}, None, "set stands where no attribute value belongs"),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": ({} for _ in "a")}}}, None, "generator stands where no"),
        ("PutItem", {"Itm": {"a": {1}}}, None, "set stands where no attribute value belongs"),
    ],
)
def test_bad_call_is_named_and_not_sent(operation, params, path, message):
    documents, transport = document_client()
    with pytest.raises(ValidationError, match=re.escape(message)) as caught:
        documents.call(operation, **params)
    assert caught.value.path == path
    assert transport.requests == []


def test_unknown_operation_is_answered_with_all_there_are():
    documents, _ = document_client()
    with pytest.raises(ValidationError) as caught:
        documents.call("DescribeTable")
    for operation in _REQUEST_PLACES:
        assert operation in str(caught.value)


# --- what comes back


def test_refusal_is_botocores_error_with_the_hint_where_the_table_is_missing():
    documents, _ = document_client({"__type": "x#ResourceNotFoundException", "message": "Requested resource not found"})
    with pytest.raises(ClientError, match=r"not found \(table or index of 'mine' at us-east-1: check init_client"):
        documents.call("GetItem", Key={"id": "1"})


def test_false_condition_is_botocores_error_with_the_item():
    item = {"id": {"S": "1"}}
    documents, _ = document_client({"__type": "x#ConditionalCheckFailedException", "message": "no", "Item": item})
    with pytest.raises(ClientError) as caught:
        documents.call("PutItem", Item={"id": "1"}, ConditionExpression="attribute_not_exists(id)")
    assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert caught.value.response["Item"] == item


@pytest.mark.parametrize("operation", _REQUEST_PLACES)
def test_reads_are_tried_again_and_writes_are_in_doubt(operation, slept):
    lost = AttemptError("the connection broke", sent=True)
    documents, transport = document_client(lost, {})
    if operation in _READS:
        assert documents.call(operation) == {}
        assert len(transport.requests) == 2
    else:
        with pytest.raises(AmbiguousWriteError):
            documents.call(operation)
        assert len(transport.requests) == 1
    assert len(slept) == (operation in _READS)


@pytest.mark.parametrize("answer", [{"Items": [{"a": 5}]}, {"Items": [5]}, {"LastEvaluatedKey": "x"}])
def test_answer_of_another_shape_is_a_transport_error(answer):
    documents, _ = document_client(*[answer] * 4)
    with pytest.raises(TransportError, match="Scan failed: the answer is corrupt"):
        documents.call("Scan")


def test_empty_places_in_an_answer_pass():
    documents, _ = document_client({"Items": [], "LastEvaluatedKey": {}, "Responses": None})
    assert documents.call("Scan") == {"Items": [], "LastEvaluatedKey": {}, "Responses": None}
