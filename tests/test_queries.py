"""What queries refuse before anything is sent, and which index they read. No engine."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType

import pytest
from transports import Scripted

import jaypie_dynamo
from jaypie_dynamo import (
    APEX,
    ConfigurationError,
    ValidationError,
    count_by_class,
    count_by_scope,
    count_by_type,
    init_client,
    iter_query,
    query,
    query_by_alias,
    query_by_class,
    query_by_scope,
    query_by_type,
    query_by_xid,
    reset_client,
    where,
)

RECORDS = {"model": "record", "scope": APEX}

# Every function, with the least that it needs.
LISTS = {
    "query_by_scope": (query_by_scope, RECORDS),
    "query_by_class": (query_by_class, RECORDS | {"record_class": "memory"}),
    "query_by_type": (query_by_type, RECORDS | {"type": "note"}),
    "query": (query, RECORDS),
    "query, class": (query, RECORDS | {"filter": {"class": "memory"}}),
    "query, model alone": (query, {"model": "record"}),
    "iter_query": (lambda **params: list(iter_query(query_by_scope, **params)), RECORDS),
}
ONES = {
    "query_by_alias": (query_by_alias, RECORDS | {"alias": "log"}),
    "query_by_xid": (query_by_xid, RECORDS | {"xid": "ext-1"}),
}
COUNTS = {
    "count_by_scope": (count_by_scope, RECORDS),
    "count_by_class": (count_by_class, RECORDS | {"record_class": "memory"}),
    "count_by_type": (count_by_type, RECORDS | {"type": "note"}),
}
FUNCTIONS = LISTS | ONES | COUNTS
FIELDS = {
    "query_by_class": "record_class",
    "query_by_type": "type",
    "query_by_alias": "alias",
    "query_by_xid": "xid",
    "count_by_class": "record_class",
    "count_by_type": "type",
}
PLACES = {"record_class": "class"}  # an argument that is not named as its field


@pytest.fixture(autouse=True)
def transport():
    client = init_client(table_name="the-table")
    client.set_transport(Scripted())
    yield client.transport
    reset_client()


def refuse(function, params, *, path, says, error=ValidationError):
    """Call, and check that the error names the place and the next step."""
    with pytest.raises(error) as caught:
        function(**params)
    assert getattr(caught.value, "path", None) == path
    for text in says:
        assert text in str(caught.value)


def functions(*tables):
    merged = {name: entry for table in tables for name, entry in table.items()}
    return pytest.mark.parametrize(("function", "params"), merged.values(), ids=merged)


# --- setting up ----------------------------------------------------------------------------------------------------


@functions(FUNCTIONS)
def test_without_a_client(function, params):
    reset_client()
    refuse(function, params, path=None, says=["not initialized", "init_client()"], error=ConfigurationError)


@functions(FUNCTIONS)
def test_without_a_table(function, params):
    init_client()
    refuse(function, params, path=None, says=["init_client(table_name=…)"], error=ConfigurationError)


# --- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "10", Decimal(1)])
@pytest.mark.parametrize("option", ["limit", "max_pages"])
@functions(LISTS)
def test_a_count_that_is_none(function, params, option, value):
    refuse(function, params | {option: value}, path=option, says=["a whole number from 1, or None", repr(value)])


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "10"])
@pytest.mark.parametrize("option", ["limit", "page_size"])
def test_iter_query_refuses_a_count_that_is_none_when_it_is_called(option, value):
    with pytest.raises(ValidationError, match="a whole number from 1, or None") as caught:
        iter_query(query_by_scope, **RECORDS, **{option: value})
    assert caught.value.path == option


@pytest.mark.parametrize("function", [query_by_alias, count_by_scope, list, None])
def test_iter_query_refuses_what_does_not_page(function):
    with pytest.raises(ValidationError, match="takes query_by_scope, query_by_class, query_by_type or query") as caught:
        iter_query(function, **RECORDS)
    assert caught.value.path == "query_function"


@pytest.mark.parametrize(
    ("max_pages", "options"),
    [
        (1, {"include_deleted": True}),
        (1, {"include_archived": True}),
        (3, {"include_archived": True, "include_deleted": True}),
    ],
)
def test_fewer_pages_than_partitions(max_pages, options):
    params = RECORDS | options | {"max_pages": max_pages}
    refuse(query_by_scope, params, path="max_pages", says=[f"max_pages={max_pages}", f"at least {max_pages + 1}"])


BAD_MODELS = {"": "missing or empty", None: "missing or empty", 5: "is a int", "a#b": "must not contain '#'"}


@pytest.mark.parametrize(("value", "says"), BAD_MODELS.items())
@functions({name: entry for name, entry in FUNCTIONS.items() if entry[0] is not query})
def test_a_bad_model(function, params, value, says):
    refuse(function, params | {"model": value}, path="model", says=["model", says])


@pytest.mark.parametrize("value", ["a#b", 5])
@functions({name: entry for name, entry in LISTS.items() if entry[0] is query})
def test_a_bad_model_in_query(function, params, value):
    refuse(function, params | {"model": value}, path="model", says=["model", BAD_MODELS[value]])


def test_a_model_that_is_too_long():
    refuse(query, {"model": "m" * 2049}, path="model", says=["2049 bytes", "allows 2048", "shorten"])


@pytest.mark.parametrize(("value", "says"), [("", "missing or empty"), (5, "is a int")])
@functions({name: entry for name, entry in FUNCTIONS.items() if "scope" in entry[1]})
def test_a_bad_scope(function, params, value, says):
    refuse(function, params | {"scope": value}, path="scope", says=["scope", says, "APEX"])


@functions({name: entry for name, entry in FUNCTIONS.items() if "scope" in entry[1] and entry[0] is not query})
def test_no_scope(function, params):
    refuse(function, params | {"scope": None}, path="scope", says=["scope is missing", "APEX"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "missing or empty"),
        (None, "missing or empty"),
        (True, "is a bool"),
        (1.5, "is a float; it must be a non-empty str or int"),
        (["a"], "is a list"),
        ("x#deleted", "must not end in #archived or #deleted"),
        ("x#archived", "must not end in #archived or #deleted"),
        ("é" * 1024, "bytes; DynamoDB allows 2048: shorten it"),
    ],
)
@pytest.mark.parametrize("name", FIELDS)
def test_a_bad_field(name, value, says):
    function, params = FUNCTIONS[name]
    place = PLACES.get(FIELDS[name], FIELDS[name])
    refuse(function, params | {FIELDS[name]: value}, path=place, says=[place, says])


UTC = timezone.utc
BAD_MOMENTS = [
    ("1", "must be a number, such as epoch milliseconds, not str"),
    (True, "must be a number, such as epoch milliseconds, not bool"),
    (date(2026, 1, 7), "must be a number, such as epoch milliseconds, not date"),
    (time(1, tzinfo=UTC), "must be a number, such as epoch milliseconds, not time"),
    (timedelta(1), "must be a number, such as epoch milliseconds, not timedelta"),
    (float("nan"), "must be a finite number"),
    (float("-inf"), "must be a finite number"),
    (Decimal("sNaN"), "must be a finite number"),
    (Decimal("Infinity"), "must be a finite number"),
    (datetime(2026, 1, 7), "is a naive datetime; give it a time zone"),
    (1e300, "DynamoDB's range"),
    (10**38 + 1, "more than 38 significant digits"),
]


@pytest.mark.parametrize("option", ["after", "before"])
@pytest.mark.parametrize(("value", "says"), BAD_MOMENTS)
@functions(LISTS, COUNTS)
def test_a_bad_moment(function, params, option, value, says):
    refuse(function, params | {option: value}, path=option, says=[option, says])
    # Whatever stands on the other side.
    refuse(function, params | {"after": 0, "before": 0, option: value}, path=option, says=[option, says])


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (2, 1),
        (1, 1),
        (1, 1.0),
        (0.1, Decimal("0.1")),
        (Decimal("0.1"), 0.1),
        (datetime(2026, 1, 7, tzinfo=UTC), 1767744000000),
        (datetime(2026, 1, 7, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 1, 7, tzinfo=UTC)),
    ],
)
@functions(LISTS, COUNTS)
def test_nothing_lies_between(function, params, after, before):
    says = ["after must be smaller than before", "nothing lies between"]
    refuse(function, params | {"after": after, "before": before}, path="after", says=says)


@pytest.mark.parametrize("includes", [{"include_deleted": True}, {"include_archived": True}])
@pytest.mark.parametrize("only", ["deleted", "archived"])
@functions(FUNCTIONS)
def test_one_state_only_and_beside_others(function, params, only, includes):
    refuse(
        function, params | includes | {only: True}, path=only, says=["deleted=", "include_deleted=", "one or the other"]
    )


@pytest.mark.parametrize("value", ["status = open", {"status": "open"}, True, print])
@functions(FUNCTIONS)
def test_a_where_that_is_no_condition(function, params, value):
    refuse(function, params | {"where": value}, path="where", says=['where("status").eq("open")', type(value).__name__])


@functions({name: entry for name, entry in FUNCTIONS.items() if "model alone" not in name})
def test_where_on_the_sequence(function, params):
    condition = where("status").eq("open") | ~(where("sequence") > 5)
    says = ["'sequence'", "use after= and before="]
    refuse(function, params | {"where": condition}, path="sequence", says=says)


INDEXES = {
    "query_by_scope": "indexScope",
    "query_by_class": "indexClass",
    "query_by_type": "indexType",
    "query": "indexScope",
    "query, class": "indexClass",
    "query, model alone": "model",
    "iter_query": "indexScope",
    "query_by_alias": "indexAlias",
    "query_by_xid": "indexXid",
    "count_by_scope": "indexScope",
    "count_by_class": "indexClass",
    "count_by_type": "indexType",
}


@pytest.mark.parametrize(("name", "index"), INDEXES.items())
def test_where_on_the_key_that_is_read(name, index):
    function, params = FUNCTIONS[name]
    condition = where(index).begins_with("@#record")
    refuse(function, params | {"where": condition}, path=index, says=[repr(index), "it is what the query reads by"])


def test_where_on_the_id_in_the_base_table():
    refuse(query, {"model": "record", "where": where("id").eq("1")}, path="id", says=["'id'", "use get_entity"])
    refuse(query, {"model": "record", "filter": {"id": "1"}}, path="id", says=["'id'", "use get_entity"])


@functions(FUNCTIONS)
def test_a_value_that_cannot_be_stored(function, params):
    refuse(function, params | {"where": where("state.at").eq(object())}, path="state.at", says=["object", "convert it"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "attributes is empty"),
        ("name", "attributes takes a list of paths, not str"),
        (5, "attributes takes a list of paths, not int"),
        ([5], "a path is text"),
        (["a..b"], "has an empty name in it"),
        (["state", "state.count"], "attributes cannot take both 'state' and 'state.count'"),
    ],
)
@functions(LISTS, ONES)
def test_bad_attributes(function, params, value, says):
    with pytest.raises(ValidationError) as caught:
        function(**params, attributes=value)
    assert says in str(caught.value)


# --- query ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"scope": APEX}, {"filter": {"alias": "x"}}, {"model": "", "scope": APEX}])
def test_query_without_a_model_fits_no_index(params):
    says = ["needs a model", "indexScope", "indexAlias", "indexXid", "indexClass", "indexType", "base table"]
    refuse(query, params, path=None, says=says, error=ConfigurationError)


@pytest.mark.parametrize("value", [["class"], "class", 5])
def test_a_filter_that_is_no_mapping(value):
    refuse(query, RECORDS | {"filter": value}, path="filter", says=["a mapping of attribute names", "where="])


@pytest.mark.parametrize(("name", "value"), [("model", "other"), ("scope", "chat#1")])
def test_a_filter_against_the_arguments(name, value):
    refuse(query, RECORDS | {"filter": {name: value}}, path=f"filter.{name}", says=[f"another {name}", f"{name}="])


def test_a_filter_with_a_scope_alone():
    refuse(query, {"model": "record", "filter": {"scope": APEX}}, path="filter.scope", says=["scope="])


@pytest.mark.parametrize("value", [1, {"a": 1}, None])
def test_a_filter_on_the_sequence(value):
    refuse(query, RECORDS | {"filter": {"sequence": value}}, path="sequence", says=["use after= and before="])


@pytest.mark.parametrize("field", ["alias", "xid", "class", "type"])
def test_a_filter_on_an_index_field_that_is_no_text(field):
    refuse(query, RECORDS | {"filter": {field: 1.5}}, path=field, says=[field, "non-empty str or int"])


def test_a_filter_with_a_name_that_is_no_text():
    with pytest.raises(ValidationError, match="does not begin with an attribute name"):
        query(**RECORDS, filter={5: 1})


ALL = {"alias": "a", "xid": "x", "class": "c", "type": "t", "status": "open"}


@pytest.mark.parametrize(
    ("params", "index", "key", "filtered"),
    [
        ({"scope": APEX, "filter": ALL}, "indexAlias", "@#record#a", {"xid", "class", "type", "status"}),
        (
            {"scope": APEX, "filter": ALL | {"alias": None}},
            "indexXid",
            "@#record#x",
            {"alias", "class", "type", "status"},
        ),
        ({"scope": APEX, "filter": {"class": "c", "type": "t"}}, "indexClass", "@#record#c", {"type"}),
        ({"scope": APEX, "filter": {"type": 7}}, "indexType", "@#record#7", set()),
        ({"scope": APEX, "filter": {"status": "open"}}, "indexScope", "@#record", {"status"}),
        ({"scope": APEX, "filter": {"type": ""}}, "indexScope", "@#record", {"type"}),
        ({"scope": APEX}, "indexScope", "@#record", set()),
        ({"scope": APEX, "filter": RECORDS | {"xid": "x"}}, "indexXid", "@#record#x", set()),
        ({"filter": {"alias": "a"}}, None, "record", {"alias", "archivedAt", "deletedAt"}),
        ({"include_deleted": True, "include_archived": True}, None, "record", set()),
        ({"filter": {"a.b": 1}, "scope": "chat#1"}, "indexScope", "chat#1#record", {"a.b"}),
    ],
)
def test_query_reads_the_index_that_fits(transport, params, index, key, filtered):
    transport.answers = [{"Count": 0, "Items": []}]
    query(model="record", **{"filter": MappingProxyType({})} | params)
    body = transport.body
    names = body["ExpressionAttributeNames"]
    assert body.get("IndexName") == index
    assert transport.requests[0].params.get("IndexName") == index
    hash_name, hash_value = body["KeyConditionExpression"].split(" = ")
    assert names[hash_name] == (index or "model")
    assert body["ExpressionAttributeValues"][hash_value] == {"S": key}
    assert {name for key, name in names.items() if key in body.get("FilterExpression", "")} == filtered


# --- cursors -------------------------------------------------------------------------------------------------------

CURSOR = {"model": "record", "id": "1", "sequence": 5, "indexScope": "@#record"}
ALIKE = CURSOR | {"model": "note", "indexClass": "@#record#note#x"}
del ALIKE["indexScope"]
STATES = {"include_archived": True, "include_deleted": True}

BAD_CURSORS = {
    "empty": ({}, "it must have exactly id, indexScope, model, sequence"),
    "no mapping": ([CURSOR], "it must have exactly"),
    "text": (json.dumps(CURSOR), "it must have exactly"),
    **{
        f"without {name}": ({key: CURSOR[key] for key in CURSOR if key != name}, "it must have exactly")
        for name in CURSOR
    },
    "more": (CURSOR | {"indexAlias": "@#record#a"}, "it must have exactly"),
    "another index": (
        {"indexClass": "@#record#c", "model": "record", "id": "1", "sequence": 5},
        "it must have exactly",
    ),
    "base table": ({"model": "record", "id": "1"}, "it must have exactly"),
    "another model": (CURSOR | {"model": "other"}, "its model is another"),
    "part of a model": (CURSOR | {"model": "rec"}, "its model is another"),
    "no model": (CURSOR | {"model": None}, "its model is another"),
    "model of another type": (CURSOR | {"model": 5}, "its model is another"),
    "empty model": (CURSOR | {"model": ""}, "its model is another"),
    "typed model": (CURSOR | {"model": {"S": "record"}}, "its model is another"),
    "no id": (CURSOR | {"id": None}, "id is missing"),
    "empty id": (CURSOR | {"id": ""}, "id is missing"),
    "id of another type": (CURSOR | {"id": 5}, "id is a int"),
    "long id": (CURSOR | {"id": "x" * 1025}, "id has 1025 bytes"),
    "id that is no UTF-8": (CURSOR | {"id": "\ud800"}, "lone surrogate"),
    "no sequence": (CURSOR | {"sequence": None}, "sequence must be a number"),
    "sequence of another type": (CURSOR | {"sequence": True}, "sequence must be a number"),
    "sequence that is a list": (CURSOR | {"sequence": [5]}, "sequence must be a number"),
    "sequence that is text": (CURSOR | {"sequence": "five"}, "sequence must be a number"),
    "empty sequence": (CURSOR | {"sequence": ""}, "sequence must be a number"),
    "infinite sequence": (CURSOR | {"sequence": float("inf")}, "sequence must be a finite number"),
    "sequence NaN": (CURSOR | {"sequence": "NaN"}, "sequence must be a finite number"),
    "sequence sNaN": (CURSOR | {"sequence": "sNaN"}, "sequence must be a finite number"),
    "sequence out of range": (CURSOR | {"sequence": "1E+999"}, "DynamoDB's range"),
    "sequence of 39 digits": (CURSOR | {"sequence": 10**38 + 1}, "38 significant digits"),
    "typed sequence": (CURSOR | {"sequence": {"N": "5"}}, "sequence must be a number"),
    "another partition": (CURSOR | {"indexScope": "@#other"}, "its indexScope is none of the partitions queried"),
    "another scope": (CURSOR | {"indexScope": "chat#1#record"}, "its indexScope is none of the partitions queried"),
    "an unknown state": (CURSOR | {"indexScope": "@#record#lost"}, "its indexScope is none of the partitions queried"),
    "states turned round": (
        CURSOR | {"indexScope": "@#record#deleted#archived"},
        "its indexScope is none of the partitions queried",
    ),
    "no partition": (CURSOR | {"indexScope": None}, "its indexScope is none of the partitions queried"),
    "partition of another type": (CURSOR | {"indexScope": ["@#record"]}, "its indexScope is none of the partitions"),
}


@pytest.mark.parametrize("options", [{}, STATES], ids=["one state", "all states"])
@pytest.mark.parametrize(("cursor", "says"), BAD_CURSORS.values(), ids=BAD_CURSORS)
def test_a_cursor_that_was_tampered_with(cursor, says, options):
    says = ["start_key does not belong to this query", says, "Pass last_evaluated_key of the page before, unchanged"]
    refuse(query_by_scope, RECORDS | options | {"start_key": cursor}, path="start_key", says=says)


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ({}, "#deleted"),
        ({"include_deleted": True}, "#archived"),
        ({"include_deleted": True}, "#archived#deleted"),
        ({"deleted": True}, ""),
        ({"deleted": True}, "#archived#deleted"),
    ],
)
def test_a_cursor_into_a_state_that_was_not_asked_for(options, state):
    cursor = CURSOR | {"indexScope": "@#record" + state}
    says = ["none of the partitions queried", "include_deleted", "the same for every page"]
    refuse(query_by_scope, RECORDS | options | {"start_key": cursor}, path="start_key", says=says)


@pytest.mark.parametrize(
    "ends",
    [{"after": 5}, {"after": 6}, {"before": 5}, {"before": 4}, {"after": 5, "before": 9}, {"after": 1, "before": 5}],
)
@pytest.mark.parametrize("ascending", [True, False])
def test_a_cursor_outside_after_and_before(ends, ascending):
    params = RECORDS | ends | {"ascending": ascending, "start_key": CURSOR}
    refuse(query_by_scope, params, path="start_key", says=["outside after … before", "the same for every page"])


@pytest.mark.parametrize(
    ("cursor", "says"),
    [
        (CURSOR, "it must have exactly id, model"),
        ({"model": "other", "id": "1"}, "its model is another"),
        ({"model": "record", "id": 1}, "id is a int"),
        ({"model": "record", "id": "\ud800"}, "lone surrogate"),
    ],
)
def test_a_cursor_that_was_tampered_with_in_the_base_table(cursor, says):
    refuse(query, {"model": "record", "start_key": cursor}, path="start_key", says=["start_key", says])


def test_a_cursor_at_an_item_whose_key_reads_alike_is_taken(transport):
    transport.answers = [{"Count": 0, "Items": []}]
    query_by_class(**RECORDS, record_class="note#x", start_key=ALIKE)
    assert transport.body["ExclusiveStartKey"] == {
        "model": {"S": "note"},
        "id": {"S": "1"},
        "sequence": {"N": "5"},
        "indexClass": {"S": "@#record#note#x"},
    }


def test_a_cursor_is_not_changed(transport):
    transport.answers = [{"Count": 0, "Items": []}]
    cursor = CURSOR | {"sequence": "0.1000000000000000000000000000000000001"}
    query_by_scope(**RECORDS, start_key=MappingProxyType(cursor))
    assert cursor == CURSOR | {"sequence": "0.1000000000000000000000000000000000001"}
    assert transport.body["ExclusiveStartKey"]["sequence"] == {"N": "0.1000000000000000000000000000000000001"}


def test_every_query_function_is_in_a_table_here():
    tested = {function for function, _ in FUNCTIONS.values()} | {iter_query}
    public = {getattr(jaypie_dynamo, name) for name in dir(jaypie_dynamo) if "query" in name or "count_by" in name}
    assert {function for function in public if callable(function)} <= tested
