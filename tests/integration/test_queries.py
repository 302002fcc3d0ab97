"""Every query function and option, on each engine by each transport."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from jaypie_dynamo import (
    APEX,
    calculate_scope,
    count_by_class,
    count_by_scope,
    count_by_type,
    create_table,
    destroy_table,
    get_client,
    get_entity,
    iter_query,
    make_client,
    marshal_item,
    put_entity,
    query,
    query_by_alias,
    query_by_class,
    query_by_scope,
    query_by_type,
    query_by_xid,
    use_client,
    where,
)

pytestmark = pytest.mark.usefixtures("client")

TIME = "2026-01-07T00:00:00.000Z"
RECORDS = {"model": "record", "scope": APEX}
STATES = {"": {}, "a": {"archivedAt": TIME}, "d": {"deletedAt": TIME}, "ad": {"archivedAt": TIME, "deletedAt": TIME}}
EVERY_STATE = {"include_archived": True, "include_deleted": True}

# What a call may ask for, and the states that come back.
ASKED = [
    ({}, [""]),
    ({"include_archived": True}, ["", "a"]),
    ({"include_deleted": True}, ["", "d"]),
    (EVERY_STATE, ["", "a", "d", "ad"]),
    ({"archived": True}, ["a"]),
    ({"deleted": True}, ["d"]),
    ({"archived": True, "deleted": True}, ["ad"]),
]


def put(id, sequence, state="", **fields):
    return put_entity(entity=RECORDS | {"id": id, "sequence": sequence} | STATES[state] | fields)


def put_raw(client, item):
    """Store an item as it is, with whatever keys it says."""
    get_client().put_item(TableName=client.table_name, Item=marshal_item(item))


def ids(result):
    return [item["id"] for item in getattr(result, "items", result)]


def read_all(function, **params):
    found, cursor = [], None
    while True:
        page, cursor = function(**params, start_key=cursor)
        found += ids(page)
        if cursor is None:
            return found
        cursor = json.loads(json.dumps(cursor))


# --- the functions -------------------------------------------------------------------------------------------------


def test_query_by_scope_lists_a_model_under_a_parent():
    chat = calculate_scope({"model": "chat", "id": "abc-123"})
    stored = [put(str(number), number, model="message", scope=chat) for number in range(3)]
    put("other model", 1, model="note", scope=chat)
    put("other parent", 1, model="message", scope=APEX)
    put("parent with a longer name", 1, model="message", scope=chat + "4")
    items, cursor = query_by_scope(model="message", scope=chat)
    assert items == stored[::-1]
    assert cursor is None
    assert query_by_scope(model="message", scope=chat, ascending=True).items == stored
    assert query_by_scope(model="message", scope="chat#nobody") == ([], None)
    assert items[0] == get_entity(model="message", id="2")


def test_query_by_class_and_type():
    put("1", 1, **{"class": "memory", "type": "note"})
    put("2", 2, **{"class": "memory", "type": 7})
    put("3", 3, **{"class": "dream", "type": "7"})
    put("4", 4)
    assert ids(query_by_class(**RECORDS, record_class="memory")) == ["2", "1"]
    assert ids(query_by_class(**RECORDS, record_class="memory", ascending=True)) == ["1", "2"]
    assert ids(query_by_class(**RECORDS, record_class="note")) == []
    assert ids(query_by_type(**RECORDS, type="note")) == ["1"]
    # A number and its text share a partition, and are asked for alike.
    assert ids(query_by_type(**RECORDS, type=7)) == ["3", "2"]
    assert ids(query_by_type(**RECORDS, type="7")) == ["3", "2"]
    assert count_by_type(**RECORDS, type="7") == 2


@pytest.mark.parametrize(("function", "field"), [(query_by_alias, "alias"), (query_by_xid, "xid")])
def test_query_for_one(function, field):
    for state in STATES:
        put(f"{state or 'active'} 1", 1, state, **{field: "x"})
        put(f"{state or 'active'} 2", 2, state, **{field: "x"})
        put(f"{state} other", 3, state, **{field: "y"})
    for state in ("d", "ad"):
        put(f"{state} gone", 9, state, **{field: "gone"})
    found = function(**RECORDS, **{field: "x"})
    assert found == get_entity(model="record", id="active 2")
    # Active before archived before deleted before both; then the highest sequence.
    for options, states in ASKED:
        assert function(**RECORDS, **{field: "x"}, **options)["id"] == f"{states[0] or 'active'} 2", options
        wanted = {"d": "d gone", "ad": "ad gone"}.get("d" if "d" in states else states[-1])
        gone = function(**RECORDS, **{field: "gone"}, **options)
        assert (gone and gone["id"]) == wanted, options
    assert function(**RECORDS, **{field: "nobody"}, **EVERY_STATE) is None
    assert function(model="note", scope=APEX, **{field: "x"}) is None
    assert (
        function(**RECORDS, **{field: "x"}, where=where("sequence_").exists() | where("id").eq("active 1"))["sequence"]
        == 1
    )
    assert function(**RECORDS, **{field: "x"}, attributes=["id"]) == {"id": "active 2"}


# --- states --------------------------------------------------------------------------------------------------------


def test_states_are_merged_in_the_order_of_the_sequence():
    order = ["", "d", "a", "ad", "a", "d", "", "", "ad"]
    for number, state in enumerate(order):
        put(f"{number}{state}", number, state, alias="x", type="t", xid="x", **{"class": "c"})
    for options, states in ASKED:
        wanted = [f"{number}{state}" for number, state in enumerate(order) if state in states]
        lists = {
            "scope": lambda **given: query_by_scope(**RECORDS, **given),
            "class": lambda **given: query_by_class(**RECORDS, record_class="c", **given),
            "type": lambda **given: query_by_type(**RECORDS, type="t", **given),
            "alias": lambda **given: query(**RECORDS, filter={"alias": "x"}, **given),
            "xid": lambda **given: query(**RECORDS, filter={"xid": "x"}, **given),
            "model": lambda **given: query(model="record", **given),
        }
        for name, function in lists.items():
            assert ids(function(ascending=True, **options)) == wanted, (name, options)
            assert ids(function(**options)) == wanted[::-1], (name, options)


# --- options -------------------------------------------------------------------------------------------------------


def test_limit_and_the_cursor():
    stored = [put(str(number), number) for number in range(5)][::-1]
    assert query_by_scope(**RECORDS, limit=5).items == stored
    assert query_by_scope(**RECORDS, limit=6) == (stored, None)
    assert query_by_scope(**RECORDS, limit=10**12) == (stored, None)
    items, cursor = query_by_scope(**RECORDS, limit=2)
    assert items == stored[:2]
    assert cursor == {"model": "record", "id": "3", "sequence": 3, "indexScope": "@#record"}
    items, cursor = query_by_scope(**RECORDS, limit=2, start_key=json.loads(json.dumps(cursor)))
    assert items == stored[2:4]
    assert query_by_scope(**RECORDS, limit=2, start_key=cursor) == (stored[4:], None)
    # A cursor names a position: a page of another size, or without its item, goes on from it all the same.
    assert query_by_scope(**RECORDS, start_key=cursor).items == stored[4:]
    assert query_by_scope(**RECORDS, start_key=cursor, include_deleted=True).items == stored[4:]


def test_the_cursor_is_what_dynamodb_says_for_one_partition(client):
    for number in range(3):
        put(str(number), number)
    answer = get_client().query(
        TableName=client.table_name,
        IndexName="indexScope",
        KeyConditionExpression="indexScope = :key",
        ExpressionAttributeValues={":key": {"S": "@#record"}},
        ScanIndexForward=False,
        Limit=2,
    )
    assert marshal_item(query_by_scope(**RECORDS, limit=2).last_evaluated_key) == answer["LastEvaluatedKey"]


def test_after_and_before():
    moment = datetime(2026, 1, 7, tzinfo=timezone.utc)
    start = 1767744000000
    for number in range(5):
        put(str(number), start + number, "d" if number % 2 else "", **{"class": "c"})
    second = timedelta(milliseconds=1)
    for ends, wanted in [
        ({"after": start + 2}, ["3", "4"]),
        ({"before": start + 2}, ["0", "1"]),
        ({"after": start, "before": start + 4}, ["1", "2", "3"]),
        ({"after": float(start + 1), "before": Decimal(start + 3)}, ["2"]),
        ({"after": start + 0.5, "before": start + 1.5}, ["1"]),
        ({"after": moment, "before": moment + 3 * second}, ["1", "2"]),
        ({"after": moment.astimezone(timezone(timedelta(hours=5))) + 3 * second}, ["4"]),
        ({"after": moment + timedelta(microseconds=2500)}, ["3", "4"]),
        ({"before": moment + timedelta(microseconds=2500)}, ["0", "1", "2"]),
        ({"after": start + 1, "before": start + 2}, []),
        ({"after": start + 9}, []),
        ({"after": 0, "before": 1}, []),
    ]:
        given = ends | {"include_deleted": True}
        assert ids(query_by_scope(**RECORDS, **given, ascending=True)) == wanted, ends
        assert ids(query_by_class(**RECORDS, record_class="c", **given)) == wanted[::-1], ends
        assert ids(query(model="record", **given, ascending=True)) == wanted, ends
        assert read_all(query_by_scope, **RECORDS, **given, limit=1, ascending=True) == wanted, ends
        assert count_by_scope(**RECORDS, **given) == len(wanted), ends


def test_where():
    for number in range(6):
        put(str(number), number, status="open" if number % 3 else "done", counts={"count": number}, **{"a.b": number})
    assert ids(query_by_scope(**RECORDS, where=where("status").eq("done"))) == ["3", "0"]
    assert ids(query_by_scope(**RECORDS, where=where("counts.count").between(2, 4), ascending=True)) == ["2", "3", "4"]
    assert ids(query_by_scope(**RECORDS, where=where(("a.b",)) > 3)) == ["5", "4"]
    assert ids(query_by_scope(**RECORDS, where=where("status").eq("open"), limit=3)) == ["5", "4", "2"]
    assert read_all(query_by_scope, **RECORDS, where=where("status").eq("open"), limit=1) == ["5", "4", "2", "1"]
    # Attributes that the check of each item needs may be asked for too.
    assert ids(query_by_scope(**RECORDS, where=where("scope").eq(APEX) & where("id").eq("1"))) == ["1"]
    assert ids(query_by_scope(**RECORDS, where=where("deletedAt").exists(), **EVERY_STATE)) == []
    assert ids(query_by_class(**RECORDS, record_class="c", where=where("class").eq("c"))) == []


def test_attributes(engine):
    put("1", 1, name="one", counts={"count": 1, "other": 2}, lines=[{"sku": "x"}, {"sku": "y"}], **{"class": "c"})
    put("2", 2, "d", name="two", **{"class": "c"})
    for attributes, wanted in [
        (["name"], {"name": "one"}),
        (["id", "sequence"], {"id": "1", "sequence": 1}),
        (["counts.count"], {"counts": {"count": 1}}),
        ([("counts", "other"), "class", "scope"], {"counts": {"other": 2}, "class": "c", "scope": "@"}),
        (["indexClass", "model"], {"indexClass": "@#record#c", "model": "record"}),
        (["nothing", "deletedAt"], {}),
        (("name", "archivedAt.x"), {"name": "one"}),
    ]:
        assert query_by_class(**RECORDS, record_class="c", attributes=attributes).items == [wanted], attributes
        assert query(**RECORDS, filter={"class": "c"}, attributes=attributes).items == [wanted], attributes
        assert query(model="record", attributes=attributes).items == [wanted], attributes
    if engine.name == "dynamodb_local":  # moto takes a name before an index for one that is not used
        found = query_by_scope(**RECORDS, attributes=["lines[1].sku", "lines[0]"]).items
        assert found == [{"lines": [{"sku": "x"}, {"sku": "y"}]}]
    # What the cursor and the merge need is read, and not given out.
    items, cursor = query_by_scope(**RECORDS, include_deleted=True, limit=1, attributes=["name"])
    assert items == [{"name": "two"}]
    assert cursor == {"model": "record", "id": "2", "sequence": 2, "indexScope": "@#record#deleted"}
    following = query_by_scope(**RECORDS, include_deleted=True, limit=1, attributes=["name"], start_key=cursor)
    assert following.items == [{"name": "one"}]


def test_max_pages_may_cut_a_page_short():
    for number in range(120):
        put(f"{number:03}", number, flag=number == 5)
    items, cursor = query_by_scope(**RECORDS, where=where("flag").eq(True), limit=1, max_pages=1)
    assert items == []
    assert cursor == {"model": "record", "id": "020", "sequence": 20, "indexScope": "@#record"}
    items, cursor = query_by_scope(**RECORDS, where=where("flag").eq(True), limit=1, max_pages=1, start_key=cursor)
    assert ids(items) == ["005"]


# --- items that lie in a partition and do not belong there ------------------------------------------------------------


def test_keys_that_read_alike():
    ours = [
        put(f"ours {number}", 10 * number, alias="a#b", xid="a#b", type="a#b", **{"class": "a#b"})
        for number in (1, 2, 3)
    ]
    for number in range(5):
        alike = {"scope": "@#record", "model": "a", "alias": "b", "xid": "b", "type": "b", "class": "b"}
        theirs = put(f"theirs {number}", 15 + 10 * number, **alike)
    assert theirs["indexAlias"] == ours[0]["indexAlias"]
    newest = ours[-1]
    assert query_by_alias(**RECORDS, alias="a#b") == newest
    assert query_by_xid(**RECORDS, xid="a#b") == newest
    assert query_by_alias(model="a", scope="@#record", alias="b") == theirs
    assert query_by_class(**RECORDS, record_class="a#b").items == ours[::-1]
    # The page is filled up with what does belong.
    assert query_by_class(**RECORDS, record_class="a#b", limit=2).items == ours[:0:-1]
    assert query_by_type(**RECORDS, type="a#b", ascending=True, limit=2).items == ours[:2]
    assert read_all(query_by_class, **RECORDS, record_class="a#b", limit=1) == ids(ours[::-1])
    assert read_all(query_by_class, **RECORDS, record_class="a#b", limit=1, max_pages=1) == ids(ours[::-1])
    assert count_by_class(**RECORDS, record_class="a#b") == 3
    assert count_by_class(model="a", scope="@#record", record_class="b") == 5


def test_items_as_the_typescript_package_leaves_them(client):
    kept = [put("kept", 1, alias="x"), put("kept, deleted", 2, "d", alias="x")]
    # It indexes anew on an update, without a look at the state.
    put_raw(client, RECORDS | {"id": "lost", "sequence": 3, "deletedAt": TIME, "indexScope": "@#record"})
    put_raw(client, RECORDS | {"id": "half", "sequence": 4, "indexScope": "@#record#deleted"} | STATES["ad"])
    # It leaves the key of a field that is no longer set.
    left = {"id": "stale", "sequence": 5, "indexScope": "@#record", "indexAlias": "@#record#x"}
    put_raw(client, RECORDS | left)
    put_raw(client, RECORDS | left | {"id": "renamed", "sequence": 6, "alias": "y"})
    put_raw(client, RECORDS | {"id": "no sequence", "indexScope": "@#record"})
    assert ids(query_by_scope(**RECORDS)) == ["renamed", "stale", "kept"]
    assert ids(query_by_scope(**RECORDS, deleted=True)) == ["kept, deleted"]
    assert ids(query_by_scope(**RECORDS, **EVERY_STATE)) == ["renamed", "stale", "kept, deleted", "kept"]
    assert query_by_alias(**RECORDS, alias="x") == kept[0]
    assert query_by_alias(**RECORDS, alias="x", include_deleted=True) == kept[0]
    assert [count_by_scope(**RECORDS, **options) for options, _ in ASKED] == [3, 3, 4, 4, 0, 1, 0]
    # By model alone every item is looked at as it is.
    assert ids(query(model="record", ascending=True)) == ["kept", "no sequence", "renamed", "stale"]
    assert ids(query(model="record", deleted=True)) == ["lost", "kept, deleted"]
    assert ids(query(model="record", archived=True, deleted=True)) == ["half"]


# --- query ---------------------------------------------------------------------------------------------------------


def test_query_finds_the_same_through_each_index():
    fields = {"alias": "a", "xid": "x", "class": "c", "type": "t"}
    stored = put("1", 1, **fields, status="open")
    put("2", 2, **fields, status="done")
    put("3", 3, status="open")
    for field, value in fields.items():
        assert ids(query(**RECORDS, filter={field: value})) == ["2", "1"], field
        assert query(**RECORDS, filter={field: value, "status": "open"}).items == [stored], field
        assert query(model="record", filter={field: value, "status": "open"}).items == [stored], field
        assert ids(query(**RECORDS, filter={field: "other"})) == [], field
        assert ids(query(**RECORDS, filter={field: None})) == ["3"], field
    assert query(**RECORDS, filter=fields, where=where("status").eq("open")).items == [stored]
    assert ids(query(**RECORDS, filter=fields | {"type": "other"})) == []
    assert ids(query(**RECORDS)) == ["3", "2", "1"]
    assert ids(query(**RECORDS, filter={"status": "open", "id": "3", "alias": None})) == ["3"]
    assert ids(query(**RECORDS, filter={"model": "record", "scope": APEX, "status": "done"})) == ["2"]


def test_query_filters_by_names_as_they_are():
    put("1", 1, **{"a.b": 1, "c": None, "d": ""})
    put("2", 2, a={"b": 1}, c="x", d="x")
    assert ids(query(**RECORDS, filter={"a.b": 1})) == ["1"]
    assert ids(query(**RECORDS, filter={"a": {"b": 1}})) == ["2"]
    assert ids(query(**RECORDS, filter={"c": None})) == ["1"]
    assert ids(query(**RECORDS, filter={"d": None})) == ["1"]
    assert ids(query(**RECORDS, filter={"d": ""})) == ["1"]
    assert ids(query(**RECORDS, filter={"e": None})) == ["2", "1"]


def test_query_by_model_alone():
    for number in range(4):
        put(str(number), 10 - number, scope=f"chat#{number % 2}", model="message")
    put("x", 1, model="note")
    assert ids(query(model="message")) == ["3", "2", "1", "0"]
    assert ids(query(model="message", ascending=True, after=7)) == ["0", "1", "2"]
    assert ids(query(model="message", after=7, before=10)) == ["2", "1"]
    items, cursor = query(model="message", ascending=True, limit=1, where=where("sequence") < 10)
    assert ids(items) == ["1"]
    assert cursor == {"model": "message", "id": "1"}
    assert read_all(query, model="message", limit=1, ascending=True) == ["0", "1", "2", "3"]
    assert query(model="message", limit=2, attributes=["scope"]).items == [{"scope": "chat#1"}, {"scope": "chat#0"}]


# --- iter_query ----------------------------------------------------------------------------------------------------


def test_iter_query():
    for number in range(7):
        put(str(number), number, "d" if number % 2 else "", **{"class": "c"})
    newest_first = list("6543210")
    every = RECORDS | EVERY_STATE
    assert ids(iter_query(query_by_scope, **every)) == newest_first
    for page_size in (1, 2, 7, 100):
        assert ids(iter_query(query_by_scope, **every, page_size=page_size)) == newest_first, page_size
        for limit in (1, 3, 7, 8):
            found = ids(iter_query(query_by_scope, **every, page_size=page_size, limit=limit))
            assert found == newest_first[:limit], (page_size, limit)
    assert ids(iter_query(query_by_scope, **every, limit=3)) == newest_first[:3]
    assert ids(iter_query(query_by_class, **RECORDS, record_class="c", page_size=2)) == list("6420")
    assert ids(iter_query(query_by_type, **RECORDS, type="t")) == []
    assert ids(iter_query(query, model="record", page_size=2, ascending=True, **EVERY_STATE)) == newest_first[::-1]
    _, cursor = query_by_scope(**every, limit=2)
    assert ids(iter_query(query_by_scope, **every, page_size=2, start_key=cursor)) == newest_first[2:]
    assert ids(iter_query(query_by_scope, **every, page_size=1, max_pages=4)) == newest_first


def test_iter_query_stays_with_the_client_it_was_called_with(client, engine, transport):
    for number in range(3):
        put(str(number), number)
    other = make_client(
        table_name=f"{client.table_name}-other", region=client.region, endpoint=engine.endpoint, transport=transport
    )
    with other, use_client(other):
        create_table()
        put("other", 9)
        here = iter_query(query_by_scope, **RECORDS, page_size=1)
        with use_client(client):
            there = iter_query(query_by_scope, **RECORDS, page_size=1)
        assert ids([next(there)]) == ["2"]
        with use_client(client):
            assert ids(here) == ["other"]
        assert ids(there) == ["1", "0"]
        assert ids(query_by_scope(**RECORDS)) == ["other"]
        destroy_table(table_name=other.table_name)


# --- counting ------------------------------------------------------------------------------------------------------


def test_counts_are_as_long_as_the_lists(client):
    for number in range(24):
        state = list(STATES)[number % 4]
        put(
            str(number), number // 2, state, alias="x", type=("t", 5, "5")[number % 3], score=number, **{"class": "a#b"}
        )
    put("alike", 4, scope="@#record", model="a", type="b", **{"class": "b"})
    keys = {"indexScope": "@#record", "indexClass": "@#record#a#b"}
    put_raw(client, RECORDS | keys | {"id": "lost", "sequence": 5, "class": "a#b", "deletedAt": TIME})
    put_raw(client, RECORDS | keys | {"id": "moved", "sequence": 5, "class": "a#b", "scope": "@#elsewhere"})
    put_raw(client, RECORDS | keys | {"id": "stale", "sequence": 5})
    lengths = set()
    for states, _ in ASKED:
        for between in ({}, {"after": 3, "before": 8}, {"after": 3.5, "before": Decimal("3.75")}):
            given = RECORDS | states | between
            length = len(query_by_scope(**given).items)
            lengths.add(length)
            assert count_by_scope(**given) == length, given
            assert count_by_class(**given, record_class="a#b") == len(query_by_class(**given, record_class="a#b").items)
    assert {0, 6, 25} <= lengths
    for given in ({"after": 3}, {"before": 8}, {"where": where("score") > 9}, {"where": where("type").eq(5)}):
        given |= RECORDS | EVERY_STATE
        assert count_by_scope(**given) == len(query_by_scope(**given).items) > 0, given
        assert count_by_type(**given, type=5) == len(query_by_type(**given, type=5).items) > 0, given


def test_counts_of_texts_and_numbers_that_look_alike():
    texts = ["²", "٣", "--5", "-", "-0", "007", "1" * 39, "5.0", "0", "-5", str(10**37)]
    numbers = [0, -5, 10**37, 10**40, -(10**125)]
    for number, value in enumerate([*texts, *numbers]):
        put(str(number), number, type=value)
    for value in [*texts, *numbers]:
        lengths = {count_by_type(**RECORDS, type=value), len(query_by_type(**RECORDS, type=value).items)}
        assert lengths == {2 if str(value) in ("0", "-5", str(10**37)) else 1}, value


# --- sequences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True)
def test_sequences_of_every_kind():
    # Each number is another than its neighbours; as floats, some are equal.
    texts = [
        "-1E+125",
        "-0.5",
        "-1E-130",
        "0",
        "1E-130",
        "0.1",
        "0.1000000000000000000000000000000000001",
        "1767744000000",
        "1767744000000.0000000000000000000000001",
        "1767744000000.5",
        "12345678901234567890123456789012345678",
        "1E+125",
    ]
    states = list(STATES)
    for number, text in enumerate(texts):
        put(text, Decimal(text), states[number % 4])
    every = RECORDS | EVERY_STATE
    for ascending in (True, False):
        ordered = texts if ascending else texts[::-1]
        assert ids(query_by_scope(**every, ascending=ascending)) == ordered
        for limit in (1, 5):
            assert read_all(query_by_scope, **every, ascending=ascending, limit=limit) == ordered
    for low in range(len(texts) - 1):
        after = Decimal(texts[low])
        assert ids(query_by_scope(**every, after=after, ascending=True)) == texts[low + 1 :]
        for high in (low + 1, low + 2, len(texts) - 1):
            if high < len(texts):
                found = query_by_scope(**every, after=after, before=Decimal(texts[high]), ascending=True)
                assert ids(found) == texts[low + 1 : high]
    assert ids(query_by_scope(**every, after=0.1, before=1767744000000.5)) == [texts[8], texts[7], texts[6]]
    assert count_by_scope(**every, after=0.1, before=1767744000000.5) == 3


def test_a_client_with_decimals(client, engine, transport):
    decimals = make_client(
        table_name=client.table_name,
        region=client.region,
        endpoint=engine.endpoint,
        transport=transport,
        parse_float=Decimal,
    )
    for number in range(4):
        put(str(number), number + 0.5, "d" if number % 2 else "")
    with decimals, use_client(decimals):
        items, cursor = query_by_scope(**RECORDS, include_deleted=True, limit=1)
        assert repr(items[0]["sequence"]) == "Decimal('3.5')"
        assert cursor["sequence"] == "3.5"
        assert read_all(query_by_scope, **RECORDS, include_deleted=True, limit=1) == list("3210")
