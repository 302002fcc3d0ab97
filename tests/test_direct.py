"""The direct transport over real sockets: what it sends, how it fails, and what it survives."""

from __future__ import annotations

import json
import logging
import os
import ssl
import subprocess
import sys
import textwrap
import threading
import types
import uuid
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import botocore.auth
import botocore.credentials
import pytest
import trustme
from botocore.awsrequest import AWSRequest
from servers import PATIENCE_S, Peer, Received, Server, answer, answering, in_turn

import jaypie_dynamo
from jaypie_dynamo import ConfigurationError
from jaypie_dynamo._transport import _direct, _pool
from jaypie_dynamo._transport._attempt import AttemptError, Request
from jaypie_dynamo._transport._credentials import Credentials
from jaypie_dynamo._transport._direct import DirectTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCAL = Credentials("local", "local")
REAL = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLETOKEN")


@pytest.fixture
def make() -> Iterator[Callable[..., DirectTransport]]:
    made: list[DirectTransport] = []

    def make(server: Server | None = None, **given: Any) -> DirectTransport:
        if server is not None:
            given.setdefault("endpoint", server.url)
        made.append(DirectTransport(**{"region": "us-east-1", "credentials": LOCAL, **given}))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def request(body: bytes = b'{"TableName":"t"}', operation: str = "GetItem") -> Request:
    return Request(operation, body, {}, 4)


# What is sent.


