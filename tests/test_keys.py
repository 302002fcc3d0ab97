"""Index keys. `data/keys.json` holds what the TypeScript package builds from the same arguments."""

from __future__ import annotations

import copy
import enum
import itertools
import json
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaypie_dynamo import (
    APEX,
    ARCHIVED_SUFFIX,
    DELETED_SUFFIX,
    INDEX_ALIAS,
    INDEX_CLASS,
    INDEX_SCOPE,
    INDEX_TYPE,
    INDEX_XID,
    SEPARATOR,
    ValidationError,
    _keys,
    build_composite_key,
    build_index_alias,
    build_index_class,
    build_index_scope,
    build_index_type,
    build_index_xid,
    calculate_scope,
    index_entity,
)

VECTORS = json.loads((Path(__file__).parent / "data" / "keys.json").read_text())
ENTITY = {"model": "record", "id": "1", "scope": "@", "name": "Daily Log", "sequence": 1767744000000}
INDEXES = {"alias": INDEX_ALIAS, "class": INDEX_CLASS, "type": INDEX_TYPE, "xid": INDEX_XID}
BUILDERS = {"alias": build_index_alias, "class": build_index_class, "type": build_index_type, "xid": build_index_xid}


class Kind(str, enum.Enum):
    NOTE = "note"


class Number(enum.IntEnum):
    SEVEN = 7


def test_constants_are_the_storage_formats():
    assert (APEX, SEPARATOR, ARCHIVED_SUFFIX, DELETED_SUFFIX) == ("@", "#", "#archived", "#deleted")
    assert (INDEX_SCOPE, *INDEXES.values()) == ("indexScope", "indexAlias", "indexClass", "indexType", "indexXid")


def test_vectors_cover_every_function():
    assert {vector["function"] for vector in VECTORS} == {
        "build_composite_key",
        "build_index_alias",
        "build_index_class",
        "build_index_scope",
        "build_index_type",
        "build_index_xid",
        "calculate_scope",
        "index_entity",
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["function"])
def test_key_is_the_typescript_packages(vector):
    arguments = copy.deepcopy(vector["args"])
    assert getattr(_keys, vector["function"])(*arguments) == vector["result"]
    assert arguments == vector["args"]


# --- builders


@pytest.mark.parametrize("field", BUILDERS)
@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), (5, "5"), (0, "0"), (-5, "-5"), (" a ", " a "), ("#", "#"), (Kind.NOTE, "note"), (Number.SEVEN, "7")],
)
def test_field_key_ends_in_the_fields_text(field, value, text):
    assert BUILDERS[field]("@", "record", value) == f"@#record#{text}"
    key = index_entity({**ENTITY, field: value})[INDEXES[field]]
    assert key == f"@#record#{text}"
    assert type(key) is str


def test_str_enums_stand_for_their_text():
    class Model(str, enum.Enum):
        CHAT = "chat"

    assert calculate_scope({"model": Model.CHAT, "id": "1"}) == "chat#1"
    assert build_index_scope("@", Model.CHAT) == "@#chat"
    assert build_composite_key({"a": Model.CHAT, "b": Number.SEVEN}, ["a", "b"]) == "chat#7"


BAD_SCOPES = [None, "", 5, True, ["@"], b"@"]
BAD_MODELS = [*BAD_SCOPES, "re#cord", "#"]
BAD_FIELDS = [True, False, 1.5, Decimal(1), ["a"], {}, b"a", "a#archived", "a#deleted", "#deleted", "#archived#deleted"]


@pytest.mark.parametrize("build", [build_index_scope, *BUILDERS.values()])
@pytest.mark.parametrize(
    ("path", "value"), [*(("scope", bad) for bad in BAD_SCOPES), *(("model", bad) for bad in BAD_MODELS)]
)
def test_builders_refuse_bad_scope_and_model(build, path, value):
    arguments = {"scope": "@", "model": "record", path: value}
    rest = () if build is build_index_scope else ("x",)
    with pytest.raises(ValidationError, match=f"^{path} ") as caught:
        build(arguments["scope"], arguments["model"], *rest)
    assert caught.value.path == path


