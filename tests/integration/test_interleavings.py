"""Writes at the same time: under every order of their requests, and in real threads.

Trusted engine: DynamoDB Local. Moto proves nothing here: whether it checks a condition and writes in one step is a
matter of how its own threads run, not of what DynamoDB does.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from model import INDEXES, Model, index_keys, is_set, suffix_of
from schedules import Run, every_schedule

from jaypie_dynamo import (
    APEX,
    ConflictError,
    NotFoundError,
    archive_entity,
    create_entity,
    delete_entity,
    destroy_entity,
    get_doc_client,
    get_entity,
    index_entity,
    patch_entity,
    put_entity,
    restore_entity,
    unarchive_entity,
    update_entity,
    where,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Item = dict[str, Any]

pytestmark = [
    pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True),
    pytest.mark.usefixtures("client"),
]

# For what takes long: the order of requests is above the transport.
one_transport = pytest.mark.parametrize("transport", ["botocore"], indirect=True)

KEY = {"model": "record", "id": "1"}
THEN = "2026-01-01T00:00:00.000Z"

ACTIVE = {
    **KEY,
    "scope": APEX,
    "name": "old",
    "alias": "old",
    "class": "old",
    "xid": 7,
    "count": 1,
    "sequence": 1,
    "createdAt": THEN,
    "updatedAt": THEN,
}
ABSENT = {name: value for name, value in ACTIVE.items() if name not in ("alias", "xid")}


def as_stored(item: Item) -> Item:
    return {**item, **index_keys(item)}


# What is stored before, by name.
STARTS: dict[str, Item | None] = {
    "nothing": None,
    "active": as_stored(ACTIVE),
    "archived": as_stored({**ACTIVE, "archivedAt": THEN}),
    "deleted": as_stored({**ACTIVE, "deletedAt": THEN}),
    "both": as_stored({**ACTIVE, "archivedAt": THEN, "deletedAt": THEN}),
    "nulls": as_stored({**ACTIVE, "alias": None, "archivedAt": None, "deletedAt": None}),
    "absent": as_stored(ABSENT),
    # As the TypeScript package may leave it: a key whose field is gone, a state that the keys do not show.
    "stale": {**ABSENT, "deletedAt": THEN, **index_keys(ACTIVE)},
}

# Operations by name: what is called, and what is to come of it. Both get the item as it was read before everything.
OPERATIONS: dict[str, tuple[Callable[[Item], object], Callable[[Model, Item], object]]] = {
    "put": (
        lambda _: put_entity(entity={**ACTIVE, "name": "put"}),
        lambda model, _: model.put({**ACTIVE, "name": "put"}),
    ),
    "create": (
        lambda _: create_entity(entity={**ACTIVE, "name": "created"}),
        lambda model, _: model.create({**ACTIVE, "name": "created"}),
    ),
    "update": (
        lambda read: update_entity(entity={**read, "name": "updated"}),
        lambda model, read: model.update({**read, "name": "updated"}),
    ),
    "update if unchanged": (
        lambda read: update_entity(entity={**read, "class": "updated"}, if_unchanged=read),
        lambda model, read: model.update({**read, "class": "updated"}, if_unchanged=read),
    ),
    "patch name": (
        lambda _: patch_entity(**KEY, set={"name": "patched"}),
        lambda model, _: model.patch(**KEY, set={"name": "patched"}),
    ),
    "count": (
        lambda _: patch_entity(**KEY, add={"count": 1}, append={"log": ["counted"]}),
        lambda model, _: model.patch(**KEY, add={"count": 1}, append={"log": ["counted"]}),
    ),
    "patch alias": (
        lambda _: patch_entity(**KEY, set={"alias": "patched"}),
        lambda model, _: model.patch(**KEY, set={"alias": "patched"}),
    ),
    "remove alias": (
        lambda _: patch_entity(**KEY, set={"alias": None}, add={"count": 10}),
        lambda model, _: model.patch(**KEY, set={"alias": None}, add={"count": 10}),
    ),
    "patch class": (
        lambda _: patch_entity(**KEY, set={"class": "patched"}),
        lambda model, _: model.patch(**KEY, set={"class": "patched"}),
    ),
    "patch class if old": (
        lambda _: patch_entity(**KEY, set={"class": "other"}, condition=where("class").eq("old")),
        lambda model, _: model.patch(**KEY, set={"class": "other"}, condition=lambda item: item["class"] == "old"),
    ),
    "move": (
        lambda _: patch_entity(**KEY, set={"scope": "chat#9"}),
        lambda model, _: model.patch(**KEY, set={"scope": "chat#9"}),
    ),
    "delete": (lambda _: delete_entity(**KEY), lambda model, _: model.delete(**KEY)),
    "archive": (lambda _: archive_entity(**KEY), lambda model, _: model.archive(**KEY)),
    "restore": (lambda _: restore_entity(**KEY), lambda model, _: model.restore(**KEY)),
    "unarchive": (lambda _: unarchive_entity(**KEY), lambda model, _: model.unarchive(**KEY)),
    "destroy": (lambda _: destroy_entity(**KEY), lambda model, _: model.destroy(**KEY)),
    "destroy if unchanged": (
        lambda read: destroy_entity(**KEY, if_unchanged=read),
        lambda model, read: model.destroy(**KEY, if_unchanged=read),
    ),
}


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Let a millisecond pass at every look at the clock, so that every write has a time of its own."""
    ticks = itertools.count(1_800_000_000_000)
    monkeypatch.setattr("jaypie_dynamo._stamps.time_ns", lambda: next(ticks) * 1_000_000)


