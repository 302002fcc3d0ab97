"""The schema as data, and what table functions do with answers that engines do not give on demand. No network."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from jaypie_dynamo import (
    AmbiguousWriteError,
    TransportError,
    ValidationError,
    create_table,
    describe_status,
    destroy_table,
    make_client,
    table_schema,
    use_client,
)
from jaypie_dynamo import _tables as tables
from jaypie_dynamo._tables import find_differences, table_definition
from jaypie_dynamo._transport._attempt import AttemptError, Request, Response

INDEXES = ["indexScope", "indexAlias", "indexClass", "indexType", "indexXid"]
MISSING = {"__type": "x#ResourceNotFoundException", "message": "not found"}
IN_USE = {"__type": "x#ResourceInUseException", "message": "in use"}


class Canned:
    """A transport that gives each answer in turn and remembers the operations."""

    name = "canned"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, Any]] = []

    def send(self, request: Request, timeout_s: float | None = None) -> Response:  # noqa: ARG002
        self.sent.append((request.operation, json.loads(request.body)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(400 if "__type" in answer else 200, {}, json.dumps(answer).encode())

    def close(self) -> None:
        pass

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.sent]


@pytest.fixture
def canned():
    """Make the current client answer from a script."""
    contexts = []

    def use(*answers: Any, **settings: Any) -> Canned:
        client = make_client(**{"table_name": "mine", **settings})
        client.set_transport(Canned(*answers))
        contexts.append(use_client(client))
        contexts[-1].__enter__()
        return client.transport

    yield use
    for context in reversed(contexts):
        context.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    delays: list[float] = []
    monkeypatch.setattr(tables.time, "sleep", delays.append)
    return delays


def description(status: str = "ACTIVE", index_status: str = "ACTIVE") -> dict[str, Any]:
    """Describe a table made by the schema, as DynamoDB does."""
    definition = table_definition()
    for index in definition["GlobalSecondaryIndexes"]:
        index["IndexStatus"] = index_status
    return {"TableName": "mine", "TableStatus": status, "ItemCount": 3, "TableSizeBytes": 100, **definition}


# --- the schema


def test_definition_is_the_table():
    definition = table_definition()
    assert definition["BillingMode"] == "PAY_PER_REQUEST"
    assert definition["KeySchema"] == [
        {"AttributeName": "model", "KeyType": "HASH"},
        {"AttributeName": "id", "KeyType": "RANGE"},
    ]
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in definition["AttributeDefinitions"]}
    assert types == {"model": "S", "id": "S", "sequence": "N", **dict.fromkeys(INDEXES, "S")}
    assert definition["GlobalSecondaryIndexes"] == [
        {
            "IndexName": index,
            "KeySchema": [
                {"AttributeName": index, "KeyType": "HASH"},
                {"AttributeName": "sequence", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
        for index in INDEXES
    ]
    assert set(definition) == {"BillingMode", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes"}


def test_provisioned_definition_has_a_throughput_everywhere():
    definition = table_definition("PROVISIONED")
    throughput = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    assert definition["BillingMode"] == "PROVISIONED"
    assert definition["ProvisionedThroughput"] == throughput
    assert [index["ProvisionedThroughput"] for index in definition["GlobalSecondaryIndexes"]] == [throughput] * 5


@pytest.mark.parametrize("billing_mode", ["PAY_PER_REQUEST", "PROVISIONED"])
def test_schema_says_the_same_in_yaml_and_json_and_botocore_accepts_it(billing_mode):
    from_json = json.loads(table_schema("json", billing_mode=billing_mode))
    assert from_json == table_definition(billing_mode)
    assert yaml.safe_load(table_schema("yaml", billing_mode=billing_mode)) == from_json
    model = ServiceModel(Loader().load_service_model("dynamodb", "service-2"), "dynamodb")
    shape = model.operation_model("CreateTable").input_shape
    report = ParamValidator().validate({"TableName": "mine", **from_json}, shape)
    assert not report.has_errors(), report.generate_report()


def test_schema_is_yaml_by_default_and_ends_in_one_newline():
    assert table_schema() == table_schema("yaml")
    for name in ("yaml", "json"):
        text = table_schema(name)
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
    assert "  - AttributeName: model\n    KeyType: HASH\n" in table_schema()


@pytest.mark.parametrize("format", ["toml", "JSON", "", None])
def test_unknown_format_is_refused(format):
    with pytest.raises(ValidationError, match="format must be one of yaml, json, not ") as caught:
        table_schema(format)
    assert caught.value.path == "format"


def test_unknown_billing_mode_is_refused(canned):
    transport = canned()
    message = "billing_mode must be one of PAY_PER_REQUEST, PROVISIONED, not 'FREE'"
    for call in (lambda: table_schema(billing_mode="FREE"), lambda: create_table(billing_mode="FREE")):
        with pytest.raises(ValidationError, match=message) as caught:
            call()
        assert caught.value.path == "billing_mode"
    assert transport.sent == []


# --- comparing


def change(path: list[Any], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(description())
    node = changed
    for step in path[:-1]:
        node = node[step]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return changed


HASH_ONLY = [{"AttributeName": "model", "KeyType": "HASH"}]
SWAPPED = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "model", "KeyType": "RANGE"}]
GSI = "GlobalSecondaryIndexes"


@pytest.mark.parametrize(
    ("found", "differences"),
    [
        (description(), []),
        (change(["KeySchema"], description()["KeySchema"][::-1]), []),
        (change([GSI], [*description()[GSI], {"IndexName": "own", "KeySchema": HASH_ONLY}]), []),
        (change([GSI, 0, "IndexStatus"], None), []),
        (change(["KeySchema"], HASH_ONLY), ["the table's key is model, not model + id"]),
        (change(["KeySchema"], SWAPPED), ["the table's key is id + model, not model + id"]),
        (change(["KeySchema"], None), ["the table's key is unknown, not model + id"]),
        (change([GSI, 1], None), ["the index 'indexAlias' is missing"]),
        (change([GSI], None), [f"the index {index!r} is missing" for index in INDEXES]),
        (
            change([GSI, 4, "KeySchema"], [{"AttributeName": "indexXid", "KeyType": "HASH"}]),
            ["the index 'indexXid' has the key indexXid, not indexXid + sequence"],
        ),
        (
            change([GSI, 2, "Projection"], {"ProjectionType": "KEYS_ONLY"}),
            ["the index 'indexClass' does not project all attributes"],
        ),
        (change([GSI, 2, "Projection"], None), ["the index 'indexClass' does not project all attributes"]),
        (change([GSI, 3, "IndexStatus"], "CREATING"), ["the index 'indexType' is CREATING, not ACTIVE"]),
        (
            change(["AttributeDefinitions", 7], {"AttributeName": "sequence", "AttributeType": "S"}),
            ["the attribute 'sequence' is of type S, not N"],
        ),
        (
            change(["AttributeDefinitions", 1], {"AttributeName": "id", "AttributeType": "N"}),
            ["the attribute 'id' is of type N, not S"],
        ),
    ],
)
def test_differences_are_named(found, differences):
    assert find_differences(found) == differences


# --- creating


def test_new_table_is_waited_for(canned, slept):
    transport = canned(
        {"TableDescription": description("CREATING", "CREATING")},
        MISSING,  # DescribeTable is eventually consistent
        {"Table": description("CREATING", "CREATING")},
        {"Table": description("ACTIVE", "CREATING")},
        {"Table": description()},
    )
    assert create_table() == {"table_name": "mine", "created": True, "status": "ACTIVE", "differences": []}
    assert transport.sent[0] == ("CreateTable", {"TableName": "mine", **table_definition()})
    assert transport.operations[1:] == ["DescribeTable"] * 4
    assert slept == pytest.approx([0.1, 0.15, 0.225])


def test_new_table_need_not_be_waited_for(canned, slept):
    transport = canned({"TableDescription": description("CREATING", "ACTIVE")})
    assert create_table(table_name="other", wait=False) == {
        "table_name": "other",
        "created": True,
        "status": "CREATING",
        "differences": [],
    }
    assert transport.sent == [("CreateTable", {"TableName": "other", **table_definition()})]
    assert slept == []


@pytest.mark.parametrize("wait", [True, False])
def test_table_that_exists_is_compared_and_not_altered(wait, canned):
    found = change([GSI, 0], None)
    transport = canned(IN_USE, *[{"Table": found}] * (1 + wait), ttl_attribute="ttl" if wait else None)
    assert create_table(wait=wait) == {
        "table_name": "mine",
        "created": False,
        "status": "ACTIVE",
        "differences": ["the index 'indexScope' is missing"],
    }
    assert set(transport.operations) == {"CreateTable", "DescribeTable"}


def test_table_that_is_being_removed_is_not_waited_for_for_ever(canned):
    canned(IN_USE, {"Table": description("DELETING")}, {"Table": description("DELETING")}, MISSING)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        create_table()


def test_waiting_ends(canned, slept):
    canned({"TableDescription": description("CREATING")}, *[{"Table": description("CREATING")}] * 1000)
    with pytest.raises(TransportError, match=r"The table 'mine' is not usable yet after 300 seconds; look again with"):
        create_table()
    assert 300 <= sum(slept) < 303
    assert max(slept) == 2.0


@pytest.mark.parametrize(("argument", "setting", "expected"), [("a", "b", "a"), (None, "b", "b"), ("a", None, "a")])
def test_expiry_is_enabled_on_a_new_table(argument, setting, expected, canned):
    transport = canned({"TableDescription": description()}, {"Table": description()}, {}, ttl_attribute=setting)
    create_table(ttl_attribute=argument)
    assert transport.sent[2] == (
        "UpdateTimeToLive",
        {"TableName": "mine", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": expected}},
    )


def test_expiry_needs_a_usable_table(canned):
    transport = canned()
    with pytest.raises(ValidationError, match="ttl_attribute needs wait=True: only a usable table takes it") as caught:
        create_table(ttl_attribute="ttl", wait=False)
    assert caught.value.path == "ttl_attribute"
    assert transport.sent == []


def test_refusal_passes(canned):
    canned({"__type": "x#AccessDeniedException", "message": "no"})
    with pytest.raises(ClientError, match="AccessDenied"):
        create_table()
    canned({"TableDescription": description()}, {"__type": "x#AccessDeniedException", "message": "no"})
    with pytest.raises(ClientError, match="AccessDenied"):
        create_table()


def test_creation_in_doubt_stays_in_doubt(canned):
    transport = canned(AttemptError("the connection broke", sent=True), IN_USE)
    with pytest.raises(AmbiguousWriteError):
        create_table()
    assert transport.operations == ["CreateTable"] * 2


def test_endpoint_that_is_not_dynamodb_is_told(canned):
    canned(*[{}] * 4)
    with pytest.raises(TransportError, match="the answer is corrupt"):
        create_table()
    for answer in ({}, {"Table": {}}, {"Table": 5}):
        canned(*[answer] * 4)
        status = describe_status()
        assert status["reachable"] is False
        assert status["problem"].startswith("DescribeTable failed: the answer is corrupt")


# --- removing


def test_table_is_removed_and_waited_for(canned, slept):
    transport = canned({"TableDescription": {}}, {"Table": description("DELETING")}, MISSING)
    assert destroy_table(table_name="other") is True
    assert transport.sent[0] == ("DeleteTable", {"TableName": "other"})
    assert transport.operations == ["DeleteTable", "DescribeTable", "DescribeTable"]
    assert slept == [0.1]


def test_removal_need_not_be_waited_for(canned):
    transport = canned({"TableDescription": {}})
    assert destroy_table(table_name="other", wait=False) is True
    assert transport.operations == ["DeleteTable"]


def test_missing_table_is_not_removed(canned):
    canned(MISSING)
    assert destroy_table(table_name="other") is False


def test_removal_that_is_refused_is_told(canned):
    canned({"__type": "x#ValidationException", "message": "protected"})
    with pytest.raises(ClientError, match="protected"):
        destroy_table(table_name="other")
    canned({}, {"__type": "x#AccessDeniedException", "message": "no"})
    with pytest.raises(ClientError, match="AccessDenied"):
        destroy_table(table_name="other")


def test_waiting_for_a_removal_ends(canned):
    canned({}, *[{"Table": description("DELETING")}] * 1000)
    with pytest.raises(TransportError, match="The table 'other' is still being removed after 300 seconds"):
        destroy_table(table_name="other")


@pytest.mark.parametrize("table_name", [None, "", 5])
def test_removal_needs_a_name(table_name, canned):
    transport = canned()
    with pytest.raises(ValidationError, match="destroy_table needs the name of the table") as caught:
        destroy_table(table_name=table_name)
    assert caught.value.path == "table_name"
    assert transport.sent == []
    with pytest.raises(TypeError):
        destroy_table()


# --- status


def test_status_without_a_client():
    assert describe_status() == {
        "initialized": False,
        "problem": "DynamoDB client not initialized. Call init_client() first.",
    }


def test_status_of_a_table(canned):
    canned({"Table": change([GSI, 0], None)}, endpoint="http://localhost:1")
    assert describe_status() == {
        "initialized": True,
        "table_name": "mine",
        "region": "us-east-1",
        "endpoint": "http://localhost:1",
        "transport": "canned",
        "transport_reason": "set by a test",
        "reachable": True,
        "table": {
            "status": "ACTIVE",
            "item_count": 3,
            "size_bytes": 100,
            "differences": ["the index 'indexScope' is missing"],
        },
        "problem": None,
    }


@pytest.mark.parametrize(
    ("answers", "settings", "reachable", "problem"),
    [
        ([MISSING], {}, True, "create it with create_table()"),
        ([{"__type": "x#AccessDeniedException", "message": "not authorized"}], {}, True, "not authorized"),
        ([AttemptError("nobody there", sent=False)] * 4, {}, False, "DescribeTable failed: nobody there (attempt 4"),
        ([], {"table_name": None}, False, "No table name. Pass init_client(table_name=…) or set DYNAMODB_TABLE_NAME."),
    ],
)
def test_status_says_what_is_wrong(answers, settings, reachable, problem, canned):
    canned(*answers, **settings)
    status = describe_status()
    assert status["initialized"] is True
    assert status["reachable"] is reachable
    assert status["table"] is None
    assert problem in status["problem"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"transport": "pigeon"}, "transport must be one of"), ({"client": object()}, "client is no botocore client")],
)
def test_status_of_a_client_that_cannot_be_used(settings, problem):
    with use_client(make_client(table_name="mine", **settings)):
        status = describe_status()
    assert status["transport"] is None
    assert problem in status["problem"]


def test_status_shows_no_credentials(canned):
    canned({"Table": description()}, credentials=("AKIAHIDDEN", "hidden-secret", "hidden-token"))
    assert "hidden" not in repr(describe_status()).lower()