@pytest.mark.parametrize("field", BUILDERS)
@pytest.mark.parametrize("value", [None, "", *BAD_FIELDS])
def test_field_builders_refuse_bad_fields(field, value):
    with pytest.raises(ValidationError, match=f"^{field} ") as caught:
        BUILDERS[field]("@", "record", value)
    assert caught.value.path == field


@pytest.mark.parametrize(
    ("entity", "fields", "path", "message"),
    [
        (ENTITY, "model", "fields", "fields must be a list"),
        (ENTITY, [], "fields", "fields must be a list of one field name or more"),
        (ENTITY, ["model", "alias"], "alias", "alias is missing or empty; it must be a non-empty str or int"),
        ({"a": ""}, ["a"], "a", "a is missing or empty"),
        ({"a": 1.5}, ["a"], "a", "a is a float; it must be a non-empty str or int"),
        ({"a": True}, ["a"], "a", "a is a bool"),
        ({"a": "x#deleted"}, ["a"], "a", "a must not end in #archived or #deleted"),
    ],
)
def test_composite_key_refuses(entity, fields, path, message):
    with pytest.raises(ValidationError, match=message) as caught:
        build_composite_key(entity, fields)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("parent", "path"),
    [
        ({}, "parent.model"),
        ({"model": "chat"}, "parent.id"),
        ({"model": "", "id": "1"}, "parent.model"),
        ({"model": "chat", "id": ""}, "parent.id"),
        ({"model": 5, "id": "1"}, "parent.model"),
        ({"model": "chat", "id": 1}, "parent.id"),
    ],
)
def test_scope_of_an_incomplete_parent_is_refused(parent, path):
    with pytest.raises(ValidationError, match=f"{path} must be a non-empty str") as caught:
        calculate_scope(parent)
    assert caught.value.path == path


def test_scope_is_the_apex_without_a_parent():
    assert calculate_scope() == APEX
    assert calculate_scope(MappingProxyType({"model": "chat", "id": "1"})) == "chat#1"


# --- index_entity

NO = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        *(("scope", bad, "scope is") for bad in BAD_SCOPES),
        ("scope", NO, 'scope is missing or empty; it must be a non-empty str; the root is APEX, "@"'),
        *(("model", bad, "model ") for bad in BAD_MODELS),
        ("model", NO, "model is missing or empty"),
        ("model", "re#cord", "model must not contain '#', the separator of index keys"),
        *(("id", bad, "id is") for bad in BAD_SCOPES),
        ("id", NO, "id is missing or empty; it must be a non-empty str"),
        *((field, bad, f"{field} ") for field in INDEXES for bad in BAD_FIELDS),
        ("alias", True, "alias is a bool; it must be a non-empty str or int"),
        ("alias", "x#deleted", "alias must not end in #archived or #deleted: its index key would mean that state"),
        *(("sequence", bad, "sequence must be a number, such as epoch milliseconds") for bad in [None, "1", True, [1]]),
        *(
            ("sequence", bad, "sequence must be a finite number")
            for bad in [
                float("nan"),
                float("inf"),
                float("-inf"),
                Decimal("NaN"),
                Decimal("sNaN"),
                Decimal("-Infinity"),
            ]
        ),
    ],
)
def test_entity_that_cannot_be_indexed_is_refused(path, value, message):
    entity = {name: element for name, element in {**ENTITY, path: value}.items() if element is not NO}
    with pytest.raises(ValidationError) as caught:
        index_entity(entity)
    assert caught.value.path == path
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("sequence", [0, -5, 1.5, 10**15, Decimal("1.5"), Number.SEVEN])
def test_sequence_may_be_any_finite_number(sequence):
    assert index_entity({**ENTITY, "sequence": sequence})["sequence"] is sequence


def test_sequence_is_checked_where_decimal_was_never_loaded(monkeypatch):
    monkeypatch.setitem(_keys.sys.modules, "decimal", None)
    assert index_entity({**ENTITY, "sequence": 1.5})["sequence"] == 1.5
    with pytest.raises(ValidationError, match="sequence must be a number"):
        index_entity({**ENTITY, "sequence": "1"})


