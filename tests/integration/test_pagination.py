"""Pages joined together are the whole. Trusts AWS's DynamoDB Local alone: moto orders equal sequences in its own way.

`test_pages.py` tries far more, on a simulation; what that takes for granted is proved here.
"""

from __future__ import annotations

import itertools
import json
import random
import uuid
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from transports import record

from jaypie_dynamo import (
    APEX,
    ValidationError,
    count_by_scope,
    get_client,
    index_entity,
    marshal_item,
    put_entity,
    query,
    query_by_class,
    query_by_scope,
    query_by_type,
    where,
)

pytestmark = [pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True), pytest.mark.usefixtures("client")]

TIME = "2026-01-07T00:00:00.000Z"
RECORDS = {"model": "record", "scope": APEX}
EVERY_STATE = {"include_archived": True, "include_deleted": True}

# In the order in which equal sequences follow each other.
STATES = {
    "": {},
    "#archived": {"archivedAt": TIME},
    "#deleted": {"deletedAt": TIME},
    "#archived#deleted": {"archivedAt": TIME, "deletedAt": TIME},
}

# What a call may ask for, and the states it then reads.
ASKED = [
    ({}, [""]),
    ({"include_archived": True}, ["", "#archived"]),
    ({"include_deleted": True}, ["", "#deleted"]),
    (EVERY_STATE, list(STATES)),
    ({"archived": True}, ["#archived"]),
    ({"deleted": True}, ["#deleted"]),
    ({"archived": True, "deleted": True}, ["#archived#deleted"]),
]

# Few numbers, so that many are equal; two of them are one number as floats.
SEQUENCES = [-1, 0, 2, 2.5, Decimal("2.5000000000000000000000000000000000001"), 7, 1767744000000]


def store(client, items):
    """Store items as they are, 25 a request."""
    items = list(items)
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": marshal_item(item)}} for item in items[start : start + 25]]
        answer = get_client().batch_write_item(RequestItems={client.table_name: puts})
        assert answer["UnprocessedItems"] == {}


def read_pages(function, **params):
    """All pages; each cursor goes through JSON on its way."""
    pages, cursor = [], None
    while True:
        page = function(**params, start_key=cursor)
        pages.append(page)
        if page.last_evaluated_key is None:
            return pages
        following = json.loads(json.dumps(page.last_evaluated_key))
        assert following != cursor, "the cursor stands still"
        cursor = following


def joined(pages):
    return [item["id"] for page in pages for item in page.items]


# --- whatever lies in the table ------------------------------------------------------------------------------------


def make_items(seed):
    """Records in all states, others whose keys read alike, and some whose keys hide their state."""
    chance = random.Random(seed)
    items = []
    for number in range(36):
        item = {
            **RECORDS,
            "id": f"id{number:02}",
            "sequence": chance.choice(SEQUENCES[: 2 + seed * 2]),
            "class": "a#b",
            "type": chance.choice([7, "7"]),
            "flag": chance.random() < 0.4,
            "counts": {"a": number, "b": [number]},
            **STATES[chance.choice(list(STATES))],
        }
        kind = chance.random()
        if kind < 0.1:
            item |= {"scope": "@#record", "model": "a", "class": "b"}
        elif kind < 0.2:
            item = index_entity(item, suffix="") | {"deletedAt": TIME}
        items.append(item if "indexScope" in item else index_entity(item))
    return items


def state_of(item):
    return ("#archived" if "archivedAt" in item else "") + ("#deleted" if "deletedAt" in item else "")


# The function, the attribute it reads by, and the partition without its state.
FUNCTIONS = {
    "scope": (lambda **params: query_by_scope(**RECORDS, **params), "indexScope", "@#record"),
    "class": (lambda **params: query_by_class(**RECORDS, record_class="a#b", **params), "indexClass", "@#record#a#b"),
    "type": (lambda **params: query_by_type(**RECORDS, type=7, **params), "indexType", "@#record#7"),
    "model": (lambda **params: query(model="record", **params), None, None),
}
QUESTIONS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(list(FUNCTIONS)),
        "asked": st.sampled_from(ASKED),
        "ascending": st.booleans(),
        "after": st.sampled_from([None, None, *SEQUENCES]),
        "before": st.sampled_from([None, None, *SEQUENCES]),
        "filtered": st.booleans(),
        "attributes": st.sampled_from([None, None, ["id"], ["id", "counts.a", "type"]]),
        "limit": st.sampled_from([None, *range(1, 40)]),
        "max_pages": st.sampled_from([None, None, 4, 5]),
    }
)


