"""One attempt goes wrong in every way a network knows: what is tried again, what is told, what is really written.

Each fault, for each class of operation, on each transport, plain and under TLS. The server keeps a model of a table, so
every test ends by comparing what the caller was told with what was written.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import faults
import pytest
import trustme
from botocore.exceptions import ClientError
from faults import COMMIT_THEN_RESET, FAULTS, HANDSHAKES, OK, RESET, SILENT, UNUSUAL, Fault, FaultServer

from jaypie_dynamo import (
    AmbiguousWriteError,
    TransportError,
    create_entity,
    get_entity,
    make_client,
    patch_entity,
    put_entity,
    use_client,
    where,
)
from jaypie_dynamo._transport import _policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaypie_dynamo._client import Client

TRANSPORTS = ("direct", "botocore")

# No attempt may wait longer than its timeouts; a loaded machine is given this.
BOUND_S = 15.0

STORED = {
    "model": {"S": "record"},
    "id": {"S": "1"},
    "scope": {"S": "@"},
    "sequence": {"N": "1"},
    "indexScope": {"S": "@#record"},
    "status": {"S": "open"},
    "n": {"N": "7"},
}


# --- the classes of operations ----------------------------------------------------------------------------------------


class Operation(NamedTuple):
    """A call, whether it writes, whether it may be sent again after doubt, and what it leaves in the table."""

    name: str
    run: Callable[[], Any]
    writes: bool
    repeats: bool
    before: dict[str, Any] | None
    leaves: dict[str, Any]


def _entity() -> dict[str, Any]:
    return {"model": "record", "id": "1", "scope": "@", "name": "Ada"}


OPERATIONS = (
    Operation("read", lambda: get_entity(model="record", id="1"), False, True, STORED, {"n": {"N": "7"}}),
    Operation("put", lambda: put_entity(entity=_entity()), True, True, None, {"name": {"S": "Ada"}}),
    Operation(
        "add", lambda: patch_entity(model="record", id="1", add={"n": 1}), True, False, STORED, {"n": {"N": "8"}}
    ),
    Operation("create", lambda: create_entity(entity=_entity()), True, True, None, {"name": {"S": "Ada"}}),
    Operation(
        "conditional patch",
        lambda: patch_entity(model="record", id="1", set={"status": "taken"}, condition=where("status").eq("open")),
        True,
        True,
        STORED,
        {"status": {"S": "taken"}},
    ),
    Operation(
        "transaction",
        lambda: patch_entity(model="record", id="1", add={"n": 1}, idempotent=True),
        True,
        True,
        STORED,
        {"n": {"N": "8"}},
    ),
)


class Told(NamedTuple):
    """What a call said, and how many attempts it took."""

    error: Exception | None
    attempts: int


def run(server: FaultServer, client: Client, operation: Operation) -> Told:
    """Make the call, and hold what it says against what is in the table."""
    if operation.before is not None:
        server.table.items["1"] = dict(operation.before)
    started = time.monotonic()
    error: Exception | None = None
    with use_client(client):
        try:
            operation.run()
        except Exception as raised:
            error = raised
    assert time.monotonic() - started < BOUND_S
    server.check()
    attempts = len(server.seen)
    if error is None and operation.name == "transaction":
        attempts -= 1  # the read that follows it
        assert server.seen[-1].request.operation == "GetItem"
    check_honesty(server, operation, error)
    return Told(error, attempts)


def check_honesty(server: FaultServer, operation: Operation, error: Exception | None) -> None:
    stored, writes = server.table.items.get("1"), server.table.writes
    if not operation.writes:
        assert writes == 0
        return
    assert writes <= 1 or operation.name == "put", "a write was applied twice"
    if error is None:
        assert writes >= 1, "success was told and nothing was written"
        assert stored is not None
        assert operation.leaves.items() <= stored.items()
    elif not isinstance(error, AmbiguousWriteError):
        assert writes == 0, "a refusal was told and something was written"
        assert stored == operation.before


def expect_once(kind: str, operation: Operation) -> tuple[type[Exception] | None, int]:
    """Tell what a call must say, and after how many attempts, when only its first attempt meets a fault."""
    if kind == "ok":
        return None, 1
    if kind == "refused":
        return ClientError, 1
    if kind in ("lost", "error500", "foreign500") and not operation.repeats:
        return AmbiguousWriteError, 1
    return None, 2


def expect_always(kind: str, operation: Operation, attempts: int) -> tuple[type[Exception], int]:
    """Tell the same for a fault that every attempt meets."""
    if kind == "refused":
        return ClientError, 1
    if operation.writes and kind in ("lost", "error500", "foreign500"):
        return AmbiguousWriteError, attempts if operation.repeats else 1
    return ClientError if kind in ("throttled", "error500") else TransportError, attempts


# --- the servers and clients, kept for all tests ----------------------------------------------------------------------


class Road(NamedTuple):
    """A server and a client of each transport and temper on the way to it."""

    server: FaultServer
    clients: dict[tuple[str, float], Client]
    secure: bool


PATIENT_S, QUICK_S = 20.0, 0.3


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: Any) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(autouse=True)
def _trust(bundle, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", bundle)


@pytest.fixture(scope="module")
def plain_road() -> Iterator[Road]:
    with open_road(None) as road:
        yield road


@pytest.fixture(scope="module")
def tls_road(authority: trustme.CA, bundle: str) -> Iterator[Road]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", bundle)
        with open_road(make_context(authority)) as road:
            yield road


@pytest.fixture(params=["plain", "tls"])
def road(request: pytest.FixtureRequest) -> Road:
    return request.getfixturevalue(f"{request.param}_road")


@contextlib.contextmanager
def open_road(tls: ssl.SSLContext | None) -> Iterator[Road]:
    with FaultServer(tls=tls) as server, contextlib.ExitStack() as stack:
        clients = {
            (transport, timeout_s): stack.enter_context(
                make_client(
                    table_name="t",
                    region="us-east-1",
                    endpoint=server.url,
                    transport=transport,
                    connect_timeout_s=timeout_s,
                    read_timeout_s=timeout_s,
                    max_attempts=3,
                )
            )
            for transport in TRANSPORTS
            for timeout_s in (PATIENT_S, QUICK_S)
        }
        for client in clients.values():
            assert client.transport  # made now, while the environment names the certificates
        yield Road(server, clients, tls is not None)


def make_context(authority: trustme.CA) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch):
    """Draw no delay between attempts."""
    monkeypatch.setattr(_policy, "urandom", bytes)


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


def pick(road: Road, transport: str, timeout_s: float = PATIENT_S) -> Client:
    client = road.clients[transport, timeout_s]
    client.quota.tokens = client.quota.CAPACITY
    return client


def by_name(fault: Fault) -> str:
    return fault.name


operations = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
plain_only = pytest.mark.parametrize("road", ["plain"], indirect=True)
tls_only = pytest.mark.parametrize("road", ["tls"], indirect=True)

# Where TLS changes nothing but the bytes, a read and a write show it.
_CASES = [
    (road, operation)
    for road in ("plain", "tls")
    for operation in OPERATIONS
    if road == "plain" or operation.name in ("read", "add")
]
roads_and_operations = pytest.mark.parametrize(
    ("road", "operation"), _CASES, indirect=["road"], ids=[f"{road}-{operation.name}" for road, operation in _CASES]
)


# --- one fault, then all is well --------------------------------------------------------------------------------------


@operations
@pytest.mark.parametrize("fault", [*FAULTS, *UNUSUAL], ids=by_name)
def test_one_fault(fault, operation, road, transport):
    if road.secure and transport == "botocore" and fault.name == "reset on accept":
        pytest.skip("urllib3 leaves the socket open where the reset comes before it begins with TLS")
    road.server.load([fault])
    told = run(road.server, pick(road, transport), operation)
    if fault.kind == "racing":
        # Whether a byte left before the reset came is for the kernel to say.
        assert told.error is None or (type(told.error), told.attempts) == (AmbiguousWriteError, 1)
    elif transport == "botocore" and fault in UNUSUAL:
        assert told == Told(None, 1)
        return
    else:
        assert (type(told.error) if told.error else None, told.attempts) == expect_once(fault.kind, operation), told
    if fault.breaks:
        check_not_reused(road.server, pick(road, transport))


def check_not_reused(server: FaultServer, client: Client) -> None:
    with use_client(client):
        get_entity(model="record", id="1")
    broken, after = server.seen[0], server.seen[1:]
    assert after
    assert all(seen.connection != broken.connection for seen in after)


@roads_and_operations
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.kind not in ("ok", "racing")], ids=by_name)
def test_fault_that_stays(fault, operation, road, transport):
    road.server.load(otherwise=fault)
    told = run(road.server, pick(road, transport), operation)
    assert (type(told.error), told.attempts) == expect_always(fault.kind, operation, 3), told


# --- silence ----------------------------------------------------------------------------------------------------------


@roads_and_operations
@pytest.mark.parametrize("fault", SILENT, ids=by_name)
def test_silence(fault, operation, road, transport):
    road.server.load([fault])
    told = run(road.server, pick(road, transport, QUICK_S), operation)
    if transport == "botocore" and fault.name == "slow drip":
        # Its read timeout counts from one piece to the next.
        assert told.error is None or not operation.repeats
    elif operation.repeats:
        assert_recovered(told)
    else:
        assert (type(told.error), told.attempts) == (AmbiguousWriteError, 1)


def assert_recovered(told: Told) -> None:
    """Another attempt brought the answer, or, where a loaded machine kept that silent too, all were made."""
    assert told.attempts >= 2
    assert told.error is None or told.attempts == 3


@plain_only
@operations
def test_silence_that_stays(operation, road, transport):
    road.server.load(otherwise=faults.BLACK_HOLE)
    told = run(road.server, pick(road, transport, QUICK_S), operation)
    assert (type(told.error), told.attempts) == expect_always("lost", operation, 3)


# --- the road to the server -------------------------------------------------------------------------------------------


@operations
def test_refused(operation, transport, monkeypatch):
    with FaultServer() as server, quick_client(server, transport) as client:
        server.refuse()
        told = run(server, client, operation)
        assert type(told.error) is TransportError
        assert "was not applied" in str(told.error) or not operation.writes
        assert "attempt 3 of 3" in str(told.error)
        # Somebody listens again before the next attempt.
        monkeypatch.setattr(_policy.time, "sleep", lambda _: None if server.listening else server.listen())
        told = run(server, client, operation)
        assert told == Told(None, 1)  # the one that got through


@tls_only
@operations
@pytest.mark.parametrize("fault", HANDSHAKES, ids=by_name)
def test_handshake(fault, operation, road, transport):
    road.server.load([fault])
    told = run(road.server, pick(road, transport, QUICK_S if "not answered" in fault.name else PATIENT_S), operation)
    if transport == "botocore" and not operation.repeats:
        # It does not tell a handshake that broke from a request that did.
        assert told.error is None or (type(told.error), told.attempts) == (AmbiguousWriteError, 1)
    elif fault.name.startswith("plain HTTP"):
        # Another attempt would meet the same, and `direct` knows.
        assert type(told.error) is TransportError if transport == "direct" else told.error is None
    else:
        assert_recovered(told)


@operations
def test_certificate_of_another_authority(operation, transport):
    with (
        FaultServer(tls=make_context(trustme.CA())) as server,
        quick_client(server, transport) as client,
    ):
        told = run(server, client, operation)
        assert type(told.error) is TransportError
        assert "attempt 1 of 3" in str(told.error)
        assert server.accepted == 1


def quick_client(server: FaultServer, transport: str, **options: Any) -> Client:
    return make_client(
        table_name="t",
        region="us-east-1",
        endpoint=server.url,
        transport=transport,
        max_attempts=3,
        **{"connect_timeout_s": PATIENT_S, "read_timeout_s": PATIENT_S, **options},
    )


# --- connections that went bad while idle -----------------------------------------------------------------------------

LATE = faults.write_json(200, {"Item": {**STORED, "n": {"N": "666"}}})

IDLE: dict[str, Callable[[faults.Peer], None]] = {
    "FIN": faults.Peer.close,
    "RST": faults.Peer.reset,
    "an answer nobody asked for": lambda peer: peer.send(LATE),
}


@operations
@pytest.mark.parametrize("name", IDLE)
def test_connection_that_went_bad_while_idle_is_not_used(name, operation, road, transport):
    go, done = threading.Event(), threading.Event()

    def play(peer: faults.Peer, carry_out: Any) -> bool:
        peer.send(faults.write_json(*carry_out()))
        go.wait(faults.PATIENCE_S)
        IDLE[name](peer)
        done.set()
        peer.wait_for_close()
        return False

    road.server.load([Fault(name, "ok", play)])
    client = pick(road, transport)
    with use_client(client):
        get_entity(model="record", id="0")
    go.set()
    assert done.wait(BOUND_S)
    told = run(road.server, client, operation)
    assert told == Told(None, 2)  # the first call's and one
    assert road.server.seen[0].connection != road.server.seen[1].connection


@operations
@pytest.mark.parametrize("fault", [RESET, COMMIT_THEN_RESET, faults.BLACK_HOLE], ids=by_name)
def test_connection_that_dies_under_the_second_request(fault, operation, road, transport):
    """A stale connection that looks alive: the request is out when it shows."""
    road.server.load([OK, fault])
    client = pick(road, transport, QUICK_S if fault is faults.BLACK_HOLE else PATIENT_S)
    with use_client(client):
        get_entity(model="record", id="0")
    told = run(road.server, client, operation)
    first, second, *others = road.server.seen
    if fault is not faults.BLACK_HOLE:
        assert first.connection == second.connection
    assert all(seen.connection != second.connection for seen in others)
    if not operation.repeats:
        assert isinstance(told.error, AmbiguousWriteError)
    elif fault is not faults.BLACK_HOLE:
        assert told.error is None
    else:
        assert len(others) >= 1


# --- a request that does not get out whole ----------------------------------------------------------------------------


def test_request_that_breaks_while_it_is_sent(transport):
    """The server takes a part of a large request and resets: nobody knows what it makes of that part."""
    with FaultServer(receive_buffer=4096) as server, quick_client(server, transport) as client, use_client(client):
        server.load(otherwise=next(fault for fault in FAULTS if fault.when == "bytes"))
        with pytest.raises(AmbiguousWriteError):
            put_entity(entity={**_entity(), "text": "x" * 390_000})
        assert len(server.seen) == 3
        with pytest.raises(AmbiguousWriteError):
            patch_entity(model="record", id="1", add={"n": 1}, set={"text": "x" * 390_000})
        assert len(server.seen) == 4
