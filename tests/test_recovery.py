"""Credentials that rotate, clocks that drift, processes that fork: real requests to a server that checks signatures.

The server refuses as DynamoDB does: an unknown key, an expired token, a time more than 15 minutes off, a signature that
is not right. A refused write was not carried out, so even an ADD goes on after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from faults import COMMIT_THEN_RESET, Fault, FaultServer, Peer, Request, refusal, write_answer, write_json

import jaypie_dynamo
from jaypie_dynamo import (
    AmbiguousWriteError,
    ConfigurationError,
    get_entity,
    make_client,
    patch_entity,
    put_entity,
    use_client,
)
from jaypie_dynamo._transport import _policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
TOLERANCE_S = 15 * 60

HOST = "dynamodb.test"
SCOPE = "us-east-1/dynamodb/aws4_request"


class Keys:
    """One set of credentials, made from a name."""

    def __init__(self, name: str) -> None:
        self.access_key = f"ASIA{name.upper()}"
        self.secret_key = f"secret of {name}".replace(" ", "-")
        self.token = f"token-of-{name}"

    def as_json(self, *, expires_in_s: float = 6 * 3600) -> dict[str, Any]:
        expiration = datetime.now(timezone.utc) + timedelta(seconds=expires_in_s)
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("AWS_ACCESS_KEY_ID", self.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", self.secret_key)
        patch.setenv("AWS_SESSION_TOKEN", self.token)


OLD, NEW = Keys("old"), Keys("new")


class Guard:
    """Decides, before anything is carried out, whether a request may pass."""

    def __init__(self, server: FaultServer) -> None:
        self.valid = {OLD.access_key: OLD}
        self.expired: set[str] = set()
        self.offset_s = 0.0
        self.tells_date = True
        self.when_refused: Callable[[], None] = lambda: None
        self.refused: list[str] = []
        self._server = server
        server.load(otherwise=Fault("guard", "ok", self._play, breaks=False))

    def expire(self, old: Keys, new: Keys) -> None:
        self.expired.add(old.access_key)
        self.valid = {new.access_key: new}

    def _play(self, peer: Peer, carry_out: Callable[[], tuple[int, dict[str, Any]]]) -> bool:
        request = self._server.seen[-1].request
        assert request is not None
        now = datetime.now(timezone.utc) + timedelta(seconds=self.offset_s)
        code = self._find_fault(request, now)
        if code is not None:
            self.refused.append(code)
            self.when_refused()
        status, answer = carry_out() if code is None else refusal(code, "as DynamoDB would say")
        date = [f"Date: {format_datetime(now, usegmt=True)}"] if self.tells_date else []
        peer.send(write_json(status, answer, *date))
        return True

    def _find_fault(self, request: Request, now: datetime) -> str | None:
        fields = dict(part.split("=", 1) for part in request.headers["authorization"].split(" ", 1)[1].split(", "))
        access_key, day, scope = fields["Credential"].split("/", 2)
        assert scope == SCOPE
        if access_key in self.expired:
            return "ExpiredTokenException"
        keys = self.valid.get(access_key)
        if keys is None or request.headers.get("x-amz-security-token") != keys.token:
            return "UnrecognizedClientException"
        date = request.headers["x-amz-date"]
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs((signed_at - now).total_seconds()) > TOLERANCE_S or day != date[:8]:
            return "InvalidSignatureException"
        if sign(request, fields["SignedHeaders"], day=day, secret_key=keys.secret_key) != fields["Signature"]:
            return "InvalidSignatureException"
        return None


def sign(request: Request, signed: str, *, day: str, secret_key: str) -> str:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    headers = "".join(f"{name}:{request.headers[name]}\n" for name in signed.split(";"))
    canonical = f"POST\n/\n\n{headers}\n{signed}\n{hashlib.sha256(request.body).hexdigest()}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{day}/{SCOPE}\n{digest}"
    key = f"AWS4{secret_key}".encode()
    for step in (day, *SCOPE.split("/"), text):
        key = hmac.new(key, step.encode(), "sha256").digest()
    return key.hex()


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as made:
        yield made


@pytest.fixture
def guard(server, monkeypatch) -> Guard:
    """The guard, behind a host name that is not this machine's: there the whole chain of credentials counts."""
    resolve = socket.getaddrinfo

    def lead_here(host: Any, *others: Any, **options: Any) -> Any:
        is_ours = host in (HOST, HOST.encode())
        return resolve("127.0.0.1" if is_ours else host, *others, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lead_here)
    monkeypatch.setattr(_policy, "urandom", bytes)
    return Guard(server)