def expect(items, *, name, asked, ascending, after, before, filtered, **_):
    """What must come back, said plainly: a list of (place, ids that share it)."""
    _, index, key = FUNCTIONS[name]
    wanted = [
        item
        for item in items
        if (item["model"], item["scope"]) == ("record", APEX)
        and state_of(item) in asked[1]
        and (index is None or item[index] == key + state_of(item))
        and (not filtered or item["flag"])
        and (after is None or Decimal(str(item["sequence"])) > Decimal(str(after)))
        and (before is None or Decimal(str(item["sequence"])) < Decimal(str(before)))
    ]

    def place(item):
        if index is None:
            return item["id"]
        return Decimal(str(item["sequence"])), list(STATES).index(state_of(item))

    wanted.sort(key=place, reverse=not ascending)
    return [(key, {item["id"] for item in group}) for key, group in itertools.groupby(wanted, key=place)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_joined_pages_are_the_whole(client, seed):
    items = make_items(seed)
    store(client, items)
    by_id = {item["id"]: item for item in items}

    @settings(max_examples=100)
    @given(QUESTIONS)
    def ask(question):
        after, before = question["after"], question["before"]
        if None not in (after, before) and Decimal(str(after)) >= Decimal(str(before)):
            question["after"] = after = None
        options = {name: question[name] for name in ("ascending", "after", "before")} | question["asked"][0]
        if question["filtered"]:
            options["where"] = where("flag").eq(True)
        function = FUNCTIONS[question["name"]][0]
        whole = function(**options).items
        given = {name: question[name] for name in ("limit", "max_pages", "attributes")}
        pages = read_pages(function, **options, **given)

        assert joined(pages) == [item["id"] for item in whole]
        left = joined(pages)
        for _, sharing in expect(items, **question):
            assert set(left[: len(sharing)]) == sharing
            left = left[len(sharing) :]
        assert left == []

        limit = question["limit"]
        if limit is not None:
            assert all(len(page.items) <= limit for page in pages)
            if question["max_pages"] is None:
                assert all(len(page.items) == limit for page in pages[:-1])
        for item in (item for page in pages for item in page.items):
            stored = by_id[item["id"]]
            if question["attributes"] is None:
                assert item == stored
            elif len(question["attributes"]) == 1:
                assert item == {"id": stored["id"]}
            else:
                assert item == {"id": stored["id"], "counts": {"a": stored["counts"]["a"]}, "type": stored["type"]}

    ask()


def test_an_item_that_changes_state_between_two_pages_appears_once(client):
    @settings(max_examples=25)
    @given(
        states=st.lists(st.sampled_from(list(STATES)), min_size=2, max_size=10),
        moves=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(STATES))), max_size=10),
        limit=st.integers(1, 4),
        ascending=st.booleans(),
        filtered=st.booleans(),
    )
    def ask(states, moves, limit, ascending, filtered):
        number = uuid.uuid4()  # a drawn one may come again, and find the items of the example before
        scope = f"chat#{number}"
        items = [
            {"model": "m", "id": f"{number}/{place}", "scope": scope, "sequence": place, "flag": place % 3 > 0}
            for place in range(len(states))
        ]
        store(client, [index_entity(item | STATES[state]) for item, state in zip(items, states, strict=True)])
        moving = iter(moves)

        def read_and_move(**params):
            page = query_by_scope(model="m", scope=scope, **params)
            place, state = next(moving, (None, None))
            if state is not None:
                put_entity(entity=items[place % len(items)] | STATES[state])
            return page

        given = {"where": where("flag").eq(True)} if filtered else {}
        pages = read_pages(read_and_move, **EVERY_STATE, **given, limit=limit, ascending=ascending)
        wanted = [item["id"] for item in items if item["flag"] or not filtered]
        assert joined(pages) == (wanted if ascending else wanted[::-1])

    ask()


# --- pages of 1 MB -------------------------------------------------------------------------------------------------


