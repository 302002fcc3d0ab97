"""Changing what is stored: update, patch, the four changes of state, and their conditions, on every engine.

A table is made for every test, and that takes longer than most of what is tested: rows are run one after the other on
one table, each as a `case`.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from model import INDEXES, index_keys, is_set, suffix_of, with_keys, write_time

from jaypie_dynamo import (
    APEX,
    AmbiguousWriteError,
    ConflictError,
    NotFoundError,
    ValidationError,
    archive_entity,
    delete_entity,
    destroy_entity,
    get_doc_client,
    get_entity,
    index_entity,
    patch_entity,
    put_entity,
    query_by_alias,
    query_by_scope,
    restore_entity,
    unarchive_entity,
    update_entity,
    where,
)
from jaypie_dynamo._transport._attempt import AttemptError, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = {"model": "record", "id": "1"}
THEN = "2020-01-01T00:00:00.000Z"
FUTURE = "2999-12-31T23:59:59.999Z"
AFTER_FUTURE = "3000-01-01T00:00:00.000Z"

STATE = {"count": 2, "tags": ["a", "b"], "a.b": 1}
RECORD = {
    **KEY,
    "scope": APEX,
    "name": "Daily Log",
    "alias": "log",
    "class": "memory",
    "type": "note",
    "xid": 7,
    "status": "running",
    "state": STATE,
    "lines": [{"sku": "x"}, {"sku": "y"}],
    "sequence": 1,
    "createdAt": THEN,
    "updatedAt": THEN,
}
STATES = {
    "active": {},
    "archived": {"archivedAt": THEN},
    "deleted": {"deletedAt": THEN},
    "both": {"archivedAt": THEN, "deletedAt": THEN},
}


pytestmark = pytest.mark.usefixtures("client")


@pytest.fixture
def sent(client, monkeypatch):
    """The operations sent since `clear`, in order."""
    operations: list[str] = []
    send = client.transport.send

    def note(request, *rest):
        operations.append(request.operation)
        return send(request, *rest)

    monkeypatch.setattr(client.transport, "send", note)
    return operations


@contextlib.contextmanager
def case(*row: object) -> Iterator[None]:
    """Name the row of a table in which something is wrong."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        raise AssertionError(f"in the case {row}: {error}") from error


def store(item: dict[str, Any], **raw: Any) -> dict[str, Any]:
    """Store an item past the library: right keys, then `raw` as it is."""
    item = {**with_keys(item), **raw}
    get_doc_client().call("PutItem", Item=item)
    return item


def read_back() -> dict[str, Any] | None:
    """Read the item; what is there has the index keys of its fields."""
    item = get_entity(**KEY, consistent=True)
    if item is not None:
        assert item == index_entity(item) == with_keys(item)
    return item


def untimed(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "updatedAt"}


# --- update --------------------------------------------------------------------------------------------------------


def test_update_replaces_the_whole_item_and_its_keys(sent):
    record = store(RECORD)
    sent.clear()
    entity = {name: value for name, value in record.items() if name not in ("alias", "status")}
    entity |= {"class": "other", "type": None, "note": None}
    before = copy.deepcopy(entity)
    updated = update_entity(entity=entity)
    assert sent == ["PutItem"]
    assert entity == before
    assert updated == read_back()
    del entity["type"]
    assert untimed(updated) == untimed(with_keys(entity))
    assert updated["updatedAt"] > record["updatedAt"]
    assert query_by_alias(model="record", scope=APEX, alias="log") is None


def test_update_brings_nothing_back(sent):
    record = store(RECORD)
    assert destroy_entity(**KEY) is True
    sent.clear()
    with pytest.raises(NotFoundError, match=r"'record'.*'1'.*nothing was stored"):
        update_entity(entity=record)
    assert sent == ["PutItem"]
    assert read_back() is None


def test_update_never_changes_the_state():
    for now, read in itertools.product(STATES, STATES):
        with case("stored", now, "read", read):
            stored = store({**RECORD, **STATES[now]})
            entity = {**RECORD, **STATES[read], "name": "updated"}
            if read == now:
                assert update_entity(entity=entity) == read_back()
                assert read_back()["name"] == "updated"
                continue
            with pytest.raises(ConflictError) as conflict:
                update_entity(entity=entity)
            assert conflict.value.existing == stored == read_back()


