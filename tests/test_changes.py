"""What is refused before anything is sent, and which keys a change writes. No engine: every `send` fails here."""

from __future__ import annotations

import contextvars
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import INDEXES, index_keys

import jaypie_dynamo
from jaypie_dynamo import (
    APEX,
    ConfigurationError,
    ValidationError,
    archive_entity,
    delete_entity,
    destroy_entity,
    index_entity,
    patch_entity,
    restore_entity,
    unarchive_entity,
    update_entity,
    where,
)
from jaypie_dynamo._changes import _as_read, _fit, _key_changes, _same_keys
from jaypie_dynamo._expressions import Placeholders, compile_condition
from jaypie_dynamo._marshal import write_value
from jaypie_dynamo._stamps import now_after

KEY = {"model": "record", "id": "1"}
THEN = "2020-01-01T00:00:00.000Z"
RECORD = {
    **KEY,
    "scope": APEX,
    "alias": "log",
    "status": "running",
    "sequence": 1,
    "createdAt": THEN,
    "updatedAt": THEN,
}


class Mute:
    """A transport that sends nothing."""

    name = "mute"

    def send(self, request: Any, *_: Any) -> Any:
        pytest.fail(f"{request.operation} was sent")

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _client():
    client = jaypie_dynamo.make_client(table_name="none", endpoint="http://127.0.0.1:1", transport="botocore")
    client.set_transport(Mute())
    with client, jaypie_dynamo.use_client(client):
        yield


def test_the_mute_transport_would_notice():
    with pytest.raises(pytest.fail.Exception, match="UpdateItem was sent"):
        patch_entity(**KEY, set={"name": "x"})


# --- update --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["sequence", "createdAt"])
@pytest.mark.parametrize("absent", [True, False])
def test_update_needs_the_entity_as_it_was_read(field, absent):
    entity = {name: value for name, value in RECORD.items() if name != field} if absent else {**RECORD, field: None}
    with pytest.raises(ValidationError, match=f"{field} is missing: .*patch_entity") as refused:
        update_entity(entity=entity)
    assert refused.value.path == field


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"scope": None}, "scope"),
        ({"model": "a#b"}, "model"),
        ({"id": ""}, "id"),
        ({"alias": "x#deleted"}, "alias"),
        ({"class": ["x"]}, "class"),
        ({"sequence": "1"}, "sequence"),
        ({"state": {"deep": [object()]}}, "state.deep[0]"),
    ],
)
def test_update_refuses_what_cannot_be_stored(change, path):
    with pytest.raises(ValidationError) as refused:
        update_entity(entity={**RECORD, **change})
    assert refused.value.path == path


@pytest.mark.parametrize("entity", [None, "record", [("model", "record")]])
def test_update_takes_a_mapping(entity):
    with pytest.raises(ValidationError, match="entity must be a mapping"):
        update_entity(entity=entity)


WRITES = {
    "update": lambda **only_if: update_entity(entity=RECORD, **only_if),
    "patch": lambda **only_if: patch_entity(**KEY, set={"name": "mine"}, **only_if),
    "patch of an index field": lambda **only_if: patch_entity(**KEY, set={"alias": "mine"}, **only_if),
    "destroy": lambda **only_if: destroy_entity(**KEY, **only_if),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("lock", "path"),
    [
        ("2026-01-01T00:00:00.000Z", "if_unchanged"),
        ({**RECORD, "updatedAt": None}, "if_unchanged"),
        ({**KEY}, "if_unchanged"),
        ({**RECORD, "id": "2"}, "if_unchanged.id"),
        ({**RECORD, "model": "other"}, "if_unchanged.model"),
        ({**RECORD, "updatedAt": object()}, "updatedAt"),
    ],
)
def test_a_lock_must_be_the_entity_as_read(write, lock, path):
    with pytest.raises(ValidationError) as refused:
        WRITES[write](if_unchanged=lock)
    assert refused.value.path == path


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (True, "condition must be a condition"),
        ({"status": "running"}, "condition must be a condition"),
        (where("status"), "condition must be a condition"),
        (where("status").eq(float("nan")), "status"),
    ],
)
def test_a_condition_must_be_one(write, condition, message):
    with pytest.raises(ValidationError, match=message):
        WRITES[write](condition=condition)