def test_pages_of_one_megabyte():
    # Each item is 300 KB, so a page takes three or four of them, whatever its limit.
    items = [
        index_entity(
            RECORDS
            | {"id": str(number), "sequence": number // 2, "text": "x" * 300_000, "flag": number == 8}
            | STATES["#deleted" if number % 3 == 0 else ""]
        )
        for number in range(10)
    ]
    for item in items:
        put_entity(entity=item)
    whole = sorted(items, key=lambda item: (item["sequence"], "deletedAt" in item))
    given = {"include_deleted": True, "ascending": True, "attributes": ["id", "sequence", "deletedAt"]}
    pages = read_pages(query_by_scope, **RECORDS, **given)
    assert len(pages) > 1
    assert [item["sequence"] for page in pages for item in page.items] == [item["sequence"] for item in whole]
    assert ["deletedAt" in item for page in pages for item in page.items] == ["deletedAt" in item for item in whole]
    for limit in (4, 10):
        limited = read_pages(query_by_scope, **RECORDS, **given, limit=limit)
        assert joined(limited) == joined(pages)
        assert all(len(page.items) == limit for page in limited[:-1])
    assert joined([query_by_scope(**RECORDS, **given, limit=1, where=where("flag").eq(True))]) == ["8"]
    assert count_by_scope(**RECORDS, include_deleted=True) == 10


# --- cursors -------------------------------------------------------------------------------------------------------


def test_cursors_that_were_tampered_with_are_refused_before_any_request(client):
    store(
        client, [index_entity(RECORDS | {"id": str(number), "sequence": number, "class": "c"}) for number in range(4)]
    )
    cursors = {}
    for function, _, _ in (FUNCTIONS["scope"], FUNCTIONS["model"]):
        cursor = function(limit=2).last_evaluated_key
        cursors[function] = cursor
        assert joined([function(start_key=cursor)]) == ["1", "0"]
        recorder = record(client)
        tampered = [{name: cursor[name] for name in cursor if name != missing} for missing in cursor]
        tampered += [cursor | {name: value} for name in cursor for value in (None, True, ["x"], {"S": "x"}, "", b"x")]
        tampered += [cursor | {name: "other"} for name in cursor if name != "id"]
        tampered += [cursor | {"id": 5}, cursor | {"indexClass": "@#record#c"}, {}, "cursor"]
        for wrong in tampered:
            with pytest.raises(ValidationError, match="start_key does not belong to this query"):
                function(start_key=wrong)
        assert recorder.requests == []
    scope, model = cursors.values()
    assert scope.keys() == {"model", "id", "sequence", "indexScope"}
    for function, wrong, options in [
        (query_by_scope, model, RECORDS),
        (query, scope, {"model": "record"}),
        (query_by_scope, scope, RECORDS | {"scope": "chat#1"}),
        (query_by_scope, scope, RECORDS | {"model": "other"}),
        (query_by_scope, scope, RECORDS | {"deleted": True}),
        (query_by_class, scope, RECORDS | {"record_class": "c"}),
        (query_by_scope, scope, RECORDS | {"after": scope["sequence"]}),
        (query_by_scope, scope, RECORDS | {"before": scope["sequence"]}),
    ]:
        with pytest.raises(ValidationError, match="start_key does not belong to this query"):
            function(**options, start_key=wrong)
    assert recorder.requests == []


# --- what the simulation takes for granted -------------------------------------------------------------------------


def ask_index(client, key, *, and_=None, values=None, **params):
    if and_ is not None:
        params["ExpressionAttributeNames"] = {"#s": "sequence"}
    return get_client().query(
        TableName=client.table_name,
        IndexName="indexScope",
        KeyConditionExpression="indexScope = :key" + (f" AND {and_}" if and_ else ""),
        ExpressionAttributeValues={":key": {"S": key}} | (values or {}),
        **params,
    )


def test_query_is_as_it_is_simulated(client):
    store(client, [index_entity(RECORDS | {"id": str(number), "sequence": number // 3}) for number in range(9)])
    everything = [item["id"]["S"] for item in ask_index(client, "@#record")["Items"]]
    backwards = [item["id"]["S"] for item in ask_index(client, "@#record", ScanIndexForward=False)["Items"]]
    assert backwards == everything[::-1]
    # Limit counts what is read, not what passes the filter; a page full exactly at the end has a LastEvaluatedKey.
    none = {"FilterExpression": "attribute_exists(nothing)"}
    page = ask_index(client, "@#record", Limit=9, **none)
    assert (page["Count"], page["ScannedCount"]) == (0, 9)
    last = page["LastEvaluatedKey"]
    assert set(last) == {"model", "id", "sequence", "indexScope"}
    page = ask_index(client, "@#record", ExclusiveStartKey=last)
    assert page["Items"] == []
    assert "LastEvaluatedKey" not in page
    # A starting key is a position: no item need be there, not even one of this model.
    gone = {"model": {"S": "gone"}, "id": {"S": "x"}, "sequence": {"N": "1.5"}, "indexScope": {"S": "@#record"}}
    page = ask_index(client, "@#record", ExclusiveStartKey=gone)
    assert [item["id"]["S"] for item in page["Items"]] == everything[6:]
    # It must lie within the key condition.
    for operator, end, inside in [
        ("<", "3", True),
        (">", "1", True),
        ("<", "1.5", False),
        (">", "1.5", False),
        (">", "3", False),
    ]:
        ends = {"and_": f"#s {operator} :n", "values": {":n": {"N": end}}}
        if inside:
            ask_index(client, "@#record", ExclusiveStartKey=gone, **ends)
        else:
            with pytest.raises(ClientError, match="starting key"):
                ask_index(client, "@#record", ExclusiveStartKey=gone, **ends)
    with pytest.raises(ClientError, match="starting key"):
        ask_index(client, "@#other", ExclusiveStartKey=gone)
    # BETWEEN reads its ends, and numbers are told apart to their 38th digit.
    for low, count in [("1", 6), ("1.0000000000000000000000000000000000001", 3)]:
        ends = {":low": {"N": low}, ":high": {"N": "2"}}
        assert ask_index(client, "@#record", and_="#s BETWEEN :low AND :high", values=ends)["Count"] == count
    with pytest.raises(ClientError):
        ask_index(client, "@#record", Limit=2**31)
