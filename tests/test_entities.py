"""What a write makes of an entity, and what it refuses before anything is sent. No engine."""

from __future__ import annotations

import copy
import json
import re
import uuid
from decimal import Decimal
from types import MappingProxyType

import pytest
from transports import LOST, Scripted, refusal

from jaypie_dynamo import (
    APEX,
    AmbiguousWriteError,
    ConfigurationError,
    ConflictError,
    ValidationError,
    calculate_scope,
    create_entity,
    destroy_entity,
    get_entity,
    init_client,
    new_entity,
    put_entity,
    reset_client,
    where,
)

NOW_MS = 1767744000123
NOW = "2026-01-07T00:00:00.123Z"
THEN = "2020-02-29T12:00:00.000Z"
KEY = {"model": "record", "id": "1"}
LEAST = KEY | {"scope": APEX}
STAMPS = {"sequence": NOW_MS, "createdAt": NOW, "updatedAt": NOW}
TYPED_KEY = {"model": {"S": "record"}, "id": {"S": "1"}}


@pytest.fixture(autouse=True)
def transport():
    client = init_client(table_name="the-table")
    client.set_transport(Scripted())
    yield client.transport
    reset_client()


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr("jaypie_dynamo._entities.now_ms", lambda: NOW_MS)
    monkeypatch.setattr("jaypie_dynamo._transport._policy.delay_s", lambda *_, **__: 0.0)


# --- what is stored ------------------------------------------------------------------------------------------------

STORED = {
    "the least": (LEAST, LEAST | STAMPS | {"indexScope": "@#record"}),
    "stamps of its own": (
        LEAST | {"sequence": 5, "createdAt": THEN, "updatedAt": THEN},
        LEAST | {"sequence": 5, "createdAt": THEN, "updatedAt": THEN, "indexScope": "@#record"},
    ),
    "stamps that are None or empty": (
        LEAST | {"sequence": None, "createdAt": None, "updatedAt": ""},
        LEAST | STAMPS | {"indexScope": "@#record"},
    ),
    "a sequence of zero": (LEAST | {"sequence": 0}, LEAST | STAMPS | {"sequence": 0, "indexScope": "@#record"}),
    "only createdAt": (
        LEAST | {"createdAt": THEN},
        LEAST | STAMPS | {"createdAt": THEN, "indexScope": "@#record"},
    ),
    "only updatedAt": (
        LEAST | {"updatedAt": THEN},
        LEAST | STAMPS | {"updatedAt": THEN, "indexScope": "@#record"},
    ),
    "every index": (
        LEAST | STAMPS | {"alias": "log", "class": "memory", "type": 7, "xid": "ext-1"},
        LEAST
        | STAMPS
        | {"alias": "log", "class": "memory", "type": 7, "xid": "ext-1"}
        | {"indexScope": "@#record", "indexAlias": "@#record#log", "indexClass": "@#record#memory"}
        | {"indexType": "@#record#7", "indexXid": "@#record#ext-1"},
    ),
    "a child": (
        LEAST | STAMPS | {"scope": calculate_scope({"model": "chat", "id": "a"})},
        LEAST | STAMPS | {"scope": "chat#a", "indexScope": "chat#a#record"},
    ),
    "optional fields that are None": (
        LEAST | STAMPS | dict.fromkeys(["alias", "class", "type", "xid", "archivedAt", "deletedAt"]),
        LEAST | STAMPS | {"indexScope": "@#record"},
    ),
    "other fields that are None": (
        LEAST | STAMPS | {"name": None, "state": {"alias": None}},
        LEAST | STAMPS | {"name": None, "state": {"alias": None}, "indexScope": "@#record"},
    ),
    "an empty alias": (LEAST | STAMPS | {"alias": ""}, LEAST | STAMPS | {"alias": "", "indexScope": "@#record"}),
    "keys left behind": (
        LEAST
        | STAMPS
        | {"alias": None, "class": "", "xid": "new"}
        | {"indexScope": "old", "indexAlias": "old", "indexClass": "old", "indexType": "old", "indexXid": "old"},
        LEAST | STAMPS | {"class": "", "xid": "new", "indexScope": "@#record", "indexXid": "@#record#new"},
    ),
    "archived": (
        LEAST | STAMPS | {"archivedAt": THEN, "alias": "log"},
        LEAST
        | STAMPS
        | {"archivedAt": THEN, "alias": "log"}
        | {"indexScope": "@#record#archived", "indexAlias": "@#record#log#archived"},
    ),
    "deleted": (
        LEAST | STAMPS | {"deletedAt": THEN},
        LEAST | STAMPS | {"deletedAt": THEN, "indexScope": "@#record#deleted"},
    ),
    "archived and deleted": (
        LEAST | STAMPS | {"archivedAt": THEN, "deletedAt": THEN},
        LEAST | STAMPS | {"archivedAt": THEN, "deletedAt": THEN, "indexScope": "@#record#archived#deleted"},
    ),
    "restored by hand": (
        LEAST | STAMPS | {"deletedAt": None, "indexScope": "@#record#deleted"},
        LEAST | STAMPS | {"indexScope": "@#record"},
    ),
}
# Numbers and maps as DynamoDB writes them; the items here hold no more.
TYPES = {str: lambda value: {"S": value}, int: lambda value: {"N": str(value)}, type(None): lambda _: {"NULL": True}}
TYPES[dict] = lambda value: {"M": {name: typed(element) for name, element in value.items()}}