def test_entity_without_sequence_is_indexed():
    entity = {"model": "record", "id": "1", "scope": "@"}
    assert index_entity(entity) == {**entity, INDEX_SCOPE: "@#record"}


@pytest.mark.parametrize("field", INDEXES)
@pytest.mark.parametrize("unset", [{}, {"value": None}, {"value": ""}], ids=["absent", "None", "empty"])
def test_stale_key_is_removed(field, unset):
    stale = {**ENTITY, INDEXES[field]: "@#record#old", INDEX_SCOPE: "@#record#deleted"}
    if unset:
        stale[field] = unset["value"]
    indexed = index_entity(stale)
    assert INDEXES[field] not in indexed
    assert indexed[INDEX_SCOPE] == "@#record"


STATES = {
    "": {},
    "#archived": {"archivedAt": "2026-01-07T00:00:00.000Z"},
    "#deleted": {"deletedAt": "2026-01-07T00:00:00.000Z"},
    "#archived#deleted": {"archivedAt": "2026-01-07T00:00:00.000Z", "deletedAt": "2026-01-08T00:00:00.000Z"},
}


@pytest.mark.parametrize("suffix", STATES)
def test_suffix_follows_the_state(suffix):
    entity = {**ENTITY, "alias": "a", "xid": 5, **STATES[suffix]}
    indexed = index_entity(entity)
    assert indexed == {
        **entity,
        INDEX_SCOPE: "@#record" + suffix,
        INDEX_ALIAS: "@#record#a" + suffix,
        INDEX_XID: "@#record#5" + suffix,
    }


@pytest.mark.parametrize("unset", [None, ""])
def test_empty_timestamps_are_no_state(unset):
    assert index_entity({**ENTITY, "archivedAt": unset, "deletedAt": unset})[INDEX_SCOPE] == "@#record"


@pytest.mark.parametrize("suffix", ["", "#deleted", "#x"])
def test_given_suffix_is_used_as_it_is(suffix):
    indexed = index_entity({**ENTITY, "alias": "a", **STATES["#archived"]}, suffix)
    assert indexed[INDEX_SCOPE] == "@#record" + suffix
    assert indexed[INDEX_ALIAS] == "@#record#a" + suffix


def test_entity_is_not_changed_and_values_are_kept():
    tags = ["a"]
    entity = {**ENTITY, "alias": "a", "tags": tags, INDEX_XID: "stale"}
    before = copy.deepcopy(entity)
    indexed = index_entity(MappingProxyType(entity))
    assert entity == before
    assert indexed["tags"] is tags


# --- sizes, counted in UTF-8

ONE, TWO, THREE, FOUR = "a", "é", "日", "😀"


