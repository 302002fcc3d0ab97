"""Several threads, a mixed workload, random faults, and a model of what must be true: nothing lost, nothing doubled.

    JAYPIE_DYNAMO_CHAOS_S=300 python -m pytest tests/integration/test_chaos.py

The faults stand between the threads and AWS's DynamoDB Local: a third of the requests go wrong in some way,
connections are cut while idle, and now and then nobody listens. Every outcome is entered into a model as what it says:
a success has happened, an AmbiguousWriteError may have, any other error has not. What is read must agree with it.

Environment: `JAYPIE_DYNAMO_CHAOS_S` (how long, 20), `JAYPIE_DYNAMO_CHAOS_SEED` (of faults and workload, 1).
"""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import threading
import time
import traceback
import uuid
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import engines
import pytest
from botocore.exceptions import ClientError
from faults import BLACK_HOLE, COMMIT_THEN_SILENCE, OK, THROTTLE, Fault, FaultServer, Upstream

from integration.test_commit_then_fault import COMMITTED, LOST
from jaypie_dynamo import (
    APEX,
    AmbiguousWriteError,
    ConflictError,
    NotFoundError,
    TransportError,
    archive_entity,
    create_entity,
    create_table,
    deadline,
    delete_entity,
    destroy_entity,
    destroy_table,
    get_entity,
    index_entity,
    make_client,
    patch_entity,
    put_entity,
    query_by_scope,
    restore_entity,
    unarchive_entity,
    use_client,
    where,
)
from jaypie_dynamo._transport import _policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DURATION_S = float(engines.MACHINE.get("JAYPIE_DYNAMO_CHAOS_S", "20"))
SEED = engines.MACHINE.get("JAYPIE_DYNAMO_CHAOS_SEED", "1")

# The share of the time each transport gets.
SHARES = {"direct": 1.0, "botocore": 0.25}

THREADS = 8

# Far more than DynamoDB Local ever takes, so that a request given up is one that the proxy keeps from being answered.
READ_TIMEOUT_S = 5.0

# How long a thread may go on after the end: its last call, with all its attempts kept silent.
STUCK_S = 60.0

# What DynamoDB, or the proxy in its name, may refuse with.
EXPECTED_CODES = {"ProvisionedThroughputExceededException", "InternalServerError"}


# --- faults -----------------------------------------------------------------------------------------------------------


class Weather:
    """Chooses the fate of each request, and troubles the connections on top of that."""

    def __init__(self, proxy: FaultServer, seed: str) -> None:
        self._proxy = proxy
        self._draw = random.Random(f"weather {seed}")
        self._trouble = random.Random(f"trouble {seed}")
        self.is_stormy = False
        proxy.choose = self._choose
        proxy.seen = deque(maxlen=100)

    def _choose(self, _request: Any) -> Fault:
        drawn = self._draw.random()
        if drawn < 0.001:
            return self._draw.choice((BLACK_HOLE, COMMIT_THEN_SILENCE))
        if drawn < (0.9 if self.is_stormy else 0.3):
            return self._draw.choice((*LOST, *COMMITTED, THROTTLE, THROTTLE))
        return OK

    def trouble(self, client: Any, stop: threading.Event) -> None:
        """Cut connections, close the door for a moment, let a storm pass: until told to stop."""
        while not stop.wait(self._trouble.uniform(0.2, 1.0)):
            # Faults as frequent as these use the quota up, and a client without quota tries nothing again.
            client.quota.tokens = client.quota.CAPACITY
            what = self._trouble.choice(("cut", "cut", "refuse", "storm"))
            if what == "cut":
                self._proxy.cut_idle()
            elif what == "refuse":
                self._proxy.refuse()
                stop.wait(0.1)
                self._proxy.listen()
            else:
                self.is_stormy = True
                stop.wait(0.3)
                self.is_stormy = False


# --- what a call said -------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """`done`, `maybe`, `missing`, `conflict` or `not done`, and what came back."""

    word: str
    result: Any = None