@pytest.fixture(params=["direct", "botocore"])
def transport(request):
    return request.param


@contextlib.contextmanager
def connected(server: FaultServer, transport: str, **options: Any) -> Iterator[Any]:
    endpoint = f"http://{HOST}:{server.port}"
    client = make_client(
        table_name="t",
        region="us-east-1",
        endpoint=endpoint,
        transport=transport,
        allow_insecure=True,
        read_timeout_s=30,
        **options,
    )
    with client, use_client(client):
        yield client


def store_counter(server: FaultServer) -> None:
    server.table.items["1"] = {
        "model": {"S": "record"},
        "id": {"S": "1"},
        "scope": {"S": "@"},
        "indexScope": {"S": "@#record"},
        "n": {"N": "0"},
    }


def add_one() -> Any:
    return patch_entity(model="record", id="1", add={"n": 1})


def counted(server: FaultServer) -> str:
    return str(server.table.items["1"]["n"]["N"])


CALLS: dict[str, Callable[[], Any]] = {
    "read": lambda: get_entity(model="record", id="1"),
    "put": lambda: put_entity(entity={"model": "record", "id": "1", "scope": "@", "n": 1}),
    "add": add_one,
    "idempotent add": lambda: patch_entity(model="record", id="1", add={"n": 1}, idempotent=True),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift_s", [20 * 60, -20 * 60, 3 * 24 * 3600], ids=["behind", "ahead", "frozen for days"])
@calls
def test_clock_that_drifted_is_corrected_by_the_answer(call, drift_s, guard, server, monkeypatch):
    OLD.enter(monkeypatch)
    store_counter(server)
    guard.offset_s = drift_s
    with connected(server, "direct"):
        call()
        assert guard.refused == ["InvalidSignatureException"]
        assert [seen.request.headers["amz-sdk-request"] for seen in server.seen[:2]] == [
            "attempt=1; max=4",
            "attempt=2; max=5",
        ]
        assert counted(server) == ("0" if call is CALLS["read"] else "1")
        # What was learned holds for the next call, until the clock is set right.
        call()
        assert len(guard.refused) == 1
        guard.offset_s = 0
        call()
        assert len(guard.refused) == 2


def test_botocore_offers_no_way_to_correct_its_clock(guard, server, monkeypatch):
    OLD.enter(monkeypatch)
    store_counter(server)
    guard.offset_s = 20 * 60
    with connected(server, "botocore"), pytest.raises(ClientError, match="InvalidSignatureException"):
        add_one()
    assert guard.refused == ["InvalidSignatureException"]
    assert counted(server) == "0"


@pytest.mark.parametrize("drift_s", [TOLERANCE_S - 60, -TOLERANCE_S + 60])
def test_clock_that_is_off_within_tolerance_needs_no_correction(drift_s, guard, server, transport, monkeypatch):
    OLD.enter(monkeypatch)
    store_counter(server)
    guard.offset_s = drift_s
    with connected(server, transport):
        add_one()
    assert guard.refused == []


def test_refusal_that_tells_no_time_is_final(guard, server, monkeypatch):
    OLD.enter(monkeypatch)
    guard.offset_s = 20 * 60
    guard.tells_date = False
    with connected(server, "direct"), pytest.raises(ClientError, match="InvalidSignatureException"):
        add_one()
    assert len(guard.refused) == 1


def test_wrong_secret_is_told_at_once(guard, server, transport, monkeypatch):
    OLD.enter(monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mistyped")
    with connected(server, transport), pytest.raises(ClientError, match="InvalidSignatureException"):
        add_one()
    assert len(guard.refused) == 1


def test_doubt_outlives_a_clock_that_drifts(guard, server, monkeypatch):
    """The first attempt was carried out and its answer lost; that the next one is signed too late changes nothing."""
    OLD.enter(monkeypatch)
    guard.offset_s, guard.tells_date = 20 * 60, False
    server.then([COMMIT_THEN_RESET], otherwise=server.otherwise)
    with connected(server, "direct"), pytest.raises(AmbiguousWriteError):
        CALLS["put"]()
    assert server.table.writes == 1


# --- credentials ------------------------------------------------------------------------------------------------------


@calls
def test_environment_that_changes_under_a_call(call, guard, server, transport, monkeypatch):
    OLD.enter(monkeypatch)
    store_counter(server)
    guard.expire(OLD, NEW)
    guard.when_refused = lambda: NEW.enter(monkeypatch)
    with connected(server, transport):
        call()
        assert guard.refused == ["ExpiredTokenException"]
        assert counted(server) == ("0" if call is CALLS["read"] else "1")
        call()
        assert len(guard.refused) == 1


def test_environment_that_changed_between_calls(guard, server, transport, monkeypatch):
    OLD.enter(monkeypatch)
    store_counter(server)
    with connected(server, transport):
        add_one()
        guard.expire(OLD, NEW)
        NEW.enter(monkeypatch)
        add_one()
    assert counted(server) == "2"
    # botocore keeps what it found in the environment until it is refused.
    assert len(guard.refused) == (transport == "botocore")


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_credentials_that_stay_refused(code, guard, server, transport, monkeypatch):
    OLD.enter(monkeypatch)
    store_counter(server)
    if code == "ExpiredTokenException":
        guard.expire(OLD, NEW)
    else:
        guard.valid = {}
    with (
        connected(server, transport),
        pytest.raises(ConfigurationError, match=f"does not accept the credentials .{code}"),
    ):
        add_one()
    assert set(guard.refused) == {code}
    assert len(guard.refused) <= 2
    assert counted(server) == "0"


def test_credentials_passed_are_what_they_are(guard, server, transport):
    guard.expire(OLD, NEW)
    given = (OLD.access_key, OLD.secret_key, OLD.token)
    with connected(server, transport, credentials=given), pytest.raises(ConfigurationError):
        add_one()
    assert guard.refused == ["ExpiredTokenException"]


class Endpoint:
    """What ECS, EKS and Lambda SnapStart run beside a function: a server that hands out credentials."""

    def __init__(self, server: FaultServer) -> None:
        self.answer = OLD.as_json()
        self.asked = 0
        server.load(otherwise=Fault("credentials", "ok", self._play))

    def _play(self, peer: Peer, _: Any) -> bool:
        self.asked += 1
        peer.send(write_answer(200, json.dumps(self.answer).encode(), "Connection: close"))
        peer.close()
        return False


@pytest.fixture(params=["nothing before it", "an empty profile before it"])
def endpoint(request, tmp_path, monkeypatch) -> Iterator[Endpoint]:
    """Read by our own reader where nothing else may come first, else by botocore's."""
    if request.param == "nothing before it":
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "absent"))
        monkeypatch.setenv("HOME", str(tmp_path))
    with FaultServer() as made:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{made.url}/credentials")
        yield Endpoint(made)


