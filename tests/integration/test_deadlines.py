"""A deadline bounds everything inside it: attempts on real sockets, pages of a query, waiting for a table."""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from attempts import Clock
from faults import BLACK_HOLE, OK, SLOW_DRIP, Fault, FaultServer, Request, Upstream, write_json

from jaypie_dynamo import (
    APEX,
    AmbiguousWriteError,
    TransportError,
    count_by_scope,
    create_table,
    deadline,
    destroy_table,
    get_entity,
    iter_query,
    make_client,
    patch_entity,
    put_entity,
    query_by_scope,
    use_client,
    where,
)
from jaypie_dynamo._transport import _deadline, _policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a loaded machine may take longer than the deadline; the timeouts alone would take far longer.
BOUND_S = 20.0


# --- real time, real sockets ------------------------------------------------------------------------------------------

CALLS: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "read": (lambda: get_entity(model="record", id="1"), TransportError),
    "put": (lambda: put_entity(entity={"model": "record", "id": "1", "scope": APEX}), AmbiguousWriteError),
    "add": (lambda: patch_entity(model="record", id="1", add={"n": 1}), AmbiguousWriteError),
    "idempotent add": (
        lambda: patch_entity(model="record", id="1", add={"n": 1}, idempotent=True),
        AmbiguousWriteError,
    ),
}


def fails_in_time(call: Callable[[], Any], error: type[Exception], limit: Any) -> None:
    started = time.monotonic()
    with deadline(limit), pytest.raises(TransportError) as caught:
        call()
    assert type(caught.value) is error
    assert time.monotonic() - started < BOUND_S


class LambdaContext:
    def get_remaining_time_in_millis(self) -> int:
        return 500


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", [BLACK_HOLE, SLOW_DRIP], ids=lambda fault: fault.name)
@pytest.mark.parametrize("limit", [0.3, LambdaContext()], ids=["seconds", "context"])
def test_deadline_is_nearer_than_the_timeouts(name, fault, limit):
    call, error = CALLS[name]
    timeouts = {"connect_timeout_s": 300.0, "read_timeout_s": 300.0}
    with (
        FaultServer() as server,
        make_client(table_name="t", endpoint=server.url, transport="direct", **timeouts) as client,
        use_client(client),
    ):
        server.load(otherwise=fault)
        fails_in_time(call, error, limit)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("transport", ["direct", "botocore"])
def test_deadline_is_nearer_than_the_attempts_left(name, transport, monkeypatch):
    call, error = CALLS[name]
    monkeypatch.setattr(_policy, "urandom", bytes)
    timeouts = {"connect_timeout_s": 0.1, "read_timeout_s": 0.1, "max_attempts": 10_000}
    with (
        FaultServer() as server,
        make_client(table_name="t", endpoint=server.url, transport=transport, **timeouts) as client,
        use_client(client),
    ):
        if transport == "botocore":
            client.botocore_client()  # its making takes a second on a loaded machine
        server.load(otherwise=BLACK_HOLE)
        client.quota.tokens = 1_000_000
        fails_in_time(call, error, 0.5)


def test_handshake_that_is_not_answered():
    with (
        FaultServer() as server,
        make_client(
            table_name="t",
            endpoint=server.url.replace("http:", "https:"),
            transport="direct",
            connect_timeout_s=300.0,
        ) as client,
        use_client(client),
    ):
        server.load(otherwise=BLACK_HOLE._replace(when="bytes of TLS"))
        fails_in_time(CALLS["add"][0], TransportError, 0.3)


def test_deadline_goes_along_into_a_context_that_is_copied():
    seen = []
    with deadline(60):
        copied = contextvars.copy_context()
    for run in (copied.run, lambda call: call()):
        thread = threading.Thread(target=run, args=(lambda: seen.append(_deadline.remaining_s()),))
        thread.start()
        thread.join()
    carried, bare = seen
    assert 0 < carried <= 60
    assert bare is None


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(dynamodb_local_endpoint) -> Iterator[str]:
    """Two hundred records: every sixteenth is hot, every third deleted, every fifth archived."""
    name = f"test-{uuid.uuid4().hex}"
    with make_client(table_name=name, endpoint=dynamodb_local_endpoint) as client, use_client(client):
        create_table()
        for number in range(200):
            record = {"model": "record", "id": f"{number:03}", "scope": APEX, "sequence": number}
            record["hot"] = number % 16 == 0
            if number % 3 == 0:
                record["deletedAt"] = "2025-01-01T00:00:00.000Z"
            if number % 5 == 0:
                record["archivedAt"] = "2025-01-01T00:00:00.000Z"
            put_entity(entity=record)
        yield name
        destroy_table(table_name=name)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_deadline, "monotonic", made.monotonic)
    return made


class Road:
    """The way to DynamoDB Local, on which a clock can be moved once a number of queries have been answered."""

    def __init__(self, server: FaultServer, clock: Clock) -> None:
        self.queries = 0
        self.ends_after: int | None = None
        self._clock = clock
        server.choose = self._choose

    def _choose(self, request: Request) -> Fault:
        assert request.operation == "Query"
        self.queries += 1
        if self.queries == self.ends_after:
            self._clock.pass_s(1000)
        return OK