def typed(value):
    return TYPES[type(value)](value)


@pytest.mark.parametrize("write", [put_entity, create_entity])
@pytest.mark.parametrize(("entity", "stored"), STORED.values(), ids=STORED)
def test_what_is_returned_is_what_is_stored(transport, write, entity, stored):
    transport.answers = [{}]
    before = copy.deepcopy(entity)
    returned = write(entity=MappingProxyType(entity))
    assert returned == stored
    assert transport.body["Item"] == {name: typed(value) for name, value in stored.items()}
    assert entity == before
    assert transport.body.get("ConditionExpression") == (
        "attribute_not_exists(#n0)" if write is create_entity else None
    )


@pytest.mark.parametrize("write", [put_entity, create_entity])
def test_the_entity_passed_is_not_the_one_returned(transport, write):
    transport.answers = [{}]
    entity = LEAST | STAMPS | {"indexScope": "@#record"}
    returned = write(entity=entity)
    assert returned == entity
    returned["name"] = "changed"
    assert "name" not in entity


def test_a_sequence_may_be_any_number(transport):
    transport.answers = [{}, {}]
    put_entity(entity=LEAST | {"sequence": Decimal("1.50")})
    assert transport.body["Item"]["sequence"] == {"N": "1.50"}
    put_entity(entity=LEAST | {"sequence": -0.5})
    assert transport.body["Item"]["sequence"] == {"N": "-0.5"}


# --- what stood in the way -----------------------------------------------------------------------------------------


def test_create_tells_what_is_there(transport):
    transport.answers = [refusal("ConditionalCheckFailedException", Item=TYPED_KEY | {"deletedAt": {"S": THEN}})]
    with pytest.raises(ConflictError, match="There is a 'record' with this id already; use put_entity") as caught:
        create_entity(entity=LEAST)
    assert caught.value.existing == KEY | {"deletedAt": THEN}


def test_create_without_anything_made_up_is_not_sent_twice_where_its_answer_was_lost(transport):
    """Nothing would tell its own entity from an equal one of somebody else's."""
    transport.answers = [LOST]
    time = "2026-01-07T00:00:00.000Z"
    with pytest.raises(AmbiguousWriteError):
        create_entity(entity={**LEAST, "sequence": 1, "createdAt": time, "updatedAt": time})
    assert len(transport.requests) == 1


@pytest.mark.parametrize("is_own", [True, False])
def test_create_recognises_its_own_entity_where_an_answer_was_lost(transport, is_own):
    def find_stored():
        first, _ = transport.requests
        stored = json.loads(first.body)["Item"]
        return refusal(
            "ConditionalCheckFailedException", Item=stored if is_own else {**stored, "name": {"S": "another"}}
        )

    transport.answers = [LOST, find_stored]
    if is_own:
        created = create_entity(entity=LEAST)
        assert created["updatedAt"] == json.loads(transport.requests[1].body)["Item"]["updatedAt"]["S"]
    else:
        with pytest.raises(AmbiguousWriteError) as caught:
            create_entity(entity=LEAST)
        assert caught.value.existing["name"] == "another"
    assert len(transport.requests) == 2


