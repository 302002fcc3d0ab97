"""Entities stored, read and removed, on each engine by each transport."""

from __future__ import annotations

import copy
from decimal import Decimal

import pytest

from jaypie_dynamo import (
    APEX,
    ConflictError,
    calculate_scope,
    create_entity,
    destroy_entity,
    get_client,
    get_entity,
    new_entity,
    put_entity,
    query_by_alias,
    query_by_class,
    query_by_scope,
    unmarshal_item,
    where,
)

pytestmark = pytest.mark.usefixtures("client")

THEN = "2020-02-29T12:00:00.000Z"
KEY = {"model": "record", "id": "1"}
LEAST = KEY | {"scope": APEX}
FULL = LEAST | {
    "name": "Daily Log",
    "alias": "2026-01-07",
    "class": "memory",
    "type": 7,
    "xid": "ext-1",
    "sequence": 1767744000000,
    "createdAt": THEN,
    "updatedAt": THEN,
    "state": {"count": 3, "ratio": 0.1, "exact": Decimal("0.1000000000000000000000000000000000001"), "none": None},
    "tags": {"a", "b"},
    "numbers": {1, 2.5},
    "raw": b"\x00\xff",
    "lines": [{"sku": "x"}, [], {}, "", True],
    "ключ": "ж🎉",
    "a.b[0]": "a name that reads as a path",
}


def read_stored(client, **key):
    """The item as a client that is not ours reads it."""
    typed_key = {name: {"S": value} for name, value in key.items()}
    answer = get_client().get_item(TableName=client.table_name, Key=typed_key, ConsistentRead=True)
    return unmarshal_item(answer["Item"]) if "Item" in answer else None


@pytest.mark.parametrize("write", [put_entity, create_entity])
@pytest.mark.parametrize(
    "entity",
    [
        LEAST,
        FULL,
        FULL | {"archivedAt": THEN},
        FULL | {"deletedAt": THEN, "alias": None},
        FULL | {"archivedAt": THEN, "deletedAt": THEN, "scope": calculate_scope({"model": "chat", "id": "a"})},
    ],
    ids=["least", "full", "archived", "deleted", "both, a child"],
)
def test_what_is_returned_is_what_is_stored(client, write, entity):
    before = copy.deepcopy(entity)
    returned = write(entity=entity)
    assert entity == before
    assert read_stored(client, **KEY) == returned
    assert get_entity(**KEY, consistent=True) == returned
    assert get_entity(**KEY) == returned
    assert None not in (returned.get("sequence"), returned.get("createdAt"), returned.get("updatedAt"))
    assert "alias" not in returned or returned["alias"] == "2026-01-07"


def test_get_of_what_is_not_there():
    put_entity(entity=LEAST)
    assert get_entity(model="record", id="2") is None
    assert get_entity(model="note", id="1", consistent=True) is None


def test_put_replaces_the_whole(client):
    put_entity(entity=FULL)
    put_entity(entity=LEAST | {"sequence": 5, "createdAt": THEN, "updatedAt": THEN})
    assert read_stored(client, **KEY) == LEAST | {
        "sequence": 5,
        "createdAt": THEN,
        "updatedAt": THEN,
        "indexScope": "@#record",
    }


def test_fields_that_are_none(client):
    put_entity(entity=FULL | {"alias": None, "class": None, "deletedAt": None, "name": None})
    stored = read_stored(client, **KEY)
    assert {"alias", "class", "deletedAt", "indexAlias", "indexClass"}.isdisjoint(stored)
    assert stored["name"] is None
    assert stored["indexType"] == "@#record#7"


def test_a_key_left_behind_finds_nothing_any_more():
    stored = put_entity(entity=FULL)
    put_entity(entity=stored | {"alias": None, "class": "dream"})
    assert query_by_alias(model="record", scope=APEX, alias="2026-01-07") is None
    assert query_by_class(model="record", scope=APEX, record_class="memory").items == []
    assert [found["id"] for found in query_by_class(model="record", scope=APEX, record_class="dream").items] == ["1"]


def test_the_state_follows_the_entity():
    stored = put_entity(entity=FULL | {"deletedAt": THEN})
    assert query_by_scope(model="record", scope=APEX).items == []
    assert query_by_scope(model="record", scope=APEX, deleted=True).items == [stored]
    restored = put_entity(entity=stored | {"deletedAt": None})
    assert query_by_scope(model="record", scope=APEX).items == [restored]
    assert query_by_scope(model="record", scope=APEX, deleted=True).items == []


@pytest.mark.parametrize("state", [{}, {"archivedAt": THEN}, {"deletedAt": THEN}])
def test_create_leaves_alone_what_is_there(client, state):
    stored = put_entity(entity=FULL | state)
    with pytest.raises(ConflictError) as caught:
        create_entity(entity=LEAST | {"name": "another"})
    assert caught.value.existing == stored
    assert read_stored(client, **KEY) == stored


def test_create_beside_others(client):
    keys = [KEY, KEY | {"id": "2"}, KEY | {"model": "note"}]
    stored = [create_entity(entity=FULL | key) for key in keys]
    assert [read_stored(client, **key) for key in keys] == stored


def test_destroy(client):
    put_entity(entity=FULL)
    put_entity(entity=FULL | {"id": "2"})
    assert destroy_entity(**KEY) is True
    assert destroy_entity(**KEY) is False
    assert read_stored(client, **KEY) is None
    assert [item["id"] for item in query_by_scope(model="record", scope=APEX).items] == ["2"]


def test_destroy_on_a_condition(client):
    stored = put_entity(entity=FULL)
    with pytest.raises(ConflictError) as caught:
        destroy_entity(**KEY, condition=where("state.count") > 3)
    assert caught.value.existing == stored
    assert read_stored(client, **KEY) == stored
    assert destroy_entity(**KEY, condition=where("state.count") >= 3) is True
    assert read_stored(client, **KEY) is None


def test_destroy_of_nothing_on_a_condition():
    assert destroy_entity(**KEY, condition=where("status").eq("done")) is False
    assert destroy_entity(**KEY, condition=where("status").not_exists()) is False


def test_destroy_of_what_was_changed_since():
    read = put_entity(entity=FULL)
    changed = put_entity(entity=FULL | {"updatedAt": "2026-01-08T00:00:00.000Z"})
    with pytest.raises(ConflictError) as caught:
        destroy_entity(**KEY, if_unchanged=read)
    assert caught.value.existing == changed
    assert destroy_entity(**KEY, if_unchanged=changed) is True


def test_a_new_entity_makes_the_whole_way():
    entity = new_entity(model="record", name="Daily Log", alias="log")
    stored = create_entity(entity=entity)
    assert get_entity(model="record", id=entity["id"], consistent=True) == stored
    assert query_by_alias(model="record", scope=APEX, alias="log") == stored
    assert destroy_entity(model="record", id=entity["id"]) is True


@pytest.mark.parametrize("key", [{"model": "m" * 2039, "id": "é" * 512}, {"model": "ж-1", "id": "a#b c/🎉"}])
def test_keys_at_their_limits(key):
    stored = put_entity(entity=key | {"scope": "@"})
    assert get_entity(**key) == stored
    assert query_by_scope(model=key["model"], scope="@").items == [stored]
    assert destroy_entity(**key) is True