def test_update_tells_one_deletion_from_another():
    stored = store({**RECORD, "deletedAt": THEN})
    with pytest.raises(ConflictError) as conflict:
        update_entity(entity={**RECORD, "deletedAt": "2020-01-02T00:00:00.000Z"})
    assert conflict.value.existing == stored == read_back()


def test_update_takes_empty_states_for_none():
    for stored_as, read_as in itertools.product([None, ""], [{}, {"deletedAt": None}, {"deletedAt": ""}]):
        with case(stored_as, read_as):
            store({**RECORD, "deletedAt": stored_as, "archivedAt": stored_as})
            assert update_entity(entity={**RECORD, **read_as, "name": "updated"})["name"] == "updated"
            assert suffix_of(read_back()) == ""


def test_update_is_later_than_the_future():
    futures = [(FUTURE, AFTER_FUTURE), ("2999-01-01T00:00:00.123456Z", "2999-01-01T00:00:00.124Z")]
    for previous, following in futures:
        with case(previous):
            read = store({**RECORD, "updatedAt": previous})
            assert update_entity(entity=read)["updatedAt"] == following == read_back()["updatedAt"]
            read = store({**RECORD, "updatedAt": previous})
            assert update_entity(entity=untimed(read), if_unchanged=read)["updatedAt"] == following


# --- if_unchanged --------------------------------------------------------------------------------------------------

# what is written → its requests, with a lock or a condition
WRITES = {
    "update": (lambda **only_if: update_entity(entity={**RECORD, "name": "mine"}, **only_if), ["PutItem"]),
    "patch": (lambda **only_if: patch_entity(**KEY, set={"name": "mine"}, **only_if), ["UpdateItem"]),
    "patch of an index field": (
        lambda **only_if: patch_entity(**KEY, set={"alias": "mine"}, **only_if),
        ["GetItem", "UpdateItem"],
    ),
    "destroy": (lambda **only_if: destroy_entity(**KEY, **only_if), ["DeleteItem"]),
}


@pytest.mark.parametrize("name", WRITES)
def test_unchanged_is_written_and_changed_is_not(sent, name):
    write, requests = WRITES[name]
    record = store(RECORD)
    before = copy.deepcopy(record)
    theirs = patch_entity(**KEY, set={"status": "theirs"})
    sent.clear()
    with pytest.raises(ConflictError, match="nothing was changed") as conflict:
        write(if_unchanged=record)
    assert sent == requests
    assert conflict.value.existing == theirs == read_back()
    write(if_unchanged=theirs)
    item = read_back()
    assert item is None if name == "destroy" else "mine" in item.values()
    assert record == before


@pytest.mark.parametrize("name", WRITES)
def test_true_is_written_and_false_is_not(sent, name):
    write, requests = WRITES[name]
    record = store(RECORD)
    for condition in (
        where("status").ne("running"),
        where("status").eq("done") | where("absent").exists(),
        where("state.count").gt(2),
        where("name").not_exists(),
    ):
        with case(condition):
            sent.clear()
            with pytest.raises(ConflictError, match="nothing was changed") as conflict:
                write(condition=condition)
            assert sent == requests
            assert conflict.value.existing == record == read_back()
    with pytest.raises(ConflictError):
        write(condition=where("state.count").eq(2), if_unchanged={**record, "updatedAt": FUTURE})
    with pytest.raises(ConflictError):
        write(condition=where("state.count").eq(3), if_unchanged=record)
    write(condition=where("state.count").eq(2) | where("absent").exists(), if_unchanged=record)
    item = read_back()
    assert item is None if name == "destroy" else "mine" in item.values()


def test_destroying_nothing_is_false_whatever_the_condition(sent):
    for condition in (where("name").exists(), where("name").not_exists()):
        assert destroy_entity(**KEY, condition=condition) is False
    assert destroy_entity(**KEY, if_unchanged=RECORD) is False
    assert sent == ["DeleteItem"] * 3