def resign(received: Received, url: str, credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> str:
    """What botocore's signer says of a request as it arrived."""
    from datetime import datetime

    moment = datetime.strptime(received.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    if hasattr(botocore.auth, "get_current_datetime"):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    else:
        clock = types.SimpleNamespace(utcnow=lambda: moment, strptime=datetime.strptime)
        monkeypatch.setattr(botocore.auth, "datetime", types.SimpleNamespace(datetime=clock))
    names = ("host", "content-type", "x-amz-target")
    signed = AWSRequest("POST", url, {name: received.headers[name] for name in names}, received.body)
    keys = botocore.credentials.Credentials(credentials.access_key, credentials.secret_key, credentials.token)
    botocore.auth.SigV4Auth(keys, "dynamodb", "us-east-1").add_auth(signed)
    return str(signed.headers["Authorization"])


@pytest.mark.parametrize("credentials", [LOCAL, REAL], ids=["without token", "with token"])
@pytest.mark.parametrize("path", ["", "/", "/prefix/a%20b/"])
def test_the_request_is_dynamodbs_and_its_signature_botocores(
    credentials: Credentials,
    path: str,
    make: Callable[..., DirectTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server(answering(b'{"a":1}')) as server:
        url = server.url + path
        transport = make(endpoint=url, credentials=credentials)
        sent = request('{"TableName":"тест"}'.encode(), "PutItem")
        assert transport.send(sent).body == b'{"a":1}'
    (received,) = server.requests
    assert received.start == f"POST {path or '/'} HTTP/1.1"
    assert received.body == sent.body
    headers = received.headers
    assert resign(received, url, credentials, monkeypatch) == headers.pop("authorization")
    assert headers.pop("x-amz-security-token", None) == credentials.token
    assert abs(_direct_time(headers.pop("x-amz-date")) - time()) < 5
    assert headers == {
        "host": f"localhost:{server.port}",
        "user-agent": f"jaypie_dynamo/{jaypie_dynamo.__version__} lang/python#{sys.version.split()[0]}",
        "accept-encoding": "identity",
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.PutItem",
        "amz-sdk-invocation-id": sent.invocation_id,
        "amz-sdk-request": "attempt=1; max=4",
        "content-length": str(len(sent.body)),
    }


def _direct_time(date: str) -> float:
    from datetime import datetime, timezone

    return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


def test_attempts_of_a_call_share_their_identity(make: Callable[..., DirectTransport]) -> None:
    with Server(answering()) as server:
        transport, call = make(server), request()
        transport.send(call)
        call.attempt = 2
        transport.send(call)
        transport.send(request())
    first, second, other = (received.headers["amz-sdk-invocation-id"] for received in server.requests)
    assert first == second == call.invocation_id != other
    assert str(uuid.UUID(first)) == first
    assert uuid.UUID(first).version == 4
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert [received.headers["amz-sdk-request"] for received in server.requests] == [
        "attempt=1; max=4",
        "attempt=2; max=4",
        "attempt=1; max=4",
    ]


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({}, None),
        ({"_X_AMZN_TRACE_ID": "Root=1-a;Parent=b"}, None),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, None),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": ""}, None),
        (
            {"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd86;Parent=557a;Sampled=1"},
            "Root=1-5759e988-bd86;Parent=557a;Sampled=1",
        ),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": "Root=1 @%"}, "Root=1%20%40%25"),
        (
            {"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": "a=1 b\r\nX-Evil: é\x01;[x]{}\"',:+&_.~-"},
            "a=1%20b%0D%0AX-Evil:%20%C3%A9%01;[x]{}\"',:+&_.~-",
        ),
    ],
)
def test_the_trace_is_passed_on_as_botocore_does(
    environment: dict[str, str],
    header: str | None,
    make: Callable[..., DirectTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from botocore.handlers import add_recursion_detection_header

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Server(answering()) as server:
        make(server).send(request())
    assert server.requests[0].headers.get("x-amzn-trace-id") == header
    params: dict[str, dict[str, str]] = {"headers": {}}
    add_recursion_detection_header(params)
    assert params["headers"].get("X-Amzn-Trace-Id") == header


@pytest.mark.parametrize(
    ("status", "body"),
    [("200 OK", b"{}"), ("400 Bad Request", b'{"__type":"x#Y"}'), ("413 Payload Too Large", b""),
     ("503 Service Unavailable", b"<html>busy</html>"), ("301 Moved", b"")],
)  # fmt: skip
def test_every_complete_answer_is_a_response(status: str, body: bytes, make: Callable[..., DirectTransport]) -> None:
    with Server(lambda peer: peer.read_request() and peer.send(answer(body, status=status))) as server:  # type: ignore[arg-type, func-returns-value]
        response = make(server).send(request())
    assert (response.status, response.body) == (int(status[:3]), body)
    assert response.headers["x-amzn-requestid"] == "TEST"


# Connections.


def test_one_connection_serves_one_request_after_another(make: Callable[..., DirectTransport]) -> None:
    with Server(answering()) as server:
        transport = make(server)
        for _ in range(5):
            transport.send(request())
    assert (server.accepted, len(server.requests)) == (1, 5)


def test_warming_up_opens_the_connection_and_derives_the_key(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answering()) as server:
        transport = make(server)
        transport.warm_up()
        transport.warm_up()
        monkeypatch.setattr(_direct, "derive_key", lambda *_, **__: pytest.fail("derived again"))
        monkeypatch.setattr(_direct, "open_socket", lambda *_, **__: pytest.fail("opened again"))
        transport.send(request())
    assert server.accepted == 1
    assert len(server.requests) == 1


def test_a_server_that_closes_after_its_answer_gets_a_new_connection(make: Callable[..., DirectTransport]) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer(headers=["Connection: close"]))
        peer.wait_for_close()

    with Server(script) as server:
        transport = make(server)
        transport.send(request())
        transport.send(request())
    assert server.accepted == 2


@pytest.mark.parametrize("last_act", [lambda _: None, Peer.reset], ids=["FIN", "RST"])
def test_a_connection_that_died_while_idle_is_replaced_unnoticed(
    last_act: Callable[[Peer], None], make: Callable[..., DirectTransport]
) -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer())
        last_act(peer)
        peer.connection.close()
        gone.set()

    with Server(in_turn(script, answering())) as server:
        transport = make(server)
        transport.send(request())
        assert gone.wait(PATIENCE_S)
        (idle,) = transport._pool._idle
        while idle.is_fresh():  # until the packet is here
            pass
        assert transport.send(request()).status == 200
    assert server.accepted == 2


def test_an_idle_connection_that_dies_under_the_request_is_reported_as_sent(
    make: Callable[..., DirectTransport],
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer())
        peer.connection.recv(1)  # the next request comes, and nobody is there any more

    with Server(in_turn(script, answering())) as server:
        transport = make(server)
        transport.send(request())
        with pytest.raises(AttemptError) as caught:
            transport.send(request())
        assert (caught.value.sent, caught.value.retryable) == (True, True)
        assert transport.send(request()).status == 200
    assert server.accepted == 2


def test_a_connection_that_was_idle_too_long_is_not_trusted(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answering()) as server:
        transport = make(server)
        transport.send(request())
        monkeypatch.setattr(_pool, "time", lambda: time() + _direct._IDLE_LIMIT_S + 1)
        transport.send(request())
    assert server.accepted == 2


@pytest.mark.parametrize(
    "script",
    [
        lambda peer: peer.read_request(),
        lambda peer: peer.read_request() and peer.send(b"HTTP/1.1 200 OK\r\n\r\n"),
        lambda peer: peer.read_request() and peer.send(answer() + b"x"),
    ],
)
def test_after_a_failure_the_next_attempt_starts_afresh(
    script: Callable[[Peer], None], make: Callable[..., DirectTransport]
) -> None:
    with Server(in_turn(script, answering(b"fresh"))) as server:
        transport = make(server, max_connections=1)
        with pytest.raises(AttemptError) as caught:
            transport.send(request())
        assert caught.value.sent
        assert transport.send(request()).body == b"fresh"


def test_an_interrupted_attempt_leaves_no_half_read_connection(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jaypie_dynamo._transport import _http

    with Server(answering(b"1", b"2")) as server:
        transport = make(server, max_connections=1)
        read = _http.read_response

        def interrupted(*_: Any, **__: Any) -> Any:
            monkeypatch.setattr(_http, "read_response", read)
            raise KeyboardInterrupt

        monkeypatch.setattr(_http, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transport.send(request())
        assert transport.send(request()).body == b"1"
    assert server.accepted == 2


def test_closing_ends_every_connection_and_forbids_none(make: Callable[..., DirectTransport]) -> None:
    with Server(answering()) as server:
        transport = make(server)
        transport.send(request())
        transport.close()
        transport.close()
        while server._open:
            pass
        transport.send(request())
    assert server.accepted == 2


# Time.


def test_no_listener_no_byte(make: Callable[..., DirectTransport]) -> None:
    with Server(answering()) as server:
        pass
    with pytest.raises(AttemptError, match="Cannot connect") as caught:
        make(server).send(request())
    assert (caught.value.sent, caught.value.retryable) == (False, True)


@pytest.mark.parametrize(
    ("given", "timeout_s"),
    [({"read_timeout_s": 0.15}, None), ({"read_timeout_s": 0.15}, 5), ({"read_timeout_s": 5}, 0.15)],
)
def test_silence_ends_with_the_shorter_limit(
    given: dict[str, float], timeout_s: float | None, make: Callable[..., DirectTransport]
) -> None:
    with Server(Peer.wait_for_close) as server:
        started = monotonic()
        with pytest.raises(AttemptError, match="in time") as caught:
            make(server, **given).send(request(), timeout_s)
        assert 0.1 < monotonic() - started < 1
    assert caught.value.sent


@pytest.mark.parametrize("timeout_s", [0, -1])
def test_without_time_nothing_is_sent(timeout_s: float, make: Callable[..., DirectTransport]) -> None:
    with Server(answering()) as server:
        transport = make(server)
        with pytest.raises(AttemptError) as caught:
            transport.send(request(), timeout_s)
        assert not caught.value.sent
        transport.warm_up()
        with pytest.raises(AttemptError) as caught:
            transport.send(request(), timeout_s)
        assert not caught.value.sent
    assert server.received == b""


@pytest.mark.parametrize(("connect_timeout_s", "timeout_s"), [(0.15, None), (5, 0.15)])
def test_connecting_has_its_own_limit(
    connect_timeout_s: float,
    timeout_s: float | None,
    make: Callable[..., DirectTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadlines = []

    def open_socket(host: str, port: int, *, deadline: float) -> Any:  # noqa: ARG001
        deadlines.append(deadline - monotonic())
        raise AttemptError("no", sent=False)

    monkeypatch.setattr(_direct, "open_socket", open_socket)
    with pytest.raises(AttemptError):
        make(endpoint="http://localhost:1", connect_timeout_s=connect_timeout_s).send(request(), timeout_s)
    assert 0 < deadlines[0] <= 0.15


@pytest.mark.parametrize(
    ("given", "timeout_s"),
    [({"connect_timeout_s": 0.1, "read_timeout_s": 0.1}, None), ({}, 0.2)],
)
def test_the_wait_for_a_connection_has_a_limit(
    given: dict[str, float], timeout_s: float | None, make: Callable[..., DirectTransport]
) -> None:
    with Server(answering()) as server:
        transport = make(server, max_connections=1, **given)
        held = transport._pool.acquire(wait_s=0)
        assert held is None
        started = monotonic()
        with pytest.raises(AttemptError, match="All 1 connections are in use") as caught:
            transport.send(request(), timeout_s)
        assert 0.1 < monotonic() - started < 1
        assert not caught.value.sent
        transport._pool.release(None)
        assert transport.send(request()).status == 200


@pytest.mark.parametrize(
    ("date", "epoch_s"),
    [
        ("Wed, 07 Jan 2026 00:00:00 GMT", 1767744000),
        ("Tue, 29 Feb 2028 23:59:59 GMT", 1835481599),
    ],
)
def test_the_servers_clock_is_taken_over(
    date: str, epoch_s: float, make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_direct, "time", lambda: 1_000_000_000.0)
    with Server(answering()) as server:
        transport = make(server)
        assert transport.correct_clock(date) is True
        assert transport.correct_clock(date) is False
        monkeypatch.setattr(_direct, "time", lambda: 1_000_000_010.0)
        transport.send(request())
    assert _direct_time(server.requests[0].headers["x-amz-date"]) == epoch_s + 10


@pytest.mark.parametrize(
    "date",
    ["", "now", "Wed, 07 Jan 2026 00:00:00", "Wed, 07 Jan 2026 00:00:00 PST", "Wed, 32 Jan 2026 00:00:00 GMT",
     "Wed, 07 Foo 2026 00:00:00 GMT", "Wed, 07 Jan 2026 00:00 GMT", "Wed, 07 Jan 2026 25:00:00 GMT",
     "a b c d e:f:g GMT"],
)  # fmt: skip
def test_what_is_no_date_moves_no_clock(date: str, make: Callable[..., DirectTransport]) -> None:
    assert make(endpoint="http://localhost:1").correct_clock(date) is False


def test_a_few_seconds_are_no_skew(make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch) -> None:
    transport = make(endpoint="http://localhost:1")
    monkeypatch.setattr(_direct, "time", lambda: 1767744000.0 + 5)
    assert transport.correct_clock("Wed, 07 Jan 2026 00:00:00 GMT") is False
    monkeypatch.setattr(_direct, "time", lambda: 1767744000.0 + 6)
    assert transport.correct_clock("Wed, 07 Jan 2026 00:00:00 GMT") is True


def test_the_key_is_derived_once_a_day_and_for_each_credentials(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    days: list[str] = []
    derive_key = _direct.derive_key

    def counting(secret_key: str, *, day: str, region: str) -> Any:
        days.append(day)
        return derive_key(secret_key, day=day, region=region)

    monkeypatch.setattr(_direct, "derive_key", counting)
    now = 1767744000.0 - 2
    monkeypatch.setattr(_direct, "time", lambda: now)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with Server(answering()) as server:
        transport = make(server, credentials=None)
        for _ in range(4):
            transport.send(request())
            now += 1
        assert days == ["20260106", "20260107"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "B")
        transport.send(request())
        assert days == ["20260106", "20260107", "20260107"]
        assert transport.refresh_credentials() is False
        transport.send(request())
    assert len(days) == 4
    assert [received.headers["x-amz-date"][:8] for received in server.requests] == ["20260106"] * 2 + ["20260107"] * 4


# Settings.


def test_the_standard_endpoint_follows_the_region(make: Callable[..., DirectTransport]) -> None:
    transport = make(region="cn-north-1")
    assert transport._endpoint.host == "dynamodb.cn-north-1.amazonaws.com.cn"
    assert transport._endpoint.secure
    assert transport.name == "direct"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"region": "us-iso-east-1"}, "us-iso-east-1"),
        ({"region": "us-east-1\r\nX: y"}, "is not an AWS region"),
        ({"region": ""}, "is not an AWS region"),
        ({"endpoint": "localhost:8000"}, "must start with http"),
        ({"endpoint": "http://example.com", "credentials": REAL}, "allow_insecure"),
    ],
)
def test_bad_settings_are_refused_at_once(
    given: dict[str, Any], says: str, make: Callable[..., DirectTransport]
) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        make(**given)
    assert REAL.secret_key not in str(caught.value)


def test_a_bundle_that_is_not_there_is_refused_at_once(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such/bundle")
    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE names /no/such/bundle"):
        make()
    make(endpoint="http://localhost:1")


@pytest.mark.parametrize(
    ("host", "credentials", "allow_insecure", "allowed"),
    [
        ("localhost", REAL, False, True),
        ("127.0.0.9", REAL, False, True),
        ("[::1]", REAL, False, True),
        ("dynamodb-local", LOCAL, False, True),
        ("dynamodb-local", REAL, True, True),
        ("dynamodb-local", REAL, False, False),
        ("localhost.example.com", REAL, False, False),
    ],
)
def test_real_keys_do_not_go_to_another_machine_in_the_clear(
    host: str,
    credentials: Credentials,
    allow_insecure: bool,
    allowed: bool,
    make: Callable[..., DirectTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Found in the environment, so that only the first use can tell.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)

    def open_socket(host: str, port: int, *, deadline: float) -> Any:  # noqa: ARG001
        raise AttemptError(f"asked for {host}", sent=False)

    monkeypatch.setattr(_direct, "open_socket", open_socket)
    transport = make(endpoint=f"http://{host}:8000", credentials=None, allow_insecure=allow_insecure)
    for use in (lambda: transport.send(request()), transport.warm_up):
        with pytest.raises(AttemptError if allowed else ConfigurationError):
            use()


def test_nothing_that_is_shown_or_logged_holds_a_secret(
    make: Callable[..., DirectTransport], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(in_turn(answering(), Peer.reset)) as server:
        transport = make(server, credentials=REAL)
        transport.send(request())
        transport.close()
        with pytest.raises(AttemptError) as caught:
            transport.send(request())
    for text in (repr(transport), str(transport), caplog.text, repr(caught.value), str(caught.value.__cause__)):
        for secret in (REAL.access_key, REAL.secret_key, REAL.token, "Signature="):
            assert str(secret) not in text


# Threads, forks, snapshots, exits.


def echo(peer: Peer) -> None:
    while received := peer.read_request():
        peer.send(answer(received.body))


@pytest.mark.parametrize("most", [4, 50])
def test_threads_never_read_each_others_answers(most: int, make: Callable[..., DirectTransport]) -> None:
    wrong: list[Any] = []

    def work(transport: DirectTransport, number: int) -> None:
        try:
            for turn in range(60):
                body = f"{number}:{turn}:".encode() * (1 + turn % 40 * 100)
                if transport.send(request(body)).body != body:
                    wrong.append((number, turn))
        except BaseException as error:
            wrong.append(error)

    with Server(echo) as server:
        transport = make(server, max_connections=most, read_timeout_s=20)
        threads = [threading.Thread(target=work, args=(transport, number)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not wrong
        assert server.most_open <= min(most, 32)
        assert len(server.requests) == 32 * 60
        transport.close()
        while server._open:
            pass


pytestmark_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked child; 0 where it returns something true."""
    process = os.fork()
    if not process:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytestmark_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_parent_and_child_of_a_fork_go_on_apart(make: Callable[..., DirectTransport]) -> None:
    with Server(echo) as server:
        transport = make(server)
        assert transport.send(request(b"before")).body == b"before"
        pool = transport._pool  # held, as by a thread that is sending
        (inherited,) = pool._idle

        def work() -> bool:
            spent = inherited._socket.fileno() == -1
            return spent and [transport.send(request(b"child")).body for _ in range(3)] == [b"child"] * 3

        assert in_child(work) == 0
        assert server.accepted == 2
        assert [transport.send(request(b"parent")).body for _ in range(3)] == [b"parent"] * 3
        assert server.accepted == 2, "the child has closed the parent's connection"


@pytestmark_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_other_threads_are_at_work_leaves_no_lock_behind(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/no/such/file")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file")
    with Server(echo) as server:
        transport = make(server, credentials=None)
        with pytest.raises(AttemptError, match="Cannot connect"):
            transport.send(request())
        source: Any = transport._source

        def work() -> bool:
            os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local")
            done = transport.send(request(b"x")).body == b"x"
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                del os.environ[name]
            try:
                transport.send(request(), 1)
            except AttemptError as error:
                return done and "Cannot connect" in str(error)
            return False

        with transport._pool._lock, source._lock, source._chosen._lock:
            assert in_child(work) == 0


@pytestmark_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_connection_in_use_at_the_fork_stays_the_parents(make: Callable[..., DirectTransport]) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        received = peer.read_request()
        arrived.set()
        go_on.wait(PATIENCE_S)
        assert received
        peer.send(answer(received.body))

    with Server(in_turn(script, echo)) as server:
        transport = make(server, max_connections=1)
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.append(transport.send(request(b"parent")).body))
        thread.start()
        assert arrived.wait(PATIENCE_S)
        assert in_child(lambda: transport.send(request(b"child")).body == b"child") == 0
        go_on.set()
        thread.join(PATIENCE_S)
        assert got == [b"parent"]


class SnapshotHooks(types.ModuleType):
    """Stands in for the module that Lambda's runtime brings along."""

    def __init__(self) -> None:
        super().__init__("snapshot_restore_py")
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        self.register_before_snapshot = self.before.append
        self.register_after_restore = self.after.append


def test_a_snapshot_takes_no_socket_along_and_a_restore_forgets(
    make: Callable[..., DirectTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = SnapshotHooks()
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", hooks)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    _direct._register_snapshot_hooks()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with Server(answering()) as server:
        transport = make(server, credentials=None)
        transport.send(request())
        transport.correct_clock("Wed, 07 Jan 2026 00:00:00 GMT")
        (before,), (after,) = hooks.before, hooks.after
        before()
        while server._open:
            pass
        chosen: Any = transport._source
        assert chosen._last is not None
        after()
        assert chosen._last is None
        assert transport._signing[2] is None
        transport.send(request())
        assert abs(_direct_time(server.requests[1].headers["x-amz-date"]) - time()) < 5
    assert server.accepted == 2


@pytest.mark.parametrize("kind", ["on-demand", "provisioned-concurrency", None])
def test_without_snapstart_no_hook_is_looked_for(kind: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = SnapshotHooks()
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", hooks)
    if kind is not None:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    _direct._register_snapshot_hooks()
    assert hooks.before == hooks.after == []


def test_snapstart_without_the_module_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    _direct._register_snapshot_hooks()


@pytest.fixture
def secure_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    with Server(answering(), tls=context) as server:
        yield server


def run(code: str, server: Server, *, first: str = "") -> subprocess.CompletedProcess[str]:
    prelude = f"""
        {first}
        import sys
        from jaypie_dynamo._transport._attempt import Request
        from jaypie_dynamo._transport._credentials import Credentials
        from jaypie_dynamo._transport._direct import DirectTransport
        def make():
            return DirectTransport(region="us-east-1", endpoint={server.url!r}, credentials=Credentials("a", "b"))
        def send(transport):
            return transport.send(Request("PutItem", b"x" * 1000, {{}}, 4)).body
    """
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(prelude) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "code",
    [
        "transport = make(); send(transport)",
        "transport = make(); send(transport); del transport; import gc; gc.collect()",
        "transport = make(); send(transport); transport.close()",
        "transport = make(); send(transport); transport.itself = transport",
        "transport = make(); send(transport); sys.keep = transport",
        """
        import threading
        transport = make()
        send(transport)
        threading.Thread(target=threading.Event().wait, args=(30,), daemon=True).start()
        """,
    ],
)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_no_end_leaves_a_socket_behind(code: str, secure: bool, request: pytest.FixtureRequest) -> None:
    if secure:
        server = request.getfixturevalue("secure_server")
        done = run(code, server)
    else:
        with Server(answering()) as server:
            done = run(code, server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(server.requests) == 1


HEAVY = {
    "asyncio", "botocore", "boto3", "dataclasses", "datetime", "email", "encodings.idna", "hashlib", "hmac", "http",
    "http.client", "inspect", "ipaddress", "json", "pathlib", "ssl", "typing", "urllib", "urllib3", "uuid",
}  # fmt: skip


def loaded(code: str, server: Server) -> set[str]:
    """What a process has loaded at its end that it had not at its start."""
    done = run(f"{code}\nprint(*(set(sys.modules) - before))", server, first="import sys; before = set(sys.modules)")
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_the_first_request_loads_nothing_heavy() -> None:
    with Server(answering()) as server:
        names = loaded("send(make())", server)
    assert "jaypie_dynamo._transport._direct" in names
    assert "socket" in names
    assert not names & HEAVY


def test_the_first_request_over_tls_loads_ssl_besides(secure_server: Server) -> None:
    names = loaded("send(make())", secure_server)
    assert names & HEAVY == {"ssl"}


# A real DynamoDB.


def test_dynamodb_local_understands_us(dynamodb_local_endpoint: str, make: Callable[..., DirectTransport]) -> None:
    transport = make(endpoint=dynamodb_local_endpoint)
    table = f"direct-{uuid.uuid4().hex}"

    def call(operation: str, **params: Any) -> Any:
        response = transport.send(request(json.dumps(params).encode(), operation))
        assert response.status == 200, response.body
        return json.loads(response.body)

    call(
        "CreateTable",
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "ключ"}, "text": {"S": "x" * 300_000}}
    call("PutItem", TableName=table, Item=item)
    assert call("GetItem", TableName=table, Key={"id": item["id"]})["Item"] == item
    response = transport.send(request(b'{"TableName":"no-such-table"}', "DescribeTable"))
    assert response.status == 400
    assert b"ResourceNotFoundException" in response.body
    call("DeleteTable", TableName=table)