def attempt(call: Callable[[], Any]) -> Told:
    try:
        return Told("done", call())
    except AmbiguousWriteError as error:
        return Told("maybe", error.existing)
    except NotFoundError:
        return Told("missing")
    except ConflictError as error:
        return Told("conflict", error.existing)
    except TransportError:
        return Told("not done")
    except ClientError as error:
        if error.response["Error"]["Code"] not in EXPECTED_CODES:
            raise
        return Told("not done")


# --- the model --------------------------------------------------------------------------------------------------------


class Counters:
    """Numbers that everybody adds to: never less than what was acknowledged, never more than what was tried."""

    KEYS = ("c0", "c1", "c2")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: Counter[str] = Counter()
        self._tried: Counter[str] = Counter()
        for key in self.KEYS:
            put_entity(entity={"model": "counter", "id": key, "scope": APEX, "n": 0})

    def act(self, draw: random.Random) -> Told:
        key = draw.choice(self.KEYS)
        if draw.random() < 0.25:
            return self._check(key)
        idempotent = draw.random() < 0.5
        with self._lock:
            self._tried[key] += 1
        told = attempt(lambda: patch_entity(model="counter", id=key, add={"n": 1}, idempotent=idempotent))
        with self._lock:
            self._done[key] += told.word == "done"
            self._tried[key] -= told.word == "not done"
        assert told.word in ("done", "maybe", "not done"), told
        return told

    def _check(self, key: str) -> Told:
        with self._lock:
            least = self._done[key]
        told = attempt(lambda: get_entity(model="counter", id=key, consistent=True))
        if told.word == "done":
            with self._lock:
                assert least <= told.result["n"] <= self._tried[key], (least, told, self._tried[key])
        return told

    def check_end(self) -> None:
        for key in self.KEYS:
            assert self._done[key] <= get_entity(model="counter", id=key)["n"] <= self._tried[key]


class Logs:
    """Lists that everybody appends to: each entry once, if it was acknowledged; never, if it was refused."""

    KEYS = ("l0", "l1", "l2", "l3")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, dict[str, str]] = {key: {} for key in self.KEYS}
        for key in self.KEYS:
            put_entity(entity={"model": "log", "id": key, "scope": APEX, "lines": []})

    def act(self, draw: random.Random) -> Told:
        key, line = draw.choice(self.KEYS), f"{draw.getrandbits(40):010x}"
        idempotent = draw.random() < 0.5
        told = attempt(lambda: patch_entity(model="log", id=key, append={"lines": [line]}, idempotent=idempotent))
        assert told.word in ("done", "maybe", "not done"), told
        with self._lock:
            self._told[key][line] = told.word
        return told

    def check_end(self) -> None:
        for key in self.KEYS:
            times = Counter(get_entity(model="log", id=key)["lines"])
            assert times.keys() <= self._told[key].keys()
            for line, word in self._told[key].items():
                allowed = {"done": (1,), "maybe": (0, 1), "not done": (0,)}[word]
                assert times[line] in allowed, (key, line, word, times[line])


class Versions:
    """Items changed by whoever knows the version: one winner for each, and no loser's mark anywhere."""

    KEYS = ("v0", "v1")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: dict[tuple[str, int], str] = {}
        self._losers: set[str] = set()
        for key in self.KEYS:
            put_entity(entity={"model": "version", "id": key, "scope": APEX, "version": 0, "by": "nobody"})

    def act(self, draw: random.Random) -> Told:
        key, by = draw.choice(self.KEYS), f"{draw.getrandbits(40):010x}"
        told = attempt(lambda: get_entity(model="version", id=key, consistent=True))
        if told.word != "done":
            return told
        self._see(key, told.result)
        version = told.result["version"]
        idempotent = draw.random() < 0.3
        told = attempt(
            lambda: patch_entity(
                model="version",
                id=key,
                set={"version": version + 1, "by": by},
                condition=where("version").eq(version),
                idempotent=idempotent,
            )
        )
        assert told.word in ("done", "maybe", "not done", "conflict"), told
        with self._lock:
            if told.word == "done":
                assert self._holder.setdefault((key, version + 1), by) == by, "two winners of one version"
            elif told.word != "maybe":
                self._losers.add(by)
        if told.result is not None and told.word != "done":
            self._see(key, told.result)
        return told

    def _see(self, key: str, item: dict[str, Any]) -> None:
        with self._lock:
            assert self._holder.setdefault((key, item["version"]), item["by"]) == item["by"], "a winner was overwritten"
            assert item["by"] not in self._losers, "a write that was refused is in the table"

    def check_end(self) -> None:
        for key in self.KEYS:
            item = get_entity(model="version", id=key)
            self._see(key, item)
            won = [version for held, version in self._holder if held == key]
            assert max(won) == item["version"]


