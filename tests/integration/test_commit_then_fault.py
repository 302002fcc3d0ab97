"""DynamoDB carries a write out and its answer is lost: what is in the table, and what was the caller told?

A proxy stands before AWS's DynamoDB Local. For each request a seeded draw says whether it is passed on, and whether its
answer comes back whole, broken, as a 500 or not at all. After each run the item is compared with what the call said:

    success            exactly this write is in the table, once
    AmbiguousWriteError  it is there once, or not at all
    any other error    nothing has changed
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from faults import OK, THROTTLE, Fault, FaultServer, Upstream, refusal, write_html, write_json

from jaypie_dynamo import (
    AmbiguousWriteError,
    ConflictError,
    DynamoError,
    NotFoundError,
    archive_entity,
    create_entity,
    delete_entity,
    destroy_entity,
    get_doc_client,
    make_client,
    patch_entity,
    put_entity,
    restore_entity,
    unarchive_entity,
    update_entity,
    use_client,
    where,
)
from jaypie_dynamo._transport import _policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults import Peer

RUNS = {"direct": 200, "botocore": 25}

Item = dict[str, Any]


# --- what may happen to a request -------------------------------------------------------------------------------------


def _fate(name: str, *, commits: bool, end: str, then: Callable[[], None] = lambda: None) -> Fault:
    """Build a fault that carries the request out or not, and then ends it in one of the ways of `_ENDS`."""

    def play(peer: Peer, carry_out: Callable[[], tuple[int, dict[str, Any]]]) -> bool:
        status, answer = carry_out() if commits else (200, {})
        then()
        return _ENDS[end](peer, status, answer)

    return Fault(name, "lost", play)


def _send(peer: Peer, data: bytes, *, close: bool = False) -> bool:
    peer.send(data)
    if close:
        peer.close()
    return not close


_ENDS: dict[str, Callable[[Peer, int, dict[str, Any]], bool]] = {
    "reset": lambda peer, *_: bool(peer.reset()),
    "close": lambda peer, *_: bool(peer.close()),
    "500": lambda peer, *_: _send(peer, write_json(500, refusal("InternalServerError")[1])),
    "503": lambda peer, *_: _send(peer, write_html(503)),
    "half": lambda peer, *answer: _send(peer, write_json(*answer)[:-1], close=True),
    "corrupt": lambda peer, *answer: _send(peer, write_json(*answer, crc32=1)),
}

LOST = [_fate(f"{end}, not committed", commits=False, end=end) for end in ("reset", "close", "500", "503")]
COMMITTED = [_fate(f"committed, then {end}", commits=True, end=end) for end in _ENDS]

# Two of five requests are answered as they should be, so that calls of several requests come through.
FATES = [*[OK] * 8, *[THROTTLE] * 2, *LOST, *COMMITTED]


# --- the writes -------------------------------------------------------------------------------------------------------


class Write(NamedTuple):
    """A call, the item it meets, and how to tell that it was done, given the item before and after and the result."""

    run: Callable[[str], Any]
    before: Item | None
    is_done: Callable[[Item | None, Item | None, Any], bool]


BASE: Item = {
    "model": "record",
    "scope": "@",
    "name": "Ada",
    "status": "open",
    "n": 7,
    "lines": ["a", "b"],
    "sequence": 1,
    "createdAt": "2025-01-01T00:00:00.000Z",
    "updatedAt": "2025-01-01T00:00:00.000Z",
    "indexScope": "@#record",
}
DELETED: Item = {**BASE, "deletedAt": "2025-01-02T00:00:00.000Z", "indexScope": "@#record#deleted"}
ARCHIVED: Item = {**BASE, "archivedAt": "2025-01-02T00:00:00.000Z", "indexScope": "@#record#archived"}


def _changed(**changes: Any) -> Callable[[Item | None, Item | None, Any], bool]:
    """Tell that exactly these attributes (None: absent) have changed, and the call returned the item."""

    def is_done(before: Item | None, after: Item | None, result: Any) -> bool:
        if before is None or after is None:
            return False
        expected = {**before, **changes, "updatedAt": after["updatedAt"]}
        for name, value in changes.items():
            if callable(value):
                expected[name] = value(before[name])
        expected = {name: value for name, value in expected.items() if value is not None}
        return after == expected and after["updatedAt"] > before["updatedAt"] and result in (None, after)

    return is_done


def _is_stored(before: Item | None, after: Item | None, result: Any) -> bool:
    return after is not None and after != before and after["name"] == "Grace" and result in (None, after)


def _is_gone(_before: Item | None, after: Item | None, result: Any) -> bool:
    return after is None and result in (None, True)


def _state(field: str, suffix: str) -> Callable[[Item | None, Item | None, Any], bool]:
    def is_done(before: Item | None, after: Item | None, result: Any) -> bool:
        if before is None or after is None or after.get(field) == before.get(field):
            return False
        stamped = {"updatedAt": after["updatedAt"], "indexScope": f"@#record{suffix}"}
        expected = {**before, **stamped}
        expected.pop(field, None)
        if suffix:
            expected[field] = after[field]
        return after == expected and result in (None, True)

    return is_done


def _grace(key: str) -> Item:
    return {"model": "record", "id": key, "scope": "@", "name": "Grace"}


def _patch(**changes: Any) -> Callable[[str], Any]:
    return lambda key: patch_entity(model="record", id=key, **changes)


_OPEN = where("status").eq("open")
_ADDED = _changed(n=lambda n: n + 1)
_APPENDED = _changed(lines=lambda lines: [*lines, "c"])
_ALIASED = _changed(alias="ada", indexAlias="@#record#ada")

WRITES: dict[str, Write] = {
    "put of a new item": Write(lambda key: put_entity(entity=_grace(key)), None, _is_stored),
    "put over an item": Write(lambda key: put_entity(entity=_grace(key)), BASE, _is_stored),
    "create": Write(lambda key: create_entity(entity=_grace(key)), None, _is_stored),
    "update": Write(lambda key: update_entity(entity={**BASE, "id": key, "name": "Grace"}), BASE, _is_stored),
    "update if unchanged": Write(
        lambda key: update_entity(entity={**BASE, "id": key, "name": "Grace"}, if_unchanged={**BASE, "id": key}),
        BASE,
        _is_stored,
    ),
    "destroy": Write(lambda key: destroy_entity(model="record", id=key), BASE, _is_gone),
    "conditional destroy": Write(lambda key: destroy_entity(model="record", id=key, condition=_OPEN), BASE, _is_gone),
    "add": Write(_patch(add={"n": 1}), BASE, _ADDED),
    "add below": Write(
        _patch(add={"state.n": 1}), {**BASE, "state": {"n": 1}}, _changed(state=lambda state: {"n": state["n"] + 1})
    ),
    "append": Write(_patch(append={"lines": ["c"]}), BASE, _APPENDED),
    "patch": Write(_patch(set={"status": "done"}), BASE, _changed(status="done")),
    "conditional patch": Write(_patch(set={"status": "done"}, condition=_OPEN), BASE, _changed(status="done")),
    "patch if unchanged": Write(
        lambda key: patch_entity(model="record", id=key, set={"status": "done"}, if_unchanged={**BASE, "id": key}),
        BASE,
        _changed(status="done"),
    ),
    "removal": Write(_patch(remove=["status"]), BASE, _changed(status=None)),
    "removal of an element": Write(_patch(remove=["lines[0]"]), BASE, _changed(lines=["b"])),
    "element behind the end": Write(_patch(set={"lines[9]": "c"}), BASE, _APPENDED),
    "index patch": Write(_patch(set={"alias": "ada"}), BASE, _ALIASED),
    "delete": Write(lambda key: delete_entity(model="record", id=key), BASE, _state("deletedAt", "#deleted")),
    "restore": Write(lambda key: restore_entity(model="record", id=key), DELETED, _state("deletedAt", "")),
    "archive": Write(lambda key: archive_entity(model="record", id=key), BASE, _state("archivedAt", "#archived")),
    "unarchive": Write(lambda key: unarchive_entity(model="record", id=key), ARCHIVED, _state("archivedAt", "")),
    "idempotent put": Write(lambda key: put_entity(entity=_grace(key), idempotent=True), BASE, _is_stored),
    "idempotent create": Write(lambda key: create_entity(entity=_grace(key), idempotent=True), None, _is_stored),
    "idempotent update": Write(
        lambda key: update_entity(entity={**BASE, "id": key, "name": "Grace"}, idempotent=True), BASE, _is_stored
    ),
    "idempotent destroy": Write(lambda key: destroy_entity(model="record", id=key, idempotent=True), BASE, _is_gone),
    "idempotent add": Write(_patch(add={"n": 1}, idempotent=True), BASE, _ADDED),
    "idempotent append": Write(_patch(append={"lines": ["c"]}, idempotent=True), BASE, _APPENDED),
    "idempotent conditional patch": Write(
        _patch(set={"status": "done"}, condition=_OPEN, idempotent=True), BASE, _changed(status="done")
    ),
    "idempotent removal of an element": Write(
        _patch(remove=["lines[0]"], idempotent=True), BASE, _changed(lines=["b"])
    ),
    "idempotent index patch": Write(_patch(set={"alias": "ada"}, idempotent=True), BASE, _ALIASED),
}

# Sent once and never again, unless it is certain that they were not carried out.
SINGLE = frozenset(
    {"add", "add below", "append", "conditional destroy", "removal of an element", "element behind the end"}
)


# --- the proxy and the table ------------------------------------------------------------------------------------------


class Bench(NamedTuple):
    """A client behind the proxy, and one on the straight road."""

    proxy: FaultServer
    upstream: Upstream
    behind: Any
    straight: Any


@pytest.fixture(params=list(RUNS))
def transport(request):
    return request.param


@pytest.fixture
def bench(dynamodb_local_endpoint, transport, monkeypatch) -> Iterator[Bench]:
    monkeypatch.setattr(_policy, "urandom", bytes)  # no delay between attempts
    options = {"table_name": f"test-{uuid.uuid4().hex}", "region": "us-east-1", "read_timeout_s": 60.0}
    upstream = Upstream(dynamodb_local_endpoint)
    with (
        FaultServer(upstream=upstream) as proxy,
        make_client(endpoint=proxy.url, transport=transport, **options) as behind,
        make_client(endpoint=dynamodb_local_endpoint, **options) as straight,
    ):
        # Without indexes, which nobody reads here and every write would pay for.
        straight.botocore_client().create_table(
            TableName=straight.table_name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("model", "id")],
            KeySchema=[{"AttributeName": "model", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
        )
        yield Bench(proxy, upstream, behind, straight)
        straight.botocore_client().delete_table(TableName=straight.table_name)
    upstream.close()


def store(bench: Bench, items: list[Item]) -> None:
    with use_client(bench.straight):
        for start in range(0, len(items), 25):
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            get_doc_client().call("BatchWriteItem", RequestItems={bench.straight.table_name: puts})


def load(bench: Bench, ids: list[str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    with use_client(bench.straight):
        for start in range(0, len(ids), 100):
            keys = [{"model": "record", "id": key} for key in ids[start : start + 100]]
            wanted = {bench.straight.table_name: {"Keys": keys, "ConsistentRead": True}}
            answer = get_doc_client().call("BatchGetItem", RequestItems=wanted)
            assert not answer.get("UnprocessedKeys")
            found.update({item["id"]: item for item in answer["Responses"][bench.straight.table_name]})
    return found


class Told(NamedTuple):
    result: Any
    error: Exception | None


def run(bench: Bench, call: Callable[[str], Any], key: str, script: list[Fault]) -> Told:
    bench.proxy.then(script)
    bench.behind.quota.tokens = bench.behind.quota.CAPACITY
    with use_client(bench.behind):
        try:
            return Told(call(key), None)
        except (DynamoError, ClientError) as error:
            return Told(None, error)


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_what_is_told_is_what_was_done(name, bench, transport):
    write = WRITES[name]
    keys = [f"{seed:03}" for seed in range(RUNS[transport])]
    before = {key: None if write.before is None else {**write.before, "id": key} for key in keys}
    store(bench, [item for item in before.values() if item is not None])
    told = {key: run(bench, write.run, key, random.Random(f"{name} {key}").choices(FATES, k=8)) for key in keys}
    bench.proxy.check()
    after = load(bench, keys)
    verdicts = {key: judge(write, before[key], after.get(key), told[key]) for key in keys}
    assert not {key: (verdict, told[key]) for key, verdict in verdicts.items() if verdict.startswith("WRONG")}
    check_variety(name, Counter(verdicts.values()), transport)


def judge(write: Write, before: Item | None, after: Item | None, told: Told) -> str:
    """Say what became of a run, in words that begin with WRONG where it was not told so."""
    is_done = write.is_done(before, after, told.result)
    if told.error is None:
        return "success" if is_done else "WRONG success"
    if not is_done and after != before:
        return "WRONG write"
    if isinstance(told.error, AmbiguousWriteError):
        if told.error.existing is not None and told.error.existing != after:
            return "WRONG existing"
        return f"ambiguous, {'done' if is_done else 'not done'}"
    if is_done:
        return "WRONG refusal"
    return "WRONG conflict" if isinstance(told.error, (ConflictError, NotFoundError)) else "not written"


def check_variety(name: str, verdicts: Counter[str], transport: str) -> None:
    """Hold that the runs were of every sort, and that what can be recovered mostly was."""
    if transport != "direct":
        return
    assert verdicts["success"] >= (70 if name in SINGLE else 130), verdicts
    assert verdicts["ambiguous, done"], verdicts
    if name in SINGLE:
        assert verdicts["ambiguous, not done"], verdicts


# --- somebody else writes before the next attempt ---------------------------------------------------------------------


def _claim(owner: str, **options: Any) -> Callable[[str], Any]:
    return _patch(set={"status": "taken", "owner": owner}, condition=_OPEN, **options)


def _create(owner: str, **options: Any) -> Callable[[str], Any]:
    return lambda key: create_entity(entity={**_grace(key), "owner": owner}, **options)


def _rename(owner: str, **options: Any) -> Callable[[str], Any]:
    return _patch(set={"alias": owner}, **options)


def _destroy(_owner: str = "") -> Callable[[str], Any]:
    return lambda key: destroy_entity(model="record", id=key)


# Changed by a machine whose clock is ahead of ours and theirs: both write the millisecond after this.
AHEAD: Item = {**BASE, "updatedAt": "2099-01-01T00:00:00.000Z"}


def _twin(key: str) -> Any:
    return patch_entity(model="record", id=key, set={"status": "taken"}, if_unchanged={**AHEAD, "id": key})


def _twin_update(key: str) -> Any:
    read = {**AHEAD, "id": key}
    return update_entity(entity={**read, "status": "taken"}, if_unchanged=read)


RECREATED = "destroy and create"

# Ours, theirs, the item both meet, and whether only one of them can succeed.
RIVALS: dict[str, tuple[Callable[[str], Any], Callable[[str], Any], Item | None, bool]] = {
    "two claims": (_claim("ours"), _claim("theirs"), BASE, True),
    "two claims, ours idempotent": (_claim("ours", idempotent=True), _claim("theirs"), BASE, True),
    "two patches that look alike": (_twin, _twin, AHEAD, False),
    "two updates that look alike": (_twin_update, _twin_update, AHEAD, False),
    "two creates": (_create("ours"), _create("theirs"), None, True),
    "two creates, ours idempotent": (_create("ours", idempotent=True), _create("theirs"), None, True),
    "claim and destroy": (_claim("ours"), _destroy(), BASE, False),
    "index patches": (_rename("ours"), _rename("theirs"), BASE, False),
    "index patch and destroy": (_rename("ours"), _destroy(), BASE, False),
    "delete and destroy": (lambda key: delete_entity(model="record", id=key), _destroy(), BASE, False),
    "delete and claim": (lambda key: delete_entity(model="record", id=key), _claim("theirs"), BASE, False),
    "delete and archive": (
        lambda key: delete_entity(model="record", id=key),
        lambda key: archive_entity(model="record", id=key),
        BASE,
        False,
    ),
    "add and destroy": (_patch(add={"n": 1}, idempotent=True), _destroy(), BASE, False),
    RECREATED: (
        lambda key: destroy_entity(model="record", id=key, idempotent=True),
        _create("theirs"),
        BASE,
        False,
    ),
}


@pytest.mark.parametrize("name", RIVALS)
def test_another_writer_comes_in_between(name, bench, transport):
    """What is told is measured against what DynamoDB said to the proxy: a write of ours was carried out, or none."""
    ours, theirs, before, is_exclusive = RIVALS[name]
    keys = [f"{seed:03}" for seed in range(RUNS[transport] // 4)]
    store(bench, [{**before, "id": key} for key in keys if before is not None])
    verdicts: Counter[str] = Counter()
    for key in keys:
        draw = random.Random(f"{name} {key}")
        they_succeeded = False

        def interfere(key: str = key) -> None:
            nonlocal they_succeeded
            with use_client(bench.straight):
                try:
                    theirs(key)
                    they_succeeded = True
                except (ConflictError, NotFoundError):
                    pass

        script = draw.choices(FATES, k=draw.randrange(3))
        script.append(_fate("interference", commits=draw.random() < 0.5, end=draw.choice(list(_ENDS)), then=interfere))
        bench.upstream.writes = 0
        told = run(bench, ours, key, script)
        bench.proxy.check()
        stored = load(bench, [key]).get(key)
        verdict = judge_rival(told, bench.upstream.writes)
        assert not verdict.startswith("WRONG"), (key, told, stored)
        if is_exclusive and told.error is None:
            assert not they_succeeded
            assert stored is not None
            assert stored["owner"] == "ours"
        if name == RECREATED and they_succeeded:
            assert stored is not None, "the destroy reached what was created after it"
        verdicts[verdict] += 1
    if transport == "direct":
        assert verdicts["success"], verdicts
        assert verdicts["ambiguous"] or name == RECREATED, verdicts


def judge_rival(told: Told, writes: int) -> str:
    if told.error is None:
        # `False` says that there was nothing to change.
        return "success" if writes or told.result is False else "WRONG success"
    if isinstance(told.error, AmbiguousWriteError):
        return "ambiguous"
    return "WRONG refusal" if writes else "not written"