@calls
def test_container_endpoint_that_changes_its_answer(call, endpoint, guard, server, transport):
    store_counter(server)
    with connected(server, transport):
        call()
        assert endpoint.asked == 1
        guard.expire(OLD, NEW)
        endpoint.answer = NEW.as_json()
        call()
        call()
    assert guard.refused == ["ExpiredTokenException"]
    assert endpoint.asked == 2
    assert counted(server) in (("0",) if call is CALLS["read"] else ("1",) if call is CALLS["put"] else ("3",))


def test_container_endpoint_is_asked_again_before_its_keys_expire(endpoint, guard, server, transport):
    store_counter(server)
    endpoint.answer = OLD.as_json(expires_in_s=30)
    with connected(server, transport):
        add_one()
        endpoint.answer = NEW.as_json()
        guard.expire(OLD, NEW)
        add_one()
    # Keys this near to their end are renewed ahead; some readers leave themselves a pause in between.
    assert len(guard.refused) <= 1
    assert counted(server) == "2"


def test_thawed_function_mends_clock_and_credentials(endpoint, guard, server):
    """After hours in the freezer: the clock is behind, and the token the endpoint gave has run out."""
    store_counter(server)
    with connected(server, "direct"):
        add_one()
        guard.expire(OLD, NEW)
        endpoint.answer = NEW.as_json()
        guard.offset_s = 5 * 3600
        add_one()
    assert sorted(guard.refused) == ["ExpiredTokenException", "InvalidSignatureException"]
    assert counted(server) == "2"