# --- patch ---------------------------------------------------------------------------------------------------------

# patch → the attributes that are different afterwards (`...`: gone)
PATCHES = [
    ({"set": {"name": "new"}}, {"name": "new"}),
    ({"set": {"name": None}}, {"name": None}),
    ({"set": {"fresh": {"new": [1, {2.5}, b"3"]}}}, {"fresh": {"new": [1, {2.5}, b"3"]}}),
    ({"set": {"state.count": 9}}, {"state": {**STATE, "count": 9}}),
    ({"set": {("state", "a.b"): 9}}, {"state": {**STATE, "a.b": 9}}),
    ({"set": {"state.tags[1]": "z"}}, {"state": {**STATE, "tags": ["a", "z"]}}),
    ({"set": {"lines[0].sku": "z", "lines[1].more": 1}}, {"lines": [{"sku": "z"}, {"sku": "y", "more": 1}]}),
    ({"set": {"createdAt": FUTURE}}, {"createdAt": FUTURE}),
    ({"set": {"sequence": Decimal("5.5")}}, {"sequence": 5.5}),
    ({"remove": ["name", "absent"]}, {"name": ...}),
    ({"remove": ("state.tags[0]", ("state", "a.b"))}, {"state": {"count": 2, "tags": ["b"]}}),
    ({"remove": ["lines[0]"]}, {"lines": [{"sku": "y"}]}),
    ({"add": {"visits": 3}}, {"visits": 3}),
    ({"add": {"state.count": -5}}, {"state": {**STATE, "count": -3}}),
    ({"add": {"state.fresh": 5}}, {"state": {**STATE, "fresh": 5}}),
    ({"add": {"kinds": {"x"}}}, {"kinds": {"x"}}),
    ({"add": {"sequence": 1}}, {"sequence": 2}),
    ({"append": {"log": ["first"]}}, {"log": ["first"]}),
    ({"append": {"lines": ({"sku": "z"},)}}, {"lines": [{"sku": "x"}, {"sku": "y"}, {"sku": "z"}]}),
    ({"append": {"state.tags": ["c", "d"]}}, {"state": {**STATE, "tags": ["a", "b", "c", "d"]}}),
    ({"append": {"state.log": [1]}}, {"state": {**STATE, "log": [1]}}),
    (
        {"set": {"state.count": 0}, "remove": ["status"], "add": {"visits": 1}, "append": {"state.tags": ["c"]}},
        {"status": ..., "visits": 1, "state": {**STATE, "count": 0, "tags": ["a", "b", "c"]}},
    ),
]

# The same for patches that name a field of an index key.
INDEX_PATCHES = [
    ({"set": {"alias": "new"}}, {"alias": "new"}),
    ({"set": {("alias",): "new", "name": "new"}}, {"alias": "new", "name": "new"}),
    ({"set": {"alias": 12}}, {"alias": 12}),
    ({"set": {"alias": ""}}, {"alias": ""}),
    ({"set": {"alias": None}}, {"alias": ...}),
    ({"set": {"alias": "log"}}, {}),
    ({"set": {"class": "a#b", "type": None}, "remove": [["xid"]]}, {"class": "a#b", "type": ..., "xid": ...}),
    ({"set": {"scope": "chat#9"}}, {"scope": "chat#9"}),
    ({"remove": ["alias", "xid"]}, {"alias": ..., "xid": ...}),
    (
        {"set": {"xid": "new"}, "add": {"state.count": 1}, "append": {"log": [1]}, "remove": ["status"]},
        {"xid": "new", "state": {**STATE, "count": 3}, "log": [1], "status": ...},
    ),
]