def test_put_is_sent_again_where_its_answer_was_lost(transport):
    transport.answers = [LOST, {}]
    put_entity(entity=LEAST)
    first, second = transport.requests
    assert first.body == second.body


def test_destroy_tells_what_stood_against_its_condition(transport):
    transport.answers = [refusal("ConditionalCheckFailedException", Item=TYPED_KEY | {"status": {"S": "open"}})]
    with pytest.raises(ConflictError, match="not as this write requires") as caught:
        destroy_entity(**KEY, condition=where("status").eq("done"))
    assert caught.value.existing == KEY | {"status": "open"}


def test_destroy_of_nothing_with_a_condition(transport):
    transport.answers = [refusal("ConditionalCheckFailedException")]
    assert destroy_entity(**KEY, condition=where("status").eq("done")) is False


def test_get_asks_as_it_is_told(transport):
    transport.answers = [{}, {}]
    assert get_entity(**KEY) is None
    assert transport.body == {"TableName": "the-table", "Key": TYPED_KEY}
    assert get_entity(**KEY, consistent=True) is None
    assert transport.body["ConsistentRead"] is True


# --- what is refused -----------------------------------------------------------------------------------------------

BAD_ENTITIES = {
    "no mapping": ([LEAST], "entity", "must be a mapping of attribute names to values, not a list"),
    "None": (None, "entity", "must be a mapping"),
    "no model": ({"id": "1", "scope": APEX}, "model", "model is missing or empty"),
    "empty model": (LEAST | {"model": ""}, "model", "model is missing or empty"),
    "model of another type": (LEAST | {"model": 5}, "model", "model is a int; it must be a non-empty str"),
    "model with a separator": (LEAST | {"model": "a#b"}, "model", "use '-' or '_'"),
    "no id": ({"model": "record", "scope": APEX}, "id", "id is missing or empty"),
    "id of another type": (LEAST | {"id": uuid.UUID(int=0)}, "id", "id is a UUID; it must be a non-empty str"),
    "long id": (LEAST | {"id": "é" * 513}, "id", "id has 1026 bytes; DynamoDB allows 1024"),
    "no scope": (KEY, "scope", 'scope is missing or empty; it must be a non-empty str; the root is APEX, "@"'),
    "scope of another type": (LEAST | {"scope": KEY}, "scope", "scope is a dict"),
    "sequence of another type": (LEAST | {"sequence": "5"}, "sequence", "must be a number, such as epoch milliseconds"),
    "a bool for a sequence": (LEAST | {"sequence": True}, "sequence", "must be a number, such as epoch milliseconds"),
    "NaN": (LEAST | {"sequence": float("nan")}, "sequence", "must be a finite number"),
    "signalling NaN": (LEAST | {"sequence": Decimal("sNaN")}, "sequence", "must be a finite number"),
    "infinity": (LEAST | {"sequence": float("inf")}, "sequence", "must be a finite number"),
    "a sequence out of range": (LEAST | {"sequence": 1e300}, "sequence", "DynamoDB's range"),
    "alias of another type": (LEAST | {"alias": 1.5}, "alias", "alias is a float; it must be a non-empty str or int"),
    "class of another type": (LEAST | {"class": True}, "class", "class is a bool"),
    "type that reads as a state": (LEAST | {"type": "x#deleted"}, "type", "must not end in #archived or #deleted"),
    "xid that reads as a state": (LEAST | {"xid": "x#archived"}, "xid", "must not end in #archived or #deleted"),
    "a key that is too long": (
        LEAST | {"xid": "x" * 2040},
        "xid",
        "a key of 2049 bytes; DynamoDB allows 2048: shorten it",
    ),
    "a key too long with its state": (
        LEAST | {"xid": "x" * 2032, "archivedAt": THEN},
        "xid",
        "a key of 2050 bytes; DynamoDB allows 2048",
    ),
    "a value that cannot be stored": (
        LEAST | {"state": {"at": [object()]}},
        "state.at[0]",
        "cannot be stored; convert",
    ),
}