@pytest.fixture
def road(table, dynamodb_local_endpoint, clock, monkeypatch) -> Iterator[Road]:
    # Small pages, so that there are several of them.
    monkeypatch.setattr("jaypie_dynamo._pages.MIN_SPARSE_LIMIT", 3)
    upstream = Upstream(dynamodb_local_endpoint)
    with (
        FaultServer(upstream=upstream) as server,
        make_client(table_name=table, endpoint=server.url, transport="direct", read_timeout_s=60.0) as client,
        use_client(client),
    ):
        yield Road(server, clock)
    upstream.close()


QUERIES: dict[str, dict[str, Any]] = {
    "live": {},
    "live, ascending": {"ascending": True},
    "two states": {"include_deleted": True},
    "four states": {"include_deleted": True, "include_archived": True},
    "four states, ascending": {"include_deleted": True, "include_archived": True, "ascending": True},
    "four states, projected": {"include_deleted": True, "include_archived": True, "attributes": ["hot"]},
}


# More than there are, so that each partition is read to its end.
HOT: dict[str, Any] = {"model": "record", "scope": APEX, "where": where("hot").eq(True), "limit": 14}


@pytest.mark.parametrize("name", QUERIES)
def test_page_stops_at_the_deadline_with_a_cursor_to_go_on_from(name, road):
    params = {**HOT, **QUERIES[name]}
    whole, end = query_by_scope(**params)
    assert end is None
    requests = road.queries
    partitions = 2 ** (params.get("include_deleted", 0) + params.get("include_archived", 0))
    assert requests >= partitions + 2
    for ends_after in range(1, requests):
        road.queries, road.ends_after = 0, ends_after
        if ends_after < partitions:
            # One was not read at all yet: there is no position to go on from.
            with deadline(100), pytest.raises(TransportError, match="the deadline is over"):
                query_by_scope(**params)
            assert road.queries == ends_after
            continue
        with deadline(100):
            first, cursor = query_by_scope(**params)
        assert road.queries == ends_after
        assert cursor is not None
        assert first == whole[: len(first)]
        rest, end = query_by_scope(start_key=cursor, **params)
        assert first + rest == whole
        assert end is None


def test_early_page_holds_what_was_read(road):
    road.ends_after = 2
    with deadline(100):
        items, cursor = query_by_scope(ascending=True, **HOT)
    assert items
    assert cursor is not None
    assert cursor["id"] > items[-1]["id"], "the cursor is at the last position evaluated, not returned"


def test_query_after_the_deadline_sends_nothing(road):
    with deadline(0), pytest.raises(TransportError, match="the deadline is over"):
        query_by_scope(model="record", scope=APEX)
    assert road.queries == 0


def test_count_that_is_not_finished_is_no_number(road):
    road.ends_after = 1
    with deadline(100), pytest.raises(TransportError, match="the deadline is over"):
        count_by_scope(model="record", scope=APEX, include_deleted=True)


@pytest.mark.usefixtures("road")
def test_iterator_is_bound_to_the_deadline_it_was_made_under(clock):
    params = {"model": "record", "scope": APEX, "page_size": 5}
    whole = list(iter_query(query_by_scope, **params))
    with deadline(100):
        bound = iter_query(query_by_scope, **params)
        short = [next(bound)]
    free = iter_query(query_by_scope, **params)
    clock.pass_s(1000)
    with pytest.raises(TransportError, match="the deadline is over"):
        short.extend(bound)
    assert short == whole[:5], "what was read before is given out first"
    with deadline(-1):
        assert list(free) == whole


def test_iterator_gives_out_an_early_page_before_it_raises(road):
    params = {**HOT, "limit": None, "page_size": 14}
    whole = list(iter_query(query_by_scope, **params))
    road.queries, road.ends_after = 0, 2
    items: list[Any] = []
    with deadline(100), pytest.raises(TransportError, match="the deadline is over"):
        items.extend(iter_query(query_by_scope, **params))
    assert items == whole[: len(items)]
    assert items


# --- waiting for a table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["active", "gone"])
def test_waiting_for_a_table_ends_before_the_deadline(wait, clock, monkeypatch):
    monkeypatch.setattr("jaypie_dynamo._tables.time", clock)
    description = {"TableName": "t", "TableStatus": "CREATING" if wait == "active" else "DELETING"}

    def choose(request: Request) -> Fault:
        told = {"Table": description} if request.operation == "DescribeTable" else {"TableDescription": description}
        return OK._replace(play=lambda peer, _: peer.send(write_json(200, told)) is None)

    with FaultServer() as server, make_client(table_name="t", endpoint=server.url) as client, use_client(client):
        server.choose = choose
        end = clock.now + 10
        with deadline(10), pytest.raises(TransportError, match="and the deadline is near; look again with"):
            create_table() if wait == "active" else destroy_table(table_name="t")
        assert clock.sleeps
        assert end - 2.5 < clock.now < end