# --- patch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, None),
        ({"set": {}, "remove": [], "add": {}, "append": {}}, None),
        ({"set": ["name"]}, "set"),
        ({"set": "name"}, "set"),
        ({"add": ["visits"]}, "add"),
        ({"add": 1}, "add"),
        ({"append": ["log"]}, "append"),
        ({"remove": "name"}, "remove"),
        ({"remove": 5}, "remove"),
        ({"set": {"model": "x"}}, "model"),
        ({"set": {"id": "2"}}, "id"),
        ({"set": {("id",): "2"}}, "id"),
        ({"remove": ["id"]}, "id"),
        ({"add": {"model": 1}}, "model"),
        *[({"set": {index: "x"}}, index) for index in INDEXES],
        ({"remove": ["indexAlias"]}, "indexAlias"),
        ({"append": {"indexScope.x": [1]}}, "indexScope"),
        ({"set": {"deletedAt": THEN}}, "deletedAt"),
        ({"set": {"archivedAt": None}}, "archivedAt"),
        ({"remove": ["deletedAt"]}, "deletedAt"),
        ({"append": {"deletedAt": [1]}}, "deletedAt"),
        ({"set": {"alias.x": "y"}}, "alias"),
        ({"set": {"scope[0]": "y"}}, "scope"),
        ({"remove": ["sequence.x"]}, "sequence"),
        ({"set": {"scope": None}}, "scope"),
        ({"set": {"scope": ""}}, "scope"),
        ({"set": {"scope": 5}}, "scope"),
        ({"remove": ["scope"]}, "scope"),
        ({"remove": ["sequence"]}, "sequence"),
        ({"set": {"sequence": None}}, "sequence"),
        ({"set": {"sequence": "1"}}, "sequence"),
        ({"set": {"sequence": True}}, "sequence"),
        ({"set": {"sequence": Decimal("NaN")}}, "sequence"),
        ({"add": {"sequence": {1}}}, "sequence"),
        ({"append": {"sequence": [1]}}, "sequence"),
        ({"set": {"alias": "x#deleted"}}, "alias"),
        ({"set": {"class": "#archived"}}, "class"),
        ({"set": {"alias": True}}, "alias"),
        ({"set": {"alias": 1.5}}, "alias"),
        ({"set": {"xid": ["x"]}}, "xid"),
        ({"set": {"type": "x" * 2049}}, "type"),
        ({"add": {"alias": 1}}, "alias"),
        ({"append": {"class": ["x"]}}, "class"),
        ({"add": {"updatedAt": 1}}, "updatedAt"),
        ({"remove": ["updatedAt"]}, "updatedAt"),
        ({"remove": ["updatedAt"], "set": {"alias": "x"}}, "updatedAt"),
        ({"set": {"updatedAt": None}}, "updatedAt"),
        ({"set": {"updatedAt.x": 1}}, "updatedAt"),
        ({"set": {"": 1}}, ""),
        ({"set": {"a..b": 1}}, "a..b"),
        ({"set": {5: 1}}, None),
        ({"remove": ["lines[x]"]}, "lines[x]"),
        ({"set": {"state": {}, "state.count": 1}}, "state.count"),
        ({"set": {"name": 1}, "remove": ["name"]}, "name"),
        ({"set": {"name": 1, ("name",): 2}}, "name"),
        ({"set": {"name": object()}}, "name"),
        ({"set": {"state.count": float("inf")}}, "state.count"),
        ({"add": {"state.count": "1"}}, "state.count"),
        ({"append": {"state.tags": "c"}}, "state.tags"),
        ({"append": {"lines": {"sku": "z"}}}, "lines"),
        # What a read comes before is refused before it, too.
        ({"set": {"alias": "x", "name": object()}}, "name"),
        ({"set": {"alias": "x"}, "add": {"state.count": "1"}}, "state.count"),
        ({"set": {"alias": "x", ("alias",): "y"}}, "alias"),
    ],
)
def test_patch_refuses_before_anything_is_sent(changes, path):
    with pytest.raises(ValidationError) as refused:
        patch_entity(**KEY, **changes)
    assert refused.value.path == path