@pytest.fixture
def process_output(tmp_path, monkeypatch) -> Path:
    """A source that only botocore knows: a process that prints credentials with the time of their end."""
    output = tmp_path / "credentials.json"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {output}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    return output


def write_credentials(output: Path, keys: Keys, *, expires_in_s: float) -> None:
    told = keys.as_json(expires_in_s=expires_in_s)
    output.write_text(json.dumps({"Version": 1, "SessionToken": told.pop("Token"), **told}))


def test_botocores_refreshing_source_is_followed(process_output, guard, server, transport):
    store_counter(server)
    write_credentials(process_output, OLD, expires_in_s=300)  # botocore renews ten minutes before the end
    with connected(server, transport):
        add_one()
        guard.expire(OLD, NEW)
        write_credentials(process_output, NEW, expires_in_s=6 * 3600)
        add_one()
    assert guard.refused == []
    assert counted(server) == "2"


def test_source_that_was_renewed_too_early_for_botocore_to_know(process_output, guard, server, transport):
    store_counter(server)
    write_credentials(process_output, OLD, expires_in_s=6 * 3600)
    with connected(server, transport):
        add_one()
        guard.expire(OLD, NEW)
        write_credentials(process_output, NEW, expires_in_s=6 * 3600)
        add_one()
    assert guard.refused == ["ExpiredTokenException"]
    assert counted(server) == "2"


def test_client_of_an_owner_refreshes_by_itself(process_output, guard, server):
    import boto3

    store_counter(server)
    write_credentials(process_output, OLD, expires_in_s=300)
    owned = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=f"http://{HOST}:{server.port}")
    with make_client(table_name="t", client=owned) as client, use_client(client):
        add_one()
        guard.expire(OLD, NEW)
        write_credentials(process_output, NEW, expires_in_s=6 * 3600)
        add_one()
        assert guard.refused == []
        guard.expire(NEW, OLD)
        with pytest.raises(ConfigurationError, match="does not accept the credentials"):
            add_one()
    assert guard.refused == ["ExpiredTokenException"]
    assert counted(server) == "2"
    owned.close()


# --- processes --------------------------------------------------------------------------------------------------------

FORK = """
    import os, sys
    from jaypie_dynamo import init_client, patch_entity, put_entity, reset_client

    init_client(table_name="t", endpoint=sys.argv[1], transport=sys.argv[2], read_timeout_s=30)
    put_entity(entity={"model": "record", "id": "both", "scope": "@"})
    children = [os.fork()]
    if children[0]:
        children.append(os.fork())
    name = f"{len(children)}{bool(children[-1])}"
    put_entity(entity={"model": "record", "id": name, "scope": "@", "n": 0})
    for _ in range(40):
        patch_entity(model="record", id=name, add={"n": 1})
    reset_client()
    if children[-1]:
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    os._exit(0) if not children[-1] else None
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_processes_of_a_fork_share_no_connection(server, transport):
    server.load()
    environment = {**os.environ, "PYTHONPATH": str(Path(jaypie_dynamo.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(FORK), server.url, transport],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    server.check()
    names = {}
    for seen in server.seen:
        body = json.loads(seen.request.body)
        name = (body.get("Item") or body["Key"])["id"]["S"]
        names.setdefault(seen.connection, set()).add(name)
    assert sorted(map(sorted, names.values())) == [["1False"], ["2False"], ["2True", "both"]]
    assert {name: item["n"]["N"] for name, item in server.table.items.items() if name != "both"} == {
        "1False": "40",
        "2False": "40",
        "2True": "40",
    }