@pytest.mark.parametrize("character", [ONE, TWO, THREE, FOUR])
def test_id_may_have_1024_bytes(character):
    fits = character * (1024 // len(character.encode()))
    fits += "a" * (1024 - len(fits.encode()))
    assert index_entity({**ENTITY, "id": fits})["id"] == fits
    with pytest.raises(ValidationError, match="id has 1025 bytes; DynamoDB allows 1024") as caught:
        index_entity({**ENTITY, "id": fits + "a"})
    assert caught.value.path == "id"


def test_ids_of_any_length_between_are_measured():
    for length in range(250, 350):
        text = FOUR * length
        if length * 4 <= 1024:
            assert index_entity({**ENTITY, "id": text})["id"] == text
        else:
            with pytest.raises(ValidationError, match=f"id has {length * 4} bytes"):
                index_entity({**ENTITY, "id": text})


@pytest.mark.parametrize("field", INDEXES)
@pytest.mark.parametrize("character", [ONE, TWO, THREE, FOUR])
@pytest.mark.parametrize("suffix", STATES)
def test_field_key_may_have_2048_bytes(field, character, suffix):
    room = 2048 - len("@#record#") - len(suffix)
    fits = character * (room // len(character.encode()))
    fits += "a" * (room - len(fits.encode()))
    indexed = index_entity({**ENTITY, field: fits, **STATES[suffix]})
    assert len(indexed[INDEXES[field]].encode()) == 2048
    message = f"{field} makes a key of 2049 bytes; DynamoDB allows 2048: shorten it"
    with pytest.raises(ValidationError, match=message) as caught:
        index_entity({**ENTITY, field: fits + "a", **STATES[suffix]})
    assert caught.value.path == field


def test_builders_measure_too():
    assert len(build_index_alias("@", "record", "a" * 2039)) == 2048
    with pytest.raises(ValidationError, match="alias makes a key of 2049 bytes"):
        build_index_alias("@", "record", "a" * 2040)
    with pytest.raises(ValidationError, match="indexScope makes a key of 2049 bytes"):
        build_index_scope("日" * 680 + "ab", "record")


@pytest.mark.parametrize("suffix", STATES)
def test_scope_key_may_have_2048_bytes(suffix):
    scope = "a" * (2048 - len("#record") - len(suffix))
    assert len(index_entity({**ENTITY, "scope": scope, **STATES[suffix]})[INDEX_SCOPE]) == 2048
    with pytest.raises(ValidationError, match="indexScope makes a key of 2049 bytes"):
        index_entity({**ENTITY, "scope": scope + "a", **STATES[suffix]})


def test_model_as_hash_key_may_have_2048_bytes():
    assert _keys.check_model(FOUR * 512) == FOUR * 512
    with pytest.raises(ValidationError, match="model makes a key of 2052 bytes") as caught:
        _keys.check_model(FOUR * 513)
    assert caught.value.path == "model"


def test_lone_surrogates_are_measured_and_left_to_marshalling():
    assert index_entity({**ENTITY, "id": "\ud800" * 341})["id"]
    with pytest.raises(ValidationError, match="id has 1026 bytes"):
        index_entity({**ENTITY, "id": "\ud800" * 342})


# --- what must hold for any entity

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_parts = st.lists(st.sampled_from(["#archived", "#deleted", "#", "a", "@", "archived"]), min_size=1, max_size=4)
_any_field = _text | _parts.map("".join)
_field = _any_field.filter(lambda text: not text.endswith(("#archived", "#deleted")))
_unset = st.sampled_from([None, ""])
_entities = st.fixed_dictionaries(
    {
        "model": _text.filter(lambda text: "#" not in text),
        "id": _text,
        "scope": _text | st.just(APEX),
        "sequence": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    },
    optional={
        **dict.fromkeys(INDEXES, _field | st.integers() | _unset),
        **dict.fromkeys((INDEX_SCOPE, *INDEXES.values()), st.just("stale")),
        "archivedAt": st.just("2026-01-07T00:00:00.000Z") | _unset,
        "deletedAt": st.just("2026-01-07T00:00:00.000Z") | _unset,
        "name": _text,
    },
)


@given(_entities)
def test_indexing_twice_is_indexing_once(entity):
    before = copy.deepcopy(entity)
    indexed = index_entity(entity)
    assert index_entity(indexed) == indexed
    assert entity == before
    keys = {INDEX_SCOPE, *INDEXES.values()}
    assert {name: value for name, value in indexed.items() if name not in keys} == {
        name: value for name, value in entity.items() if name not in keys
    }
    assert keys & indexed.keys() == {INDEX_SCOPE} | {
        index for field, index in INDEXES.items() if entity.get(field) not in (None, "")
    }


@given(_any_field, _any_field)
@example("a", "a#archived")
def test_no_two_states_of_one_model_share_a_key(first, second):
    seen: dict[str, tuple[str, str]] = {}
    for alias, state in itertools.product([first, second], STATES):
        try:
            indexed = index_entity({**ENTITY, "alias": alias, **STATES[state]})
        except ValidationError:
            continue
        assert seen.setdefault(indexed[INDEX_ALIAS], (alias, state)) == (alias, state)
    assert len({index_entity({**ENTITY, **fields})[INDEX_SCOPE] for fields in STATES.values()}) == len(STATES)
