"""How many requests each operation takes: they are what a caller pays for and waits for."""

from __future__ import annotations

import pytest
from transports import record

from jaypie_dynamo import (
    APEX,
    ConflictError,
    count_by_class,
    count_by_scope,
    create_entity,
    destroy_entity,
    get_client,
    get_entity,
    index_entity,
    iter_query,
    marshal_item,
    new_entity,
    put_entity,
    query,
    query_by_alias,
    query_by_class,
    query_by_scope,
    query_by_type,
    query_by_xid,
    where,
)

TIME = "2026-01-07T00:00:00.000Z"
RECORDS = {"model": "record", "scope": APEX}
DELETED = {"include_deleted": True}
ARCHIVED = {"include_archived": True}
BOTH = DELETED | ARCHIVED
KEY = {"model": "record", "id": "1"}


def store(client, items):
    items = list(items)
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": marshal_item(item)}} for item in items[start : start + 25]]
        get_client().batch_write_item(RequestItems={client.table_name: puts})


def conflict():
    with pytest.raises(ConflictError):
        create_entity(entity=RECORDS | {"id": "1"})


def test_entities(client):
    recorder = record(client)
    for call, operations in [
        (lambda: new_entity(model="record", name="n"), []),
        (lambda: put_entity(entity=RECORDS | {"id": "1"}), ["PutItem"]),
        (lambda: put_entity(entity=RECORDS | {"id": "1"}), ["PutItem"]),
        (lambda: create_entity(entity=RECORDS | {"id": "2"}), ["PutItem"]),
        (conflict, ["PutItem"]),
        (lambda: get_entity(**KEY), ["GetItem"]),
        (lambda: get_entity(**KEY, consistent=True), ["GetItem"]),
        (lambda: get_entity(model="record", id="nobody"), ["GetItem"]),
        (lambda: destroy_entity(**KEY, condition=where("id").eq("1")), ["DeleteItem"]),
        (lambda: destroy_entity(**KEY), ["DeleteItem"]),
        (lambda: destroy_entity(**KEY, condition=where("id").eq("1")), ["DeleteItem"]),
    ]:
        call()
        assert recorder.operations == operations
        recorder.requests.clear()


def test_queries(client):
    fields = {"alias": "a", "class": "c", "type": "t", "xid": "x"}
    gone = {"deletedAt": TIME, "alias": "gone"}
    for number in range(9):
        put_entity(entity=RECORDS | fields | {"id": str(number), "sequence": number})
        put_entity(entity=RECORDS | fields | {"id": f"d{number}", "sequence": number} | gone)
    recorder = record(client)
    for call, requests in [
        (lambda: query_by_scope(**RECORDS), 1),
        (lambda: query_by_scope(**RECORDS, limit=5), 1),
        (lambda: query_by_scope(**RECORDS, limit=100), 1),
        (lambda: query_by_scope(**RECORDS, limit=5, **DELETED), 2),
        (lambda: query_by_scope(**RECORDS, limit=18, **DELETED), 2),
        (lambda: query_by_scope(**RECORDS, **ARCHIVED), 2),
        (lambda: query_by_scope(**RECORDS, limit=5, **BOTH), 4),
        (lambda: query_by_scope(**RECORDS, **BOTH), 4),
        (lambda: query_by_scope(**RECORDS, deleted=True), 1),
        (lambda: query_by_scope(**RECORDS, deleted=True, archived=True), 1),
        (lambda: query_by_scope(**RECORDS, after=3, before=5), 1),
        (lambda: query_by_scope(**RECORDS, where=where("nothing").exists(), limit=3), 1),
        (lambda: query_by_class(**RECORDS, record_class="c", limit=5), 1),
        (lambda: query_by_type(**RECORDS, type="t", limit=5, **DELETED), 2),
        (lambda: query(**RECORDS, filter=fields, limit=5), 1),
        (lambda: query(model="record", limit=5), 1),
        (lambda: query(model="record", **BOTH), 1),
        (lambda: query_by_alias(**RECORDS, alias="a"), 1),
        (lambda: query_by_alias(**RECORDS, alias="a", **BOTH), 1),
        (lambda: query_by_alias(**RECORDS, alias="nobody"), 1),
        (lambda: query_by_alias(**RECORDS, alias="gone", **DELETED), 2),
        (lambda: query_by_alias(**RECORDS, alias="gone", **BOTH), 3),
        (lambda: query_by_alias(**RECORDS, alias="nobody", **BOTH), 4),
        (lambda: query_by_alias(**RECORDS, alias="gone", deleted=True), 1),
        (lambda: query_by_xid(**RECORDS, xid="x"), 1),
        (lambda: count_by_scope(**RECORDS), 1),
        (lambda: count_by_scope(**RECORDS, after=3, before=5), 1),
        (lambda: count_by_class(**RECORDS, record_class="c", after=3, before=5, **BOTH), 4),
        (lambda: list(iter_query(query_by_scope, **RECORDS)), 1),
        (lambda: list(iter_query(query_by_scope, **RECORDS, page_size=4)), 3),
        (lambda: list(iter_query(query_by_scope, **RECORDS, page_size=4, limit=8)), 2),
        (lambda: next(iter_query(query_by_scope, **RECORDS, page_size=1)), 1),
    ]:
        call()
        assert recorder.operations == ["Query"] * requests, recorder.bodies
        recorder.requests.clear()


def test_a_rare_match_in_300_items(client):
    places = {0: "oldest", 150: "middle", 299: "newest"}
    items = [RECORDS | {"id": f"{n:03}", "sequence": n, "flag": places.get(n, "")} for n in range(300)]
    store(client, map(index_entity, items))
    recorder = record(client)
    for place, flag in places.items():
        for ascending in (True, False):
            items, _ = query_by_scope(**RECORDS, where=where("flag").eq(flag), limit=1, ascending=ascending)
            assert [item["id"] for item in items] == [f"{place:03}"]
            assert len(recorder.requests) <= 3
            recorder.requests.clear()
    found = query(**RECORDS, filter={"flag": "oldest"}, limit=1).items
    assert [item["id"] for item in found] == ["000"]
    assert len(recorder.requests) <= 3


def test_many_items_that_do_not_belong(client):
    # As the TypeScript package may leave them: deleted, with the keys of what is not.
    leftovers = [index_entity(RECORDS | {"id": f"{n:03}", "sequence": n}) for n in range(300)]
    store(client, [item | {"deletedAt": TIME} for item in leftovers])
    kept = put_entity(entity=RECORDS | {"id": "kept", "sequence": -1})
    recorder = record(client)
    assert query_by_scope(**RECORDS, limit=1).items == [kept]
    assert len(recorder.requests) <= 3