def store(item: Item | None) -> None:
    """Store an item past the library."""
    if item is None:
        get_doc_client().call("DeleteItem", Key=KEY)
    else:
        get_doc_client().call("PutItem", Item=item)


def read_back() -> Item | None:
    return get_entity(**KEY, consistent=True)


def assert_keys_fit(item: Item | None) -> None:
    if item is not None:
        assert item == index_entity(item)
        assert {index: item[index] for index in INDEXES if index in item} == index_keys(item)


def assert_indexes_hold(item: Item | None) -> None:
    keys = {} if item is None else index_keys(item)
    for index in INDEXES:
        found = get_doc_client().call("Scan", IndexName=index)["Items"]
        assert found == ([item] if index in keys else []), index


def lettered(names: tuple[str, ...]) -> dict[str, str]:
    return dict(zip("ABC"[: len(names)], names, strict=True))


def race(client: Any, start: str, *names: str) -> Iterator[Run]:
    """Run operations under every schedule."""
    read = STARTS[start] or ACTIVE
    operations = {letter: lambda act=OPERATIONS[name][0]: act(read) for letter, name in lettered(names).items()}
    return every_schedule(client.transport, operations, before=lambda: store(STARTS[start]))


def summary(item: Item | None) -> str:
    """Write down what the scenarios look at: name, alias, class and state."""
    if item is None:
        return "gone"
    return f"{item['name']} {item.get('alias')} {item['class']}{suffix_of(item)}"


def answer(told: Any) -> Any:
    return "stored" if isinstance(told, dict) else type(told) if isinstance(told, Exception) else told