@pytest.mark.parametrize(("model", "id", "path"), [("", "1", "model"), ("a#b", "1", "model"), ("record", 1, "id")])
@pytest.mark.parametrize(
    "change",
    [
        delete_entity,
        restore_entity,
        archive_entity,
        unarchive_entity,
        destroy_entity,
        lambda **key: patch_entity(**key, set={"name": "x"}),
    ],
)
def test_a_key_that_cannot_be_one_is_refused(change, model, id, path):
    with pytest.raises(ValidationError) as refused:
        change(model=model, id=id)
    assert refused.value.path == path


def test_without_a_client_nothing_is_looked_at():
    empty = contextvars.Context()
    for change in (
        lambda: update_entity(entity=None),
        lambda: patch_entity(model="", id=""),
        lambda: destroy_entity(**KEY),
        lambda: delete_entity(**KEY),
    ):
        with pytest.raises(ConfigurationError, match="not initialized"):
            empty.run(change)


# --- keys ----------------------------------------------------------------------------------------------------------

FIELDS = {
    "alias": st.sampled_from([..., None, "", "a", 7]),
    "class": st.sampled_from([..., None, "b"]),
    "archivedAt": st.sampled_from([..., None, "", THEN]),
    "deletedAt": st.sampled_from([..., None, "", THEN]),
}
STALE_KEYS = st.fixed_dictionaries({}, optional=dict.fromkeys(INDEXES, st.sampled_from(["@#record", "stale"])))


@given(st.fixed_dictionaries(FIELDS), STALE_KEYS)
def test_key_changes_make_any_keys_right(fields, stale):
    entity = {**KEY, "scope": APEX, **{name: value for name, value in fields.items() if value is not ...}}
    indexed = index_entity(entity)
    sets, removes = _key_changes(indexed)
    assert sorted([*sets, *removes]) == sorted((index,) for index in INDEXES)
    item = {**entity, **stale}
    for path in removes:
        item.pop(path[0], None)
    item |= {path[0]: value for path, value in sets.items()}
    assert item == {**entity, **index_keys(entity)}
    assert _fit(item, indexed)
    assert _fit({**entity, **stale}, indexed) is (stale == index_keys(entity))


@pytest.mark.parametrize("field", ["scope", "alias", "class", "type", "xid", "archivedAt", "deletedAt"])
def test_the_guard_tells_absent_from_null_from_a_value(field):
    absent = {name: value for name, value in RECORD.items() if name != field}
    variants = [absent, {**absent, field: None}, {**absent, field: ""}, {**absent, field: "x"}]
    for one in variants:
        for other in variants:
            assert _same_keys(one, other) is (one is other)
    texts = set()
    for variant in variants:
        placeholders = Placeholders(write_value)
        texts.add((compile_condition(_as_read(variant), placeholders), str(placeholders.values)))
    assert len(texts) == len(variants)
    assert all(_same_keys(RECORD, {**RECORD, name: 9}) for name in ("status", "updatedAt", "sequence", *INDEXES))


# --- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("previous", "following"),
    [
        ("2020-01-01T00:00:01.999999Z", "2020-01-01T00:00:02.000Z"),
        # Nothing can be later; a write must still be told from the one before.
        ("9999-12-31T23:59:59.999Z", THEN),
        ("9999-99-99T99:99:99.999Z", THEN),
        ("zzz", THEN),
    ],
)
def test_a_write_is_never_at_the_time_of_the_one_before(previous, following, monkeypatch):
    monkeypatch.setattr("jaypie_dynamo._stamps.time_ns", lambda: 1577836800000 * 1_000_000)
    assert now_after(previous) == following
