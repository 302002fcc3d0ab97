"""Any operations, one after the other, against plain Python: table, indexes and queries agree after each of them.

Trusted engine: DynamoDB Local, whose indexes show a write at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from model import INDEXES, Model, index_keys, suffix_of

from jaypie_dynamo import (
    APEX,
    ConflictError,
    NotFoundError,
    archive_entity,
    count_by_scope,
    create_entity,
    delete_entity,
    destroy_entity,
    get_doc_client,
    get_entity,
    patch_entity,
    put_entity,
    query,
    query_by_alias,
    query_by_class,
    query_by_scope,
    query_by_type,
    query_by_xid,
    restore_entity,
    unarchive_entity,
    update_entity,
    where,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Item = dict[str, Any]

MODEL = "record"
SCOPES = (APEX, "chat#1")
IDS = ("1", "2", "3")
KEYS = st.sampled_from(IDS)

# Few values, so that entities meet in the same partitions. 7 and "7" are one text in a key.
FIELDS = {
    "scope": st.sampled_from(SCOPES),
    "alias": st.sampled_from(["a", "b", 7, "7", ""]),
    "class": st.sampled_from(["a", "b"]),
    "type": st.sampled_from(["a", "b"]),
    "xid": st.sampled_from(["a", 7]),
    "name": st.sampled_from(["a", "b", None]),
    "count": st.integers(-3, 3),
    "sequence": st.integers(1, 9),
}
OWN_FIELDS = {name: values for name, values in FIELDS.items() if name != "scope"}
NULLABLE = {field: FIELDS[field] | st.none() for field in ("alias", "class", "type", "xid")}
TIMES = st.sampled_from(["2020-01-01T00:00:00.000Z", "2030-01-01T00:00:00.000Z"])
STATES = {"archivedAt": TIMES, "deletedAt": TIMES}

CHANGES = st.fixed_dictionaries({}, optional={**FIELDS, **NULLABLE})


def entities(key: str) -> st.SearchStrategy[Item]:
    return st.fixed_dictionaries(
        {"model": st.just(MODEL), "id": st.just(key), "scope": FIELDS["scope"]},
        optional={**OWN_FIELDS, **NULLABLE, **{state: TIMES | st.none() for state in STATES}, "updatedAt": TIMES},
    )


ENTITIES = st.one_of([entities(key) for key in IDS])
PATCHES = st.one_of(
    st.fixed_dictionaries(
        {"set": st.fixed_dictionaries({"name": FIELDS["name"]}, optional={"count": FIELDS["count"]})}
    ),
    st.fixed_dictionaries(
        {"set": CHANGES},
        optional={"add": st.just({"visits": 2}), "append": st.just({"log": [1, "x"]})},
    ).filter(lambda patch: any(patch.values())),
    st.fixed_dictionaries({"remove": st.lists(st.sampled_from([*NULLABLE, "name", "log"]), min_size=1, unique=True)}),
)

# A condition, and what it means.
CONDITIONS = [
    (where("count").ge(1), lambda item: item.get("count", 0) >= 1),
    (where("alias").exists(), lambda item: "alias" in item),
    (where("alias").eq("a") | where("class").eq("a"), lambda item: "a" in (item.get("alias"), item.get("class"))),
    (~where("deletedAt").exists(), lambda item: "deletedAt" not in item),
    (where("log").size().gt(1), lambda item: len(item.get("log", [])) > 1),
]
SOMETIMES = st.sampled_from([(None, None)] * 2 * len(CONDITIONS) + CONDITIONS)

STATE_CHANGES = {
    "delete": delete_entity,
    "restore": restore_entity,
    "archive": archive_entity,
    "unarchive": unarchive_entity,
}

# What a query may ask for, and the suffixes it then reads.
SELECTORS = [
    ({}, ("",)),
    ({"include_archived": True}, ("", "#archived")),
    ({"include_deleted": True}, ("", "#deleted")),
    ({"include_archived": True, "include_deleted": True}, ("", "#archived", "#deleted", "#archived#deleted")),
    ({"archived": True}, ("#archived",)),
    ({"deleted": True}, ("#deleted",)),
    ({"archived": True, "deleted": True}, ("#archived#deleted",)),
]


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.epoch_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.epoch_ms


class Entities(RuleBasedStateMachine):
    clock = Clock()
    reads = Bundle("reads")

    def __init__(self) -> None:
        super().__init__()
        self.clock.epoch_ms = 1_800_000_000_000
        self.model = Model(self.clock)
        self.steps = 0
        self.is_checked = False

    def teardown(self) -> None:
        for model, key in self.model.items:
            get_doc_client().call("DeleteItem", Key={"model": model, "id": key})

    def agree(self, act: Callable[[], object], expect: Callable[[], object]) -> Any:
        """Do a thing twice, and be told the same."""
        self.is_checked = False
        expected, told = _outcome(expect), _outcome(act)
        assert told == expected
        return told

    def now_or(self, read: Item, is_fresh: bool) -> Item:
        """Read an entity anew, or keep what was read some time ago."""
        return self.model.items.get((MODEL, read["id"]), read) if is_fresh else read

    @initialize(target=reads, entities=st.tuples(*[entities(key) for key in IDS]))
    def fill(self, entities):
        return multiple(*[self.store(entity, is_new=False) for entity in entities])

    @rule(by_ms=st.sampled_from([-5, 1, 1, 1, 1000]))
    def pass_time(self, by_ms):
        self.clock.epoch_ms += by_ms

    @rule(target=reads, key=KEYS)
    def read(self, key):
        item = get_entity(model=MODEL, id=key, consistent=True)
        assert item == self.model.items.get((MODEL, key))
        return multiple() if item is None else item

    @rule(target=reads, entity=ENTITIES, is_new=st.booleans())
    def store(self, entity, is_new):
        if is_new:
            told = self.agree(lambda: create_entity(entity=entity), lambda: self.model.create(entity))
        else:
            told = self.agree(lambda: put_entity(entity=entity), lambda: self.model.put(entity))
        return told if isinstance(told, dict) else multiple()

    @rule(
        target=reads,
        read=reads,
        is_fresh=st.booleans(),
        changes=CHANGES,
        condition=SOMETIMES,
        lock=st.sampled_from([None, "read", "now"]),
    )
    def update(self, read, is_fresh, changes, condition, lock):
        read = self.now_or(read, is_fresh)
        entity = {**read, **changes}
        unchanged = None if lock is None else self.now_or(read, lock == "now")
        ask, mean = condition
        told = self.agree(
            lambda: update_entity(entity=entity, condition=ask, if_unchanged=unchanged),
            lambda: self.model.update(entity, mean, unchanged),
        )
        return told if isinstance(told, dict) else multiple()

    @rule(target=reads, read=reads, is_fresh=st.booleans(), is_locked=st.booleans(), patch=PATCHES, condition=SOMETIMES)
    def patch(self, read, is_fresh, is_locked, patch, condition):
        lock = self.now_or(read, is_fresh) if is_locked else None
        ask, mean = condition
        told = self.agree(
            lambda: patch_entity(model=MODEL, id=read["id"], **patch, condition=ask, if_unchanged=lock),
            lambda: self.model.patch(MODEL, read["id"], **patch, condition=mean, if_unchanged=lock),
        )
        return told if isinstance(told, dict) else multiple()

    @rule(key=KEYS, change=st.sampled_from([*STATE_CHANGES]))
    def change_state(self, key, change):
        self.agree(lambda: STATE_CHANGES[change](model=MODEL, id=key), lambda: getattr(self.model, change)(MODEL, key))

    @rule(read=reads, is_fresh=st.booleans(), condition=SOMETIMES, is_locked=st.booleans())
    def destroy(self, read, is_fresh, condition, is_locked):
        lock = self.now_or(read, is_fresh) if is_locked else None
        ask, mean = condition
        self.agree(
            lambda: destroy_entity(model=MODEL, id=read["id"], condition=ask, if_unchanged=lock),
            lambda: self.model.destroy(MODEL, read["id"], mean, lock),
        )

    @rule(key=KEYS, changes=st.fixed_dictionaries({}, optional={**NULLABLE, **STATES}))
    def write_as_typescript(self, key, changes):
        """Change fields and leave the index keys behind; what is None stays as NULL."""
        item = self.model.items.get((MODEL, key))
        if item is not None:
            self.is_checked = False
            item.update(changes)
            get_doc_client().call("PutItem", Item=item)

    @invariant()
    def everything_agrees(self):
        if not self.is_checked:
            self.table_and_indexes_agree()
            self.queries_agree()
            self.is_checked = True

    def table_and_indexes_agree(self):
        items = list(self.model.items.values())
        assert _by_id(get_doc_client().call("Scan", ConsistentRead=True)["Items"]) == _by_id(items)
        for index in INDEXES:
            found = get_doc_client().call("Scan", IndexName=index)["Items"]
            assert _by_id(found) == _by_id(item for item in items if index in item), index

    def queries_agree(self):
        """One index after each step, in turn, and everything a query of it may ask for."""
        self.steps += 1
        scope = SCOPES[self.steps % len(SCOPES)]
        at = {"model": MODEL, "scope": scope}
        index = INDEXES[self.steps % len(INDEXES)]
        partition = f"{scope}#{MODEL}" if index == "indexScope" else f"{scope}#{MODEL}#a"
        for options, suffixes in SELECTORS:
            held = [self.expect(index, partition + suffix) for suffix in suffixes]
            QUERIES[index]({**at, **options}, held)
        options, suffixes = SELECTORS[self.steps % len(SELECTORS)]
        held = [self.expect("indexScope", f"{scope}#{MODEL}{suffix}") for suffix in suffixes]
        assert count_by_scope(**at, **options) == sum(map(len, held))
        wanted = [item for item in self.model.items.values() if suffix_of(item) in suffixes]
        assert _by_id(query(model=MODEL, **options).items) == _by_id(wanted)

    def expect(self, index: str, key: str) -> list[Item]:
        """Find the items that lie in a partition of an index, and belong there."""
        return [
            item for item in self.model.items.values() if item.get(index) == key and index_keys(item).get(index) == key
        ]


def _outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except (ConflictError, NotFoundError) as error:
        return type(error), getattr(error, "existing", None)


def _by_id(items: Any) -> list[Item]:
    return sorted(items, key=lambda item: item["id"])


def _assert_listed(found: list[Item], held: list[list[Item]]) -> None:
    """All there are, the highest `sequence` first."""
    assert _by_id(found) == _by_id(item for items in held for item in items)
    sequences = [item["sequence"] for item in found]
    assert sequences == sorted(sequences, reverse=True)


def _assert_first(found: Item | None, held: list[list[Item]]) -> None:
    """One of the highest `sequence` in the first partition that holds any."""
    items = next((items for items in held if items), [])
    highest = [item for item in items if item["sequence"] == max(other["sequence"] for other in items)]
    assert found in (highest or [None])


# index → query it and compare with what its partitions hold
QUERIES = {
    "indexScope": lambda at, held: _assert_listed(query_by_scope(**at).items, held),
    "indexAlias": lambda at, held: _assert_first(query_by_alias(**at, alias="a"), held),
    "indexClass": lambda at, held: _assert_listed(query_by_class(**at, record_class="a").items, held),
    "indexType": lambda at, held: _assert_listed(query_by_type(**at, type="a").items, held),
    "indexXid": lambda at, held: _assert_first(query_by_xid(**at, xid="a"), held),
}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True)
@pytest.mark.parametrize("transport", ["botocore"], indirect=True)  # one is enough: answers are converted above it
def test_entities_are_as_in_plain_python(monkeypatch):
    monkeypatch.setattr("jaypie_dynamo._stamps.time_ns", lambda: Entities.clock() * 1_000_000)
    run_state_machine_as_test(Entities, settings=settings(max_examples=30, stateful_step_count=20))