# start, two operations → all that may come of it: the item, and what each was told.
SCENARIOS: list[tuple[str, str, str, set[tuple[str, Any, Any]]]] = [
    # An update made from what was read before never undoes a change of state.
    (
        "active",
        "update",
        "delete",
        {("updated old old#deleted", "stored", True), ("old old old#deleted", ConflictError, True)},
    ),
    (
        "active",
        "update",
        "archive",
        {("updated old old#archived", "stored", True), ("old old old#archived", ConflictError, True)},
    ),
    ("deleted", "update", "restore", {("updated old old", "stored", True), ("old old old", ConflictError, True)}),
    ("archived", "update", "unarchive", {("updated old old", "stored", True), ("old old old", ConflictError, True)}),
    (
        "nulls",
        "update",
        "delete",
        {("updated None old#deleted", "stored", True), ("old None old#deleted", ConflictError, True)},
    ),
    # A patch and a change of state are both kept.
    ("active", "patch name", "delete", {("patched old old#deleted", "stored", True)}),
    ("active", "patch alias", "delete", {("old patched old#deleted", "stored", True)}),
    ("nulls", "patch alias", "delete", {("old patched old#deleted", "stored", True)}),
    ("absent", "patch alias", "delete", {("old patched old#deleted", "stored", True)}),
    ("active", "remove alias", "archive", {("old None old#archived", "stored", True)}),
    ("deleted", "patch alias", "restore", {("old patched old", "stored", True)}),
    ("archived", "patch class", "unarchive", {("old old patched", "stored", True)}),
    # Two states are two timestamps and one suffix.
    ("active", "delete", "archive", {("old old old#archived#deleted", True, True)}),
    ("both", "restore", "unarchive", {("old old old", True, True)}),
    ("deleted", "restore", "archive", {("old old old#archived", True, True)}),
    ("active", "delete", "delete", {("old old old#deleted", True, True)}),
    # The way there and the way back: one of the two comes last, and the keys follow.
    ("deleted", "restore", "delete", {("old old old#deleted", True, True), ("old old old", True, True)}),
    ("active", "archive", "unarchive", {("old old old#archived", True, True), ("old old old", True, True)}),
    # What is destroyed stays destroyed.
    ("active", "delete", "destroy", {("gone", True, True), ("gone", False, True)}),
    ("both", "restore", "destroy", {("gone", True, True), ("gone", False, True)}),
    ("active", "update", "destroy", {("gone", "stored", True), ("gone", NotFoundError, True)}),
    ("active", "patch name", "destroy", {("gone", "stored", True), ("gone", NotFoundError, True)}),
    ("active", "patch alias", "destroy", {("gone", "stored", True), ("gone", NotFoundError, True)}),
    # Two fields of two index keys, or one field twice.
    ("active", "patch alias", "patch class", {("old patched patched", "stored", "stored")}),
    ("nulls", "patch alias", "patch class", {("old patched patched", "stored", "stored")}),
    ("active", "patch alias", "move", {("old patched old", "stored", "stored")}),
    (
        "active",
        "patch alias",
        "remove alias",
        {("old patched old", "stored", "stored"), ("old None old", "stored", "stored")},
    ),
    (
        "active",
        "patch class",
        "patch class if old",
        {("old old patched", "stored", "stored"), ("old old patched", "stored", ConflictError)},
    ),
    # An optimistic lock lets one of two through.
    (
        "active",
        "update if unchanged",
        "patch name",
        {("patched old updated", "stored", "stored"), ("patched old old", ConflictError, "stored")},
    ),
    (
        "active",
        "destroy if unchanged",
        "patch name",
        {("gone", True, NotFoundError), ("patched old old", ConflictError, "stored")},
    ),
    (
        "nothing",
        "create",
        "create",
        {("created old old", "stored", ConflictError), ("created old old", ConflictError, "stored")},
    ),
]


@pytest.mark.parametrize(
    ("start", "one", "other", "expected"), SCENARIOS, ids=[f"{row[0]}: {row[1]}, {row[2]}" for row in SCENARIOS]
)
def test_every_schedule_of_two(client, start, one, other, expected):
    seen = set()
    for run in race(client, start, one, other):
        item = read_back()
        assert_keys_fit(item)
        assert_indexes_hold(item)
        seen.add((summary(item), answer(run.told["A"]), answer(run.told["B"])))
    assert seen == expected


# Where every pair is run: what another start would add is among the scenarios.
PAIR_STARTS = ("nothing", "active", "both", "nulls", "stale")


@one_transport
@pytest.mark.parametrize("one", OPERATIONS)
def test_two_at_once_are_as_one_after_the_other(client, one):
    names = list(OPERATIONS)
    for other in names[names.index(one) :]:
        for start in PAIR_STARTS:
            assert_serial(client, start, one, other)


@one_transport
@pytest.mark.parametrize(
    ("start", "names"),
    [
        ("active", ("delete", "restore", "patch alias")),
        ("deleted", ("restore", "archive", "patch class")),
        ("nulls", ("patch alias", "delete", "destroy")),
        ("stale", ("count", "remove alias", "restore")),
    ],
)
def test_three_at_once_are_as_one_after_the_other(client, start, names):
    assert_serial(client, start, *names)


def assert_serial(client: Any, start: str, *names: str) -> None:
    """Whatever the schedule: item and answers are those of one order of the operations, in plain Python."""
    expected = serial_outcomes(start, names)
    for run in race(client, start, *names):
        item = read_back()
        if item != STARTS[start]:  # else nothing was written, and keys are as they were
            assert_keys_fit(item)
        came = settle(item), {letter: settle(told) for letter, told in run.told.items()}
        assert came in expected, (start, names, run.schedule)


