"""Merging partitions into pages, on a simulated index: thousands of tables in seconds.

`SimulatedIndex` stands in for `_operations.query` and reads as DynamoDB's Query is documented to; that DynamoDB
agrees with it is what `integration/test_pagination.py` is for.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import zlib
from decimal import Context, Decimal, FloatOperation, Inexact, Rounded, localcontext
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaypie_dynamo import (
    count_by_class,
    iter_query,
    make_client,
    query,
    query_by_class,
    unmarshal,
    use_client,
    where,
)
from jaypie_dynamo._operations import Page

# Partitions of one index key, in the order in which equal sequences follow each other.
STATES = ("", "#archived", "#deleted", "#archived#deleted")
TIME = "2026-01-07T00:00:00.000Z"

CLASS = "a#b"
KEY = "@#record#a#b"

# Equal as binary fractions, equal in 28 digits, equal as numbers: what must not be mistaken for one another.
SEQUENCES = (
    "-1",
    "0",
    "0.1",
    "0.1000000000000000000000000000000000001",
    "2",
    "2.0",
    "7.5",
    "1E+23",
    "12345678901234567890123456789012345678",
    "12345678901234567890123456789012345679",
)

MAX_LIMIT = 2**31 - 1  # of the API's type Integer


class SimulatedIndex:
    """Items, asked as `_operations.query` asks DynamoDB.

    Args:
        items: as stored; `sequence` is the number's text.
        matches: what the filter, where there is one, lets pass.
        page_items: how many items make up 1 MB.
        key_at_end: whether a page that is full exactly at the end still has a LastEvaluatedKey; both happen.
        parse_float: as for `init_client`.
    """

    def __init__(self, items, *, matches=lambda item: item["flag"], page_items=1000, key_at_end=True, parse_float=None):
        self.items = list(items)
        self.matches = matches
        self.page_items = page_items
        self.key_at_end = key_at_end
        self.read_number = functools.cache(lambda text: unmarshal({"N": text}, parse_float=parse_float))
        self.limits = []  # the Limit of each request
        self.before_request = lambda _request: None

    def __call__(
        self,
        _client,
        *,
        index,
        key_condition,
        filter_text,
        projection,
        placeholders,
        ascending,
        limit,
        start_key,
        count=False,
    ):
        assert limit is None or 1 <= limit <= MAX_LIMIT
        assert not count
        self.before_request(len(self.limits))
        self.limits.append(limit)
        names, values = placeholders.names, placeholders.values
        mentioned = " ".join(text for text in (key_condition, filter_text, projection) if text)
        assert set(re.findall(r"#n\d+", mentioned)) == set(names), "DynamoDB refuses a name that is not used"
        assert set(re.findall(r":v\d+", mentioned)) == set(values), "DynamoDB refuses a value that is not used"

        hash_name, hash_value, in_range = read_key_condition(key_condition, names, values)
        range_name = "sequence" if index else "id"
        assert hash_name == (index or "model")
        key_names = {"model", "id", range_name, hash_name}

        def position(item):
            if index is None:
                return item["id"]
            return Decimal(str(item["sequence"])), tie(item)

        found = [item for item in self.items if item.get(hash_name) == hash_value and range_name in item]
        found = sorted((item for item in found if in_range(item[range_name])), key=position, reverse=not ascending)
        if start_key is not None:
            assert set(start_key) == key_names
            assert start_key[hash_name] == hash_value, "the starting key is invalid"
            assert in_range(start_key[range_name]), "the starting key is outside the query's boundaries"
            start = position(start_key)
            found = [item for item in found if (position(item) > start if ascending else position(item) < start)]
        room = min(limit or self.page_items, self.page_items)
        evaluated = found[:room]
        more = len(found) > room or (len(evaluated) == room and (limit == room or self.key_at_end))
        last_key = {name: self.as_read(evaluated[-1])[name] for name in key_names} if more else None
        if filter_text is not None:
            evaluated = [item for item in evaluated if self.matches(item)]
        answer = [self.as_read(item) for item in evaluated]
        if projection is not None:
            paths = [names[name] for name in projection.split(", ")]
            answer = [{name: item[name] for name in paths if name in item} for item in answer]
        return Page(answer, len(answer), last_key)

    def as_read(self, item):
        return {**item, "sequence": self.read_number(item["sequence"])}

    def store(self, changed):
        """Replace the item with this model and id."""
        key = changed["model"], changed["id"]
        self.items = [item for item in self.items if (item["model"], item["id"]) != key] + [changed]


def read_key_condition(text, names, values):
    number = r"(:v\d+)"
    found = re.fullmatch(
        rf"(#n\d+) = {number}(?: AND (#n\d+) (?:(<|<=|>|>=) {number}|BETWEEN {number} AND {number}))?", text
    )
    assert found, f"no key condition of DynamoDB's: {text}"
    hash_name, hash_value, range_name, operator, bound, low, high = found.groups()
    assert range_name is None or names[range_name] == "sequence"

    def value(placeholder):
        [(tag, content)] = json.loads(values[placeholder]).items()
        return Decimal(content) if tag == "N" else content

    def in_range(sequence):
        sequence = Decimal(str(sequence)) if range_name else sequence
        if operator:
            end = value(bound)
            return {"<": sequence < end, "<=": sequence <= end, ">": sequence > end, ">=": sequence >= end}[operator]
        if low:
            assert value(low) <= value(high), "BETWEEN takes the lower value first"
            return value(low) <= sequence <= value(high)
        return True

    return names[hash_name], value(hash_value), in_range


def tie(item):
    """Where an item stands among those of its partition with the same sequence: any order that never changes."""
    return zlib.crc32(f"{item['model']}/{item['id']}".encode())


def make_item(id, sequence, state="", *, flag=True, **fields):
    """An item whose keys are as they should be."""
    item = {"model": "record", "id": id, "scope": "@", "class": CLASS, "sequence": sequence, "flag": flag}
    if "#archived" in state:
        item["archivedAt"] = TIME
    if "#deleted" in state:
        item["deletedAt"] = TIME
    return {**item, "indexScope": "@#record" + state, "indexClass": KEY + state, **fields}


def make_foreign(id, sequence, state="", *, flag=True):
    """Another model under another parent, whose key reads the same."""
    return {**make_item(id, sequence, state, flag=flag), "model": "a", "scope": "@#record", "class": "b"}


def make_leftover(id, sequence, *, flag=True):
    """An item as the TypeScript package may leave it: deleted, in the partition of what is not."""
    return {**make_item(id, sequence, flag=flag), "deletedAt": TIME}


@contextlib.contextmanager
def reading(index):
    client = make_client(table_name="simulated")
    with mock.patch("jaypie_dynamo._pages.query", index), use_client(client):
        yield


def read_class(**params):
    return query_by_class(model="record", scope="@", record_class=CLASS, **params)


def read_all(function, **params):
    """Pages joined together; each cursor goes through JSON on its way."""
    pages = []
    cursor = None
    while True:
        assert len(pages) < 100, "the pages never end"
        page = function(start_key=cursor, **params)
        pages.append(page)
        if page.last_evaluated_key is None:
            return pages
        following = json.loads(json.dumps(page.last_evaluated_key))
        assert following != cursor, "the cursor stands still"
        cursor = following


def joined(pages):
    return [item["id"] for page in pages for item in page.items]


def expect(items, states, *, ascending, filtered=False, after=None, before=None):
    """What must come back, said plainly."""
    wanted = [
        item
        for item in items
        if (item["model"], item["scope"], item["class"]) == ("record", "@", CLASS)
        and state_of(item) in states
        and item["indexClass"] == KEY + state_of(item)
        and (item["flag"] or not filtered)
        and (after is None or Decimal(item["sequence"]) > exact(after))
        and (before is None or Decimal(item["sequence"]) < exact(before))
    ]
    wanted.sort(key=lambda item: (Decimal(item["sequence"]), STATES.index(state_of(item)), tie(item)))
    return [item["id"] for item in (wanted if ascending else reversed(wanted))]


def state_of(item):
    return ("#archived" if "archivedAt" in item else "") + ("#deleted" if "deletedAt" in item else "")


def exact(number):
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


# --- whatever lies in the index ------------------------------------------------------------------------------------

# What a call may ask for, and the states it then reads.
ASKED = (
    ({}, ("",)),
    ({"include_archived": True}, ("", "#archived")),
    ({"include_deleted": True}, ("", "#deleted")),
    ({"include_archived": True, "include_deleted": True}, STATES),
    ({"archived": True}, ("#archived",)),
    ({"deleted": True}, ("#deleted",)),
    ({"archived": True, "deleted": True}, ("#archived#deleted",)),
)
PROJECTIONS = (None, ["id"], ["id", "flag"], ["id", "class", "sequence"])
BOUNDS = (None, *(kind(text) for text in SEQUENCES for kind in (float, Decimal, lambda text: unmarshal({"N": text}))))

# A row and a question are one draw each: hypothesis takes longer to draw than the test to run.
rows = st.lists(st.sampled_from(list(itertools.product(SEQUENCES, STATES, "gggggflsmct", (True, False)))), max_size=14)
askings = st.sampled_from(list(itertools.product(ASKED, PROJECTIONS, (True, False), (True, False))))
page_limits = st.sampled_from([None, *range(1, 17)])


# What the TypeScript package may leave in a partition: fields changed behind the key, a model with a separator, a
# class that ends as a state does.
STRAYS = {
    "s": {"scope": "@#other"},
    "m": {"model": "record#a", "class": "b"},
    "c": {"class": None},
    "t": {"class": CLASS + "#deleted", "indexClass": KEY + "#deleted"},
}


def build_items(rows):
    items = []
    for number, (sequence, state, kind, flag) in enumerate(rows):
        if kind == "g":
            items.append(make_item(f"id{number}", sequence, state, flag=flag))
        elif kind == "f":  # with the id of another item that is genuine
            items.append(make_foreign(f"id{number - 1}", sequence, state, flag=flag))
        elif kind == "l":
            items.append(make_leftover(f"id{number}", sequence, flag=flag))
        else:
            items.append(make_item(f"id{number}", sequence, state, flag=flag, **STRAYS[kind]))
    return items


def build_question(asking, after, before):
    (options, states), attributes, ascending, filtered = asking
    if after is not None and before is not None and exact(after) >= exact(before):
        after = None
    options = {**options, "ascending": ascending, "after": after, "before": before, "attributes": attributes}
    if filtered:
        options["where"] = where("flag").eq(True)
    wanted = {"ascending": ascending, "filtered": filtered, "after": after, "before": before}
    return options, lambda items: expect(items, states, **wanted)


@settings(max_examples=2000)
@given(
    rows=rows,
    asking=askings,
    after=st.sampled_from(BOUNDS),
    before=st.sampled_from(BOUNDS),
    limit=page_limits,
    page_items=st.integers(1, 8),
    key_at_end=st.booleans(),
)
def test_joined_pages_are_the_whole(rows, asking, after, before, limit, page_items, key_at_end):
    options, expected = build_question(asking, after, before)
    index = SimulatedIndex(build_items(rows), page_items=page_items, key_at_end=key_at_end)
    with reading(index):
        pages = read_all(read_class, limit=limit, **options)
    assert joined(pages) == expected(index.items)
    if limit is not None:
        assert all(len(page.items) == limit for page in pages[:-1])
        assert len(pages[-1].items) <= limit
    if options["attributes"] is not None:
        assert all(set(item) == set(options["attributes"]) for page in pages for item in page.items)


@settings(max_examples=1000)
@given(
    rows=rows,
    asking=askings,
    after=st.sampled_from(BOUNDS),
    before=st.sampled_from(BOUNDS),
    limit=page_limits,
    page_items=st.integers(1, 8),
    spare=st.integers(0, 3),
)
def test_pages_cut_short_by_max_pages_still_join(rows, asking, after, before, limit, page_items, spare):
    options, expected = build_question(asking, after, before)
    index = SimulatedIndex(build_items(rows), page_items=page_items)
    max_pages = len(asking[0][1]) + spare
    requests = []

    def read_counted(**params):
        already = len(index.limits)
        page = read_class(**params)
        requests.append(len(index.limits) - already)
        return page

    with reading(index):
        pages = read_all(read_counted, limit=limit, max_pages=max_pages, **options)
    assert joined(pages) == expected(index.items)
    assert max(requests) <= max_pages


moves = st.lists(st.tuples(st.integers(0, 99), st.sampled_from(STATES)), max_size=30)


@settings(max_examples=1000)
@given(
    rows=st.lists(
        st.sampled_from(list(itertools.product(range(20), STATES, (True, False)))), unique_by=lambda row: row[0]
    ),
    moves=moves,
    limit=st.sampled_from([None, *range(1, 7)]),
    page_items=st.integers(1, 6),
    ascending=st.booleans(),
    filtered=st.booleans(),
    between_pages=st.booleans(),
)
def test_an_item_that_changes_state_appears_once(rows, moves, limit, page_items, ascending, filtered, between_pages):
    items = [make_item(f"id{sequence}", str(sequence), state, flag=flag) for sequence, state, flag in rows]
    index = SimulatedIndex(items, page_items=page_items)
    moves = iter(moves)
    moved = set()

    def move(_request=None):
        number, state = next(moves, (0, None))
        if state is not None and items:
            item = items[number % len(items)]
            index.store(make_item(item["id"], item["sequence"], state, flag=item["flag"]))
            moved.add(item["id"])

    def read_and_move(**params):
        page = read_class(**params)
        if between_pages:
            move()
        return page

    if not between_pages:
        index.before_request = move
    options = {"include_deleted": True, "include_archived": True, "ascending": ascending, "limit": limit}
    if filtered:
        options["where"] = where("flag").eq(True)
    with reading(index):
        found = joined(read_all(read_and_move, **options))
    wanted = expect(items, STATES, ascending=ascending, filtered=filtered)
    if between_pages:
        assert found == wanted
    else:
        # What moves between two requests of one page may be missed, as by any two reads; never does it come twice.
        assert [key for key in found if key not in moved] == [key for key in wanted if key not in moved]
        assert len(set(found)) == len(found)
        assert set(found) <= set(wanted)


@settings(max_examples=300)
@given(
    rows=st.lists(st.tuples(st.text("abz", min_size=1, max_size=3), st.sampled_from(STATES)), unique_by=lambda r: r[0]),
    limit=page_limits,
    page_items=st.integers(1, 5),
    ascending=st.booleans(),
)
def test_the_base_table_pages_by_id(rows, limit, page_items, ascending):
    items = [make_item(key, "1", state) for key, state in rows]
    index = SimulatedIndex(items, page_items=page_items, matches=lambda item: not state_of(item))
    with reading(index):
        pages = read_all(query, model="record", limit=limit, ascending=ascending, attributes=["id"])
    assert joined(pages) == sorted([key for key, state in rows if not state], reverse=not ascending)


# --- cases of their own --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ascending", [True, False])
def test_the_decimal_context_of_the_caller_changes_nothing(ascending):
    texts = ["1767744000000", "1767744000000.5", "1767744000001", "1767744000001.5"]
    items = [make_item(text, text, state) for text, state in zip(texts, STATES, strict=True)]
    with reading(SimulatedIndex(items)), localcontext(Context(prec=3, traps=[Inexact, Rounded, FloatOperation])):
        pages = read_all(read_class, include_deleted=True, include_archived=True, ascending=ascending, limit=3)
        between = read_class(include_deleted=True, include_archived=True, after=1767744000000, before=1767744000001.5)
    assert joined(pages) == (texts if ascending else texts[::-1])
    assert joined([between]) == ["1767744000001", "1767744000000.5"]


def test_a_reader_with_decimals_pages_alike():
    texts = ["1.5", "1.5", "2.25", "2.25", "3"]
    items = [make_item(str(number), text, STATES[number % 4]) for number, text in enumerate(texts)]
    index = SimulatedIndex(items, parse_float=Decimal)
    with reading(index):
        pages = read_all(read_class, include_deleted=True, include_archived=True, limit=1)
    assert joined(pages) == expect(items, STATES, ascending=False)
    assert [page.last_evaluated_key["sequence"] for page in pages[:4]] == [3, "2.25", "2.25", "1.5"]


def test_a_sequence_only_a_decimal_holds_is_text_in_the_cursor():
    text = "0.1000000000000000000000000000000000001"
    with reading(SimulatedIndex([make_item("1", text), make_item("2", "0")])):
        page = read_class(limit=1)
    assert page.last_evaluated_key == {"model": "record", "id": "1", "sequence": text, "indexClass": KEY}


def test_what_lies_on_the_open_ends_never_stops_the_reading():
    # Pages full of what is left out: at the near end, at the far end, in two states.
    items = [make_item(f"{end}-{number}", str(end), STATES[number % 2]) for end in (1, 9) for number in range(6)]
    items += [make_item("in", "5")]
    for ascending in (True, False):
        index = SimulatedIndex(items, page_items=2)
        with reading(index):
            page = read_class(after=1, before=9, ascending=ascending, include_archived=True, limit=2, max_pages=2)
        assert joined([page]) == ["in"]
        assert page.last_evaluated_key is None
        assert len(index.limits) == 2


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (0, Decimal("1E-130")),
        (Decimal("-1E-130"), 0),
        (5, Decimal("5.0000000000000000000000000000000000001")),
        (10**38, Decimal("1.0000000000000000000000000000000000001E+38")),
        (Decimal("1.5E-130"), Decimal("1.5000000000000000000000000000000000001E-130")),
    ],
)
def test_between_neighbours_lies_nothing_to_ask_for(after, before):
    index = SimulatedIndex([make_item("low", str(after)), make_item("high", str(before))])
    with reading(index):
        assert read_class(after=after, before=before) == ([], None)
        assert count_by_class(model="record", scope="@", record_class=CLASS, after=after, before=before) == 0
        assert read_class(after=after).items[0]["id"] == "high"
        assert read_class(before=before).items[0]["id"] == "low"
        assert len(read_class().items) == 2
    assert len(index.limits) == 3


def test_ends_are_as_near_as_numbers_can_be():
    texts = ["-1E-130", "0", "1E-130", "5", "5.0000000000000000000000000000000000001", "1E+38"]
    index = SimulatedIndex([make_item(text, text) for text in texts])
    with reading(index):
        for low, high in itertools.combinations(texts, 2):
            between = texts[texts.index(low) + 1 : texts.index(high)]
            assert joined([read_class(after=Decimal(low), before=Decimal(high), ascending=True)]) == between


def test_an_item_read_again_with_a_later_sequence_comes_once():
    # Two leftovers make a second request of the same partition necessary; the first item has moved ahead of it.
    items = [make_item("moves", "1"), make_leftover("l", "2"), make_item("stays", "3"), make_item("last", "5")]
    index = SimulatedIndex(items)

    def move(request):
        if request == 1:
            index.store(make_item("moves", "4"))

    index.before_request = move
    with reading(index):
        assert joined([read_class(limit=3, ascending=True)]) == ["moves", "stays", "last"]
    assert len(index.limits) == 2


def test_the_entity_of_a_foreign_cursor_is_another():
    # The page stops at an item of another model, which has the id of the entity that follows it.
    index = SimulatedIndex([make_foreign("twin", "1"), make_item("twin", "2", "#deleted")], page_items=1)
    with reading(index):
        pages = read_all(read_class, ascending=True, include_deleted=True, max_pages=2)
    assert joined(pages) == ["twin"]


# --- what it costs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "states"), ASKED)
def test_a_page_costs_one_request_for_each_state(options, states):
    index = SimulatedIndex(
        [make_item(f"{state}{number}", str(number), state) for state in STATES for number in range(9)]
    )
    with reading(index):
        assert len(read_class(limit=5, **options).items) == 5
        index.page_items = 4
        assert len(read_class(**options).items) >= 4
    assert index.limits == [5] * len(states) + [None] * len(states)


@pytest.mark.parametrize("place", [0, 99, 100, 299])
def test_a_rare_match_costs_at_most_three_requests(place):
    index = SimulatedIndex([make_item(str(number), str(number), flag=number == place) for number in range(300)])
    with reading(index):
        page = read_class(limit=1, where=where("flag").eq(True))
    assert joined([page]) == [str(place)]
    assert len(index.limits) <= 3


def test_what_was_read_past_the_last_match_is_not_read_again():
    index = SimulatedIndex([make_item(str(number), str(number), flag=number == 149) for number in range(150)])
    with reading(index):
        pages = read_all(read_class, limit=1, where=where("flag").eq(True))
    assert joined(pages) == ["149"]
    assert len(index.limits) == 2


def test_items_that_do_not_belong_cost_at_most_three_requests():
    index = SimulatedIndex([make_leftover(str(number), str(number)) for number in range(300)] + [make_item("x", "-1")])
    with reading(index):
        page = read_class(limit=1)
    assert joined([page]) == ["x"]
    assert index.limits == [1, 100, 200]


def test_limit_stays_within_the_apis_integer():
    # Each page is 1 MB of items that do not match, so Limit doubles page by page.
    index = SimulatedIndex([make_item(str(number), str(number), flag=False) for number in range(40)], page_items=1)
    with reading(index):
        assert read_class(limit=1, where=where("flag").eq(True)) == ([], None)
        assert max(index.limits) == MAX_LIMIT
        read_class(limit=10**12)
    assert index.limits[-40:] == [MAX_LIMIT] * 40


def test_attributes_may_come_from_an_iterator():
    index = SimulatedIndex([make_item("1", "1"), make_item("2", "2", "#deleted")])
    with reading(index):
        assert read_class(include_deleted=True, attributes=iter(["id"])).items == [{"id": "2"}, {"id": "1"}]


def test_iter_query_reads_no_further_than_it_is_asked():
    index = SimulatedIndex([make_item(str(number), str(number)) for number in range(9)])
    with reading(index):
        entities = iter_query(query_by_class, model="record", scope="@", record_class=CLASS, page_size=2, limit=5)
        assert index.limits == []
        assert [next(entities)["id"], next(entities)["id"]] == ["8", "7"]
        assert index.limits == [2]
        assert [entity["id"] for entity in entities] == ["6", "5", "4"]
    assert index.limits == [2, 2, 1]