@pytest.mark.parametrize(
    ("patches", "requests"),
    [(PATCHES, ["UpdateItem"]), (INDEX_PATCHES, ["GetItem", "UpdateItem"])],
    ids=["attributes", "index fields"],
)
def test_patch_changes_what_is_named_and_nothing_else(sent, patches, requests):
    for (changes, expected), state in zip(patches, itertools.cycle(STATES), strict=False):
        with case(changes, state):
            record = store({**RECORD, **STATES[state]})
            before = copy.deepcopy(changes)
            sent.clear()
            patched = patch_entity(**KEY, **changes)
            assert sent == requests
            wanted = {name: value for name, value in {**record, **expected}.items() if value is not ...}
            assert untimed(patched) == untimed(with_keys(wanted))
            assert patched["updatedAt"] > record["updatedAt"]
            assert patched == read_back()
            assert changes == before


def test_patch_takes_paths_from_an_iterator():
    store(RECORD)
    assert "name" not in patch_entity(**KEY, remove=(name for name in ["name", "status"]))
    assert "status" not in read_back()


def test_patch_never_stores_a_new_item(sent):
    for changes, requests in (
        ({"set": {"name": "x"}}, ["UpdateItem"]),
        ({"add": {"visits": 1}}, ["UpdateItem"]),
        ({"set": {"name": "x"}, "condition": where("name").not_exists()}, ["UpdateItem"]),
        ({"set": {"alias": "x"}}, ["GetItem"]),
    ):
        with case(changes):
            sent.clear()
            with pytest.raises(NotFoundError, match=r"'record'.*'1'.*nothing was stored"):
                patch_entity(**KEY, **changes)
            assert sent == requests
            assert get_doc_client().call("Scan", ConsistentRead=True)["Items"] == []


def test_patch_as_a_status_transition():
    def complete():
        return patch_entity(**KEY, set={"status": "complete"}, condition=where("status").eq("running"))

    store(RECORD)
    assert complete()["status"] == "complete"
    with pytest.raises(ConflictError) as conflict:
        complete()
    assert conflict.value.existing["status"] == "complete"


def test_patch_is_later_than_a_future_it_knows():
    store({**RECORD, "updatedAt": FUTURE})
    assert patch_entity(**KEY, set={"alias": "new"})["updatedAt"] == AFTER_FUTURE
    read = store({**RECORD, "updatedAt": FUTURE})
    assert patch_entity(**KEY, set={"name": "new"}, if_unchanged=read)["updatedAt"] == AFTER_FUTURE


def test_patch_takes_a_time_of_the_callers():
    for field, path in itertools.product(["name", "alias"], ["updatedAt", ("updatedAt",)]):
        with case(field, path):
            store(RECORD)
            assert patch_entity(**KEY, set={field: "new", path: FUTURE})["updatedAt"] == FUTURE
            assert read_back()["updatedAt"] == FUTURE


# Trusted engine: DynamoDB Local. Moto takes an ADD below a string and stores nothing.
@pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True)
def test_what_dynamodb_refuses_is_its_own_error():
    record = store(RECORD)
    for changes in ({"set": {"absent.deep": 1}}, {"add": {"name.deep": 1}}, {"append": {"name": [1]}}):
        with case(changes):
            with pytest.raises(ClientError) as refused:
                patch_entity(**KEY, **changes)
            assert refused.value.response["Error"]["Code"] == "ValidationException"
            assert read_back() == record


# --- changes of state ----------------------------------------------------------------------------------------------

# the change → the timestamp it is about, and whether it is set afterwards
STATE_CHANGES = {
    delete_entity: ("deletedAt", True),
    restore_entity: ("deletedAt", False),
    archive_entity: ("archivedAt", True),
    unarchive_entity: ("archivedAt", False),
}