def serial_outcomes(start: str, names: tuple[str, ...]) -> list[Any]:
    operations = lettered(names)
    item = STARTS[start]
    outcomes = []
    for order in itertools.permutations(operations):
        ticks = itertools.count(1_800_000_000_000)
        model = Model(lambda ticks=ticks: next(ticks), {} if item is None else {("record", "1"): item})
        told = {letter: settle(ask(model, operations[letter], item or ACTIVE)) for letter in order}
        outcomes.append((settle(model.items.get(("record", "1"))), told))
    return outcomes


def ask(model: Model, name: str, read: Item) -> object:
    try:
        return OPERATIONS[name][1](model, read)
    except (ConflictError, NotFoundError) as error:
        return error


def settle(told: Any) -> Any:
    """Leave out what may differ: the times of the run, and keys, which are checked on their own."""
    if isinstance(told, Exception):
        return type(told), settle(getattr(told, "existing", None))
    if not isinstance(told, dict):
        return told
    settled = {name: value for name, value in told.items() if name not in INDEXES and name != "updatedAt"}
    for state in ("archivedAt", "deletedAt"):
        if is_set(settled.get(state)) and settled[state] != THEN:
            settled[state] = "now"
    return settled


# --- who loses every race ------------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[str, Callable[[], object]]] = {
    "delete": ("active", lambda: delete_entity(**KEY)),
    "archive": ("active", lambda: archive_entity(**KEY)),
    "restore": ("both", lambda: restore_entity(**KEY)),
    "unarchive": ("both", lambda: unarchive_entity(**KEY)),
    "patch": ("active", lambda: patch_entity(**KEY, set={"class": "patched"}, add={"count": 1})),
}


@pytest.fixture
def rival(client, monkeypatch):
    """Somebody who does the next of a list of things just before each UpdateItem."""
    send = client.transport.send
    moves: list[Callable[[], object]] = []

    def outrun(request, *rest):
        if request.operation == "UpdateItem" and moves:
            moves.pop(0)()
        return send(request, *rest)

    monkeypatch.setattr(client.transport, "send", outrun)
    return moves


@pytest.mark.parametrize("change", CHANGES)
def test_four_lost_races_are_run_again(rival, change):
    start, act = CHANGES[change]
    store(STARTS[start])
    rival += [lambda turn=turn: store(as_stored({**STARTS[start], "alias": f"rival {turn}"})) for turn in range(4)]
    assert answer(act()) in (True, "stored")
    item = read_back()
    assert item["alias"] == "rival 3"
    assert_keys_fit(item)
    if change == "patch":
        assert (item["class"], item["count"]) == ("patched", 2)
    else:
        assert suffix_of(item) != suffix_of(STARTS[start])


@pytest.mark.parametrize("change", CHANGES)
def test_the_fifth_lost_race_is_a_conflict_and_nothing_is_changed(rival, change):
    start, act = CHANGES[change]
    store(STARTS[start])
    rival += [lambda turn=turn: store(as_stored({**STARTS[start], "alias": f"rival {turn}"})) for turn in range(5)]
    with pytest.raises(ConflictError, match="5 times") as refused:
        act()
    assert refused.value.existing == read_back() == as_stored({**STARTS[start], "alias": "rival 4"})


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("lost_before", [0, 4])
def test_an_entity_destroyed_in_any_race_is_gone(rival, change, lost_before):
    start, act = CHANGES[change]
    store(STARTS[start])
    rival += [
        lambda turn=turn: store(as_stored({**STARTS[start], "alias": f"rival {turn}"})) for turn in range(lost_before)
    ]
    rival.append(lambda: destroy_entity(**KEY))
    if change == "patch":
        with pytest.raises(NotFoundError):
            act()
    else:
        assert act() is False
    assert_indexes_hold(read_back())
    assert read_back() is None


def test_other_fields_make_no_race(rival):
    store(STARTS["active"])
    rival += [lambda: store(as_stored({**ACTIVE, "name": "rival", "updatedAt": THEN}))] * 2
    assert delete_entity(**KEY) is True
    assert len(rival) == 1
    assert read_back()["name"] == "rival"