class Races:
    """Items that several threads create at once: at most one is told that it did, and it is its item that stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._winners: dict[str, str] = {}
        self._losers: defaultdict[str, set[str]] = defaultdict(set)
        self._round = 0

    def act(self, draw: random.Random) -> Told:
        with self._lock:
            self._round += 1
            key = f"r{self._round // 4}"  # four tries for each
        owner = f"{draw.getrandbits(40):010x}"
        idempotent = draw.random() < 0.3
        told = attempt(
            lambda: create_entity(
                entity={"model": "race", "id": key, "scope": APEX, "owner": owner}, idempotent=idempotent
            )
        )
        assert told.word in ("done", "maybe", "not done", "conflict"), told
        with self._lock:
            if told.word == "done":
                assert self._winners.setdefault(key, owner) == owner, "two creators of one item"
            elif told.word != "maybe":
                self._losers[key].add(owner)
                assert told.result is None or told.result["owner"] != owner, "a conflict with one's own item"
        return told

    def check_end(self) -> None:
        for number in range(self._round // 4):
            key = f"r{number}"
            item = get_entity(model="race", id=key)
            owner = None if item is None else item["owner"]
            assert self._winners.get(key, owner) == owner, key
            assert owner not in self._losers[key], key


class Visible(NamedTuple):
    """What a register shows of an item; None for no item."""

    value: str
    alias: str | None
    is_deleted: bool
    is_archived: bool


def see(item: dict[str, Any] | None) -> Visible | None:
    if item is None:
        return None
    assert index_entity(item) == item, "index keys do not fit their fields"
    return Visible(item["value"], item.get("alias"), "deletedAt" in item, "archivedAt" in item)


# What an item will be, and what the call says, given what it is.
Step = tuple[str, "Visible | None"]


class Register:
    """An item with a single writer: what it may be is known exactly, and each outcome narrows it down."""

    def __init__(self, key: str, proxy: FaultServer) -> None:
        self._key = key
        self._proxy = proxy
        self._may_be: set[Visible | None] = {None}

    def act(self, draw: random.Random) -> Told:
        name = draw.choice(list(self._moves))
        call, step = self._moves[name](self, f"{draw.getrandbits(40):010x}", draw.random() < 0.3)
        told = attempt(call)
        steps = [(state, *step(state)) for state in self._may_be]
        if told.word == "maybe":
            # Given up, but perhaps still on its way: what is read before it arrives says nothing about it.
            settle(lambda: not self._proxy.is_busy_with(f'"{self._key}"'.encode()))
            self._may_be |= {after for _, _, after in steps}
        elif told.word != "not done":
            word = "missing" if told.result is False else told.word
            left = {after for _, says, after in steps if word in says.split(" or ")}
            assert left, (name, told, self._may_be)
            self._may_be = left
        if name == "read" and told.word == "done":
            seen = see(told.result)
            assert seen in self._may_be, (seen, self._may_be)
            self._may_be = {seen}
        return told

    def check_end(self) -> None:
        seen = see(get_entity(model="register", id=self._key))
        assert seen in self._may_be, (self._key, seen, self._may_be)

    def _read(self, _value: str, _idempotent: bool) -> Any:
        return lambda: get_entity(model="register", id=self._key, consistent=True), lambda state: ("done", state)

    def _put(self, value: str, idempotent: bool) -> Any:
        entity = {"model": "register", "id": self._key, "scope": APEX, "value": value}
        after = Visible(value, None, False, False)
        return lambda: put_entity(entity=entity, idempotent=idempotent), lambda _: ("done", after)

    def _create(self, value: str, idempotent: bool) -> Any:
        entity = {"model": "register", "id": self._key, "scope": APEX, "value": value, "alias": value}
        after = Visible(value, value, False, False)
        return (
            lambda: create_entity(entity=entity, idempotent=idempotent),
            lambda state: ("done", after) if state is None else ("conflict", state),
        )

    def _patch(self, value: str, idempotent: bool) -> Any:
        return (
            lambda: patch_entity(model="register", id=self._key, set={"value": value}, idempotent=idempotent),
            _if_there(lambda state: state._replace(value=value)),
        )

    def _rename(self, value: str, idempotent: bool) -> Any:
        return (
            lambda: patch_entity(model="register", id=self._key, set={"alias": value}, idempotent=idempotent),
            _if_there(lambda state: state._replace(alias=value)),
        )

    def _delete(self, _value: str, _idempotent: bool) -> Any:
        return lambda: delete_entity(model="register", id=self._key), _if_there(lambda s: s._replace(is_deleted=True))

    def _restore(self, _value: str, _idempotent: bool) -> Any:
        return lambda: restore_entity(model="register", id=self._key), _if_there(lambda s: s._replace(is_deleted=False))

    def _archive(self, _value: str, _idempotent: bool) -> Any:
        return lambda: archive_entity(model="register", id=self._key), _if_there(lambda s: s._replace(is_archived=True))

    def _unarchive(self, _value: str, _idempotent: bool) -> Any:
        return (
            lambda: unarchive_entity(model="register", id=self._key),
            _if_there(lambda s: s._replace(is_archived=False)),
        )

    def _destroy(self, _value: str, idempotent: bool) -> Any:
        return (
            lambda: destroy_entity(model="register", id=self._key, idempotent=idempotent),
            # Gone is gone: `True` too where the answer was lost that would have said whether there was one.
            lambda state: ("missing or done" if state is None else "done", None),
        )

    _moves: dict[str, Callable[[Register, str, bool], Any]] = {  # noqa: RUF012
        "read": _read,
        "put": _put,
        "create": _create,
        "patch": _patch,
        "rename": _rename,
        "delete": _delete,
        "restore": _restore,
        "archive": _archive,
        "unarchive": _unarchive,
        "destroy": _destroy,
    }


def _if_there(change: Callable[[Visible], Visible | None]) -> Callable[[Visible | None], Step]:
    return lambda state: ("missing", None) if state is None else ("done", change(state))


class Shared:
    """One item whose state and alias everybody changes: whatever comes out, its index keys fit."""

    KEY = "s0"

    def __init__(self) -> None:
        put_entity(entity={"model": "shared", "id": self.KEY, "scope": APEX, "value": "x"})

    def act(self, draw: random.Random) -> Told:
        state = draw.choice((delete_entity, restore_entity, archive_entity, unarchive_entity, None, None))
        value = f"{draw.getrandbits(40):010x}"
        if state is None:
            told = attempt(lambda: patch_entity(model="shared", id=self.KEY, set={"alias": value, "xid": value}))
        else:
            told = attempt(lambda: state(model="shared", id=self.KEY))
        assert told.word in ("done", "maybe", "not done", "conflict"), told
        assert told.result is not False
        return told

    def check_end(self) -> None:
        see(get_entity(model="shared", id=self.KEY))


class Queries:
    """Reads of an index while all this goes on: an item appears once, and is what was asked for."""

    def act(self, draw: random.Random) -> Told:
        model = draw.choice(("counter", "register", "race", "shared"))
        options = {"include_deleted": draw.random() < 0.5, "include_archived": draw.random() < 0.5}
        told = attempt(lambda: query_by_scope(model=model, scope=APEX, limit=draw.choice((3, 20)), **options))
        if told.word == "done":
            ids = [item["id"] for item in told.result.items]
            assert len(ids) == len(set(ids))
            assert all(item["model"] == model for item in told.result.items)
        return told

    def check_end(self) -> None:
        pass


# --- the run ----------------------------------------------------------------------------------------------------------


class Crew:
    """The threads, each with a register of its own and a draw of its own."""

    def __init__(self, client: Any, parts: list[Any], registers: list[Register], *, seed: str) -> None:
        self.words: Counter[str] = Counter()
        self.failures: list[str] = []
        self._client = client
        self._parts = parts
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._work, args=(registers[number], random.Random(f"{seed} {number}")), daemon=True
            )
            for number in range(THREADS)
        ]

    def run(self, duration_s: float) -> None:
        for thread in self._threads:
            thread.start()
        self._stop.wait(duration_s)
        self._stop.set()
        give_up = time.monotonic() + STUCK_S
        for thread in self._threads:
            thread.join(max(0, give_up - time.monotonic()))
        frames = sys._current_frames()
        stuck = [thread for thread in self._threads if thread.is_alive()]
        assert not stuck, "\n".join("".join(traceback.format_stack(frames[thread.ident])) for thread in stuck)
        assert not self.failures, "\n".join(self.failures)

    def _work(self, register: Register, draw: random.Random) -> None:
        try:
            with use_client(self._client):
                while not self._stop.is_set():
                    part = register if draw.random() < 0.4 else draw.choice(self._parts)
                    with deadline(draw.uniform(0.01, 2.0)) if draw.random() < 0.1 else contextlib.nullcontext():
                        told = part.act(draw)
                    with self._lock:
                        self.words[f"{type(part).__name__} {told.word}"] += 1
        except BaseException:
            self.failures.append(traceback.format_exc())
            self._stop.set()


@pytest.fixture
def table(dynamodb_local_endpoint) -> Iterator[Any]:
    """A client on the straight road, bound to a table with all its indexes."""
    name = f"test-{uuid.uuid4().hex}"
    with make_client(table_name=name, endpoint=dynamodb_local_endpoint, read_timeout_s=60.0) as straight:
        with use_client(straight):
            create_table()
        yield straight
        with use_client(straight):
            destroy_table(table_name=name)


@pytest.mark.parametrize("transport", SHARES)
def test_chaos(transport, table, dynamodb_local_endpoint, monkeypatch, capsys):
    duration_s = DURATION_S * SHARES[transport]
    monkeypatch.setattr(_policy, "THROTTLED_BASE_S", 0.02)
    upstream = Upstream(dynamodb_local_endpoint)
    with (
        FaultServer(upstream=upstream) as proxy,
        make_client(
            table_name=table.table_name,
            endpoint=proxy.url,
            transport=transport,
            connect_timeout_s=2.0,
            read_timeout_s=READ_TIMEOUT_S,
        ) as client,
    ):
        with use_client(table):
            parts = [Counters(), Logs(), Versions(), Races(), Shared(), Queries()]
        registers = [Register(f"g{number}", proxy) for number in range(THREADS)]
        crew = Crew(client, parts, registers, seed=SEED)
        weather, stop = Weather(proxy, SEED), threading.Event()
        troublemaker = threading.Thread(target=weather.trouble, args=(client, stop), daemon=True)
        if transport == "botocore":
            client.botocore_client()
        descriptors = count_descriptors()
        troublemaker.start()
        try:
            crew.run(duration_s)
        finally:
            stop.set()
            troublemaker.join(STUCK_S)
        proxy.check()
        settle(lambda: not proxy.is_busy_with())
        with use_client(table):
            for part in (*parts, *registers):
                part.check_end()
        if transport == "botocore":
            gc.collect()  # answers that broke off lie in cycles of urllib3's, with their sockets
        settle(lambda: proxy.open_connections <= THREADS)
        client.close()
        settle(lambda: proxy.open_connections == 0)
        upstream.close()
        settle(lambda: count_descriptors() <= descriptors)
    with capsys.disabled():
        print(f"\n{transport}, {duration_s:.0f} s, seed {SEED}: {summary(crew.words)}; {proxy.accepted} connections")
    for word in ("done", "maybe", "not done", "conflict"):
        assert any(name.endswith(f" {word}") for name in crew.words), (word, crew.words)


def settle(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + STUCK_S
    while not is_so():
        assert time.monotonic() < give_up, "this does not come about"
        time.sleep(0.02)


def count_descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def summary(words: Counter[str]) -> str:
    totals: Counter[str] = Counter()
    for name, count in words.items():
        totals[name.partition(" ")[2]] += count
    return f"{totals.total()} calls: " + ", ".join(f"{count} {word}" for word, count in totals.most_common())