@pytest.mark.parametrize("change", STATE_CHANGES)
def test_a_change_of_state_writes_what_it_owns(sent, change):
    field, is_on = STATE_CHANGES[change]
    owned = {field, "updatedAt", *INDEXES}
    for state in STATES:
        with case(state):
            stored = store({**RECORD, **STATES[state]})
            sent.clear()
            started = write_time(time.time_ns() // 1_000_000)
            assert change(**KEY) is True
            item = read_back()
            if is_set(stored.get(field)) is is_on:
                assert sent == ["GetItem", "GetItem"]
                assert item == stored  # the first timestamp too
                continue
            assert sent == ["GetItem", "UpdateItem", "GetItem"]
            assert {name: item[name] for name in item if name not in owned} == {
                name: stored[name] for name in stored if name not in owned
            }
            assert item["updatedAt"] >= started
            assert item[field] >= started if is_on else field not in item


@pytest.mark.parametrize("change", STATE_CHANGES)
def test_a_change_of_the_state_of_nothing_is_false(sent, change):
    assert change(**KEY) is False
    assert sent == ["GetItem"]
    assert get_doc_client().call("Scan", ConsistentRead=True)["Items"] == []


@pytest.mark.parametrize("change", STATE_CHANGES)
def test_a_change_of_state_is_later_than_the_future(change):
    field, is_on = STATE_CHANGES[change]
    store({**RECORD, **({} if is_on else {field: THEN}), "updatedAt": FUTURE})
    assert change(**KEY) is True
    item = read_back()
    assert item["updatedAt"] == AFTER_FUTURE
    assert item.get(field, "") < FUTURE


def test_there_and_back_again():
    record = store(RECORD)
    for change in (delete_entity, archive_entity, restore_entity, unarchive_entity):
        assert change(**KEY) is True
    assert untimed(read_back()) == untimed(record)


def test_queries_follow_the_state():
    def found(**options):
        return [item["id"] for item in query_by_scope(model="record", scope=APEX, **options).items]

    store(RECORD)
    archive_entity(**KEY)
    assert (found(), found(include_archived=True), found(archived=True)) == ([], ["1"], ["1"])
    delete_entity(**KEY)
    assert (found(include_archived=True), found(archived=True, deleted=True)) == ([], ["1"])
    restore_entity(**KEY)
    unarchive_entity(**KEY)
    assert (found(), found(archived=True, deleted=True)) == (["1"], [])


def test_an_empty_timestamp_is_no_state():
    for value in (None, ""):
        with case(value):
            stored = store({**RECORD, "deletedAt": value, "archivedAt": value})
            assert restore_entity(**KEY) is True
            assert unarchive_entity(**KEY) is True
            assert read_back() == stored
            assert delete_entity(**KEY) is True
            item = read_back()
            assert is_set(item["deletedAt"])
            assert item["archivedAt"] == value


# --- what the TypeScript package leaves behind ---------------------------------------------------------------------

# An update took the alias away and left its key; a put brought a deleted entity back into the keys of the living.
WITHOUT_ALIAS = {name: value for name, value in RECORD.items() if name != "alias"}
LEFT_BEHIND = {
    "stale alias key": {**WITHOUT_ALIAS, **index_keys(RECORD)},
    "alias NULL": {**RECORD, "alias": None, **index_keys(RECORD)},
    "lost suffix": {**RECORD, "deletedAt": THEN, **index_keys(RECORD)},
    "suffix left": {**RECORD, **index_keys({**RECORD, "archivedAt": THEN})},
    "keys missing": {**RECORD, "indexScope": "@#record"},
}

# the first write of ours → its requests
FIRST_WRITES = {
    "put": (lambda read: put_entity(entity=read), 1),
    "update": (lambda read: update_entity(entity=read), 1),
    "update of the unchanged": (lambda read: update_entity(entity=read, if_unchanged=read), 1),
    "patch": (lambda _: patch_entity(**KEY, set={"name": "new"}), 2),
    "patch by adding": (lambda _: patch_entity(**KEY, add={"state.count": 1}), 2),
    "patch of class": (lambda _: patch_entity(**KEY, set={"class": "new"}), 2),
    "patch of alias": (lambda _: patch_entity(**KEY, set={"alias": "new"}), 2),
    "patch of alias to none": (lambda _: patch_entity(**KEY, set={"alias": None}), 2),
    "delete": (lambda _: delete_entity(**KEY), 2),
    "restore": (lambda _: restore_entity(**KEY), 2),
    "archive": (lambda _: archive_entity(**KEY), 2),
    "unarchive": (lambda _: unarchive_entity(**KEY), 2),
}


@pytest.mark.parametrize("left", LEFT_BEHIND)
def test_keys_are_right_after_the_first_write(sent, left):
    for first, (write, requests) in FIRST_WRITES.items():
        with case(first):
            read = LEFT_BEHIND[left]
            get_doc_client().call("PutItem", Item=read)
            sent.clear()
            told = write(read)
            assert len(sent) == requests
            item = read_back()
            assert told is True or told == item
            found = get_doc_client().call("Scan", IndexName="indexAlias")["Items"]
            assert found == ([item] if is_set(item.get("alias")) else [])


def refuse(code):
    return lambda: Response(400, {}, f'{{"__type":"x#{code}","message":"no"}}'.encode())


def lose(**how):
    def fail():
        raise AttemptError("lost", **how)

    return fail


@pytest.mark.parametrize(
    ("obstacle", "times"),
    [(refuse("AccessDeniedException"), 2), (refuse("ConditionalCheckFailedException"), 2), (lose(sent=True), 5)],
    ids=["refused", "raced", "lost"],
)
def test_a_patch_is_done_whatever_happens_to_the_keys(client, monkeypatch, obstacle, times):
    """The correction of keys is a request of its own: that it fails must not look as if the patch had."""
    get_doc_client().call("PutItem", Item=LEFT_BEHIND["stale alias key"])
    send = client.transport.send
    updates = []

    def disturb(request, *rest):
        updates.append(request)
        return send(request, *rest) if len(updates) == 1 else obstacle()

    with monkeypatch.context() as patch:
        patch.setattr(client.transport, "send", disturb)
        told = patch_entity(**KEY, add={"state.count": 1})
    assert len(updates) == times
    assert told["state"]["count"] == 3
    assert told == get_entity(**KEY, consistent=True)
    assert patch_entity(**KEY, add={"state.count": 1}) == read_back()


def test_an_item_without_scope_has_no_keys_to_derive():
    """Attributes of its own can be patched; what its keys would be made of cannot."""
    foreign = {**KEY, "name": "foreign"}
    get_doc_client().call("PutItem", Item=foreign)
    with pytest.raises(ValidationError) as refused:
        patch_entity(**KEY, set={"alias": "x"})
    assert refused.value.path == "scope"
    assert get_entity(**KEY) == foreign
    assert untimed(patch_entity(**KEY, set={"name": "x"})) == {**KEY, "name": "x"}


# --- a lost answer -------------------------------------------------------------------------------------------------

# what is written → how often it is sent while every answer is lost
LOST = {
    "patch": (lambda: patch_entity(**KEY, set={"name": "x"}), 4),
    "patch by adding": (lambda: patch_entity(**KEY, add={"state.count": 1}), 1),
    "patch by appending": (lambda: patch_entity(**KEY, append={"lines": [1]}), 1),
    "patch under a condition": (lambda: patch_entity(**KEY, set={"name": "x"}, condition=where("name").exists()), 4),
    "patch of the unchanged": (lambda: patch_entity(**KEY, set={"name": "x"}, if_unchanged=RECORD), 4),
    "patch of an index field": (lambda: patch_entity(**KEY, set={"alias": "x"}), 4),
    "update": (lambda: update_entity(entity=RECORD), 4),
    "delete": (lambda: delete_entity(**KEY), 4),
    "destroy under a condition": (lambda: destroy_entity(**KEY, condition=where("name").exists()), 1),
}


def test_a_lost_answer_is_never_a_wrong_answer(client, monkeypatch):
    send = client.transport.send
    writes = []

    def lose_answer(request, *rest):
        answer = send(request, *rest)
        if request.operation == "GetItem":
            return answer
        writes.append(request)
        raise AttemptError("lost", sent=True)

    monkeypatch.setattr("jaypie_dynamo._transport._policy.delay_s", lambda *_, **__: 0)
    for name, (write, times) in LOST.items():
        with case(name):
            record = store(RECORD)
            writes.clear()
            with monkeypatch.context() as patch:
                patch.setattr(client.transport, "send", lose_answer)
                with pytest.raises(AmbiguousWriteError):
                    write()
            assert len(writes) == times
            assert read_back() != record