# --- real threads --------------------------------------------------------------------------------------------------

THREADS = 8
ROUNDS = 40
IDS = ("1", "2", "3")
STATE_CHANGES = (delete_entity, restore_entity, archive_entity, unarchive_entity)


def run_threads(work: Callable[[int, random.Random], None]) -> None:
    barrier = threading.Barrier(THREADS)

    def start(number: int) -> None:
        barrier.wait(60)
        work(number, random.Random(number))

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(start, number) for number in range(THREADS)]:
            future.result()


def read_all() -> dict[str, Item]:
    """Read every item, after checking that keys and indexes fit."""
    items = get_doc_client().call("Scan", ConsistentRead=True)["Items"]
    for item in items:
        assert_keys_fit(item)
    for index in INDEXES:
        found = get_doc_client().call("Scan", IndexName=index)["Items"]
        wanted = [item for item in items if index in item]
        assert sorted(found, key=lambda item: item["id"]) == sorted(wanted, key=lambda item: item["id"])
    return {item["id"]: item for item in items}


def test_threads_lose_no_patch_and_no_state():
    """An acknowledged patch is there once, a refused one is not, and each thread's own attribute is as it left it."""
    for key in IDS:
        put_entity(entity={**ACTIVE, "id": key, "count": 0})
    told: dict[str, list[str]] = {key: [] for key in IDS}
    own: dict[tuple[str, str], int] = {}

    def work(number, chance):
        for turn in range(ROUNDS):
            key, token = chance.choice(IDS), f"{number}.{turn}"
            at = {"model": "record", "id": key}
            try:
                if chance.random() < 0.4:
                    assert chance.choice(STATE_CHANGES)(**at) is True
                    continue
                field = chance.choice(["name", "alias", "class", "type", "xid"])
                value = chance.choice(["a", "b", None if field != "name" else "c"])
                mine = f"of {number}"
                item = patch_entity(**at, set={field: value, mine: turn}, add={"count": 1}, append={"log": [token]})
            except ConflictError:
                continue
            assert_keys_fit(item)  # at every moment, not only in the end
            assert item["log"][-1] == token
            assert item["count"] == len(item["log"])
            told[key].append(token)
            own[key, mine] = turn

    run_threads(work)
    items = read_all()
    for key in IDS:
        assert sorted(items[key]["log"]) == sorted(told[key])
        assert items[key]["count"] == len(told[key])
    assert own == {(key, name): items[key][name] for key in IDS for name in items[key] if name.startswith("of ")}


def test_threads_with_optimistic_locks_lose_no_update():
    """Read, change, write the whole entity: what was acknowledged adds up, beside changes of state."""
    for key in IDS:
        put_entity(entity={**ACTIVE, "id": key, "count": 0})
    told: dict[str, list[str]] = {key: [] for key in IDS}

    def update(key, token):
        read = get_entity(model="record", id=key, consistent=True)
        entity = {**read, "alias": token, "count": read["count"] + 1, "log": [*read.get("log", []), token]}
        update_entity(entity=entity, if_unchanged=read)
        told[key].append(token)

    def work(number, chance):
        for turn in range(ROUNDS):
            key = chance.choice(IDS)
            with contextlib.suppress(ConflictError):
                if number == 0:
                    chance.choice(STATE_CHANGES)(model="record", id=key)
                else:
                    update(key, f"{number}.{turn}")

    run_threads(work)
    items = read_all()
    for key in IDS:
        assert sorted(items[key].get("log", [])) == sorted(told[key])
        assert items[key]["count"] == len(told[key])


def test_threads_with_everything_at_once_leave_keys_that_fit():
    """Every operation, on one entity: each is told True, False, an item or one of two errors, and the keys fit."""
    store(STARTS["stale"])

    def work(_number, chance):
        for _ in range(ROUNDS):
            read = get_entity(**KEY) or ACTIVE
            try:
                told = OPERATIONS[chance.choice(list(OPERATIONS))][0](read)
            except (ConflictError, NotFoundError):
                continue
            assert told in (True, False) or told["id"] == "1"

    run_threads(work)
    put_entity(entity={**ACTIVE, "id": "2"})
    assert read_all().keys() <= {"1", "2"}