@pytest.mark.parametrize("write", [put_entity, create_entity])
@pytest.mark.parametrize(("entity", "path", "says"), BAD_ENTITIES.values(), ids=BAD_ENTITIES)
def test_a_bad_entity(transport, write, entity, path, says):
    with pytest.raises(ValidationError) as caught:
        write(entity=entity)
    assert caught.value.path == path
    assert says in str(caught.value)
    assert transport.requests == []


@pytest.mark.parametrize("call", [get_entity, destroy_entity])
@pytest.mark.parametrize(
    ("key", "path", "says"),
    [
        (KEY | {"model": ""}, "model", "model is missing or empty"),
        (KEY | {"model": None}, "model", "model is missing or empty"),
        (KEY | {"model": "a#b"}, "model", "must not contain '#'"),
        (KEY | {"model": "m" * 2049}, "model", "2049 bytes; DynamoDB allows 2048"),
        (KEY | {"id": ""}, "id", "id is missing or empty"),
        (KEY | {"id": 5}, "id", "id is a int; it must be a non-empty str"),
        (KEY | {"id": "x" * 1025}, "id", "1025 bytes; DynamoDB allows 1024"),
        (KEY | {"id": "\ud800"}, "id", "lone surrogate"),
    ],
)
def test_a_bad_key(transport, call, key, path, says):
    with pytest.raises(ValidationError) as caught:
        call(**key)
    assert caught.value.path == path
    assert says in str(caught.value)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("options", "path", "says"),
    [
        ({"condition": True}, "condition", 'such as where("status").eq("open"), not a bool'),
        ({"condition": "status = done"}, "condition", "must be a condition"),
        ({"if_unchanged": KEY}, "if_unchanged", "with its updatedAt"),
        ({"if_unchanged": KEY | {"id": "2", "updatedAt": NOW}}, "if_unchanged.id", "another id"),
    ],
)
def test_a_bad_condition_of_destroy(transport, options, path, says):
    with pytest.raises(ValidationError) as caught:
        destroy_entity(**KEY, **options)
    assert caught.value.path == path
    assert says in str(caught.value)
    assert transport.requests == []


CALLS = {
    "put_entity": lambda: put_entity(entity=LEAST),
    "create_entity": lambda: create_entity(entity=LEAST),
    "get_entity": lambda: get_entity(**KEY),
    "destroy_entity": lambda: destroy_entity(**KEY),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_a_client_or_a_table(call):
    init_client()
    with pytest.raises(ConfigurationError, match=r"Pass init_client\(table_name=…\)"):
        call()
    reset_client()
    with pytest.raises(ConfigurationError, match=r"not initialized. Call init_client\(\) first"):
        call()


# --- in memory -----------------------------------------------------------------------------------------------------


def test_a_new_entity_is_complete():
    reset_client()  # it needs none
    entity = new_entity(model="record", name="Daily Log", alias="log", **{"class": "memory"})
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", entity["id"])
    assert uuid.UUID(entity["id"]).version == 4
    assert entity == {
        "model": "record",
        "id": entity["id"],
        "name": "Daily Log",
        "scope": APEX,
        **STAMPS,
        "alias": "log",
        "class": "memory",
    }


def test_new_ids_differ():
    assert len({new_entity(model="record", name="n")["id"] for _ in range(100)}) == 100


def test_fields_of_ones_own_stand():
    fields = {"id": "1", "sequence": 5, "createdAt": THEN, "updatedAt": THEN, "scope": "chat#1"}
    assert new_entity(model="record", name="n", **fields) == {"model": "record", "name": "n", **fields}


def test_a_new_entity_is_stored_as_it_is(transport):
    transport.answers = [{}]
    entity = new_entity(model="record", name="n", alias="log")
    assert create_entity(entity=entity) == entity | {"indexScope": "@#record", "indexAlias": "@#record#log"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": "a#b"}, "model"),
        ({"model": None}, "model"),
        ({"scope": ""}, "scope"),
        ({"scope": None}, "scope"),
        ({"id": ""}, "id"),
        ({"sequence": "1"}, "sequence"),
        ({"alias": 1.5}, "alias"),
        ({"xid": "x#deleted"}, "xid"),
    ],
)
def test_a_new_entity_with_a_bad_field(fields, path):
    with pytest.raises(ValidationError) as caught:
        new_entity(**{"model": "record", "name": "n"} | fields)
    assert caught.value.path == path
