"""The transport `botocore`, attempt by attempt, against a loopback server and on whatever botocore is installed."""

from __future__ import annotations

import copy
import gc
import hashlib
import hmac
import json
import logging
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime, timezone
from types import SimpleNamespace
from zlib import crc32

import boto3
import botocore.client
import botocore.credentials
import botocore.exceptions as known
import botocore.session
import pytest
import trustme
import urllib3
from botocore.config import Config
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws
from scripted import (
    BREAK_OFF,
    CLOSE,
    GARBAGE,
    RESET,
    STALL,
    Answer,
    ScriptedServer,
    answer_error,
    answer_json,
)

from jaypie_dynamo._errors import ConfigurationError, ValidationError
from jaypie_dynamo._transport._attempt import AttemptError, Request
from jaypie_dynamo._transport._botocore import BotocoreTransport

KEYS = SimpleNamespace(access_key="AKID", secret_key="SECRET", token=None)
MODES = ["legacy", "standard", "adaptive"]
OWNERS = ["botocore client", "boto3 client", "resource's client", "table's client"]
ITEMS = {"Items": [{"id": {"S": "1"}, "n": {"N": "7"}, "b": {"B": "AAE="}}], "Count": 1, "ScannedCount": 1}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_PROFILE", "AWS_RETRY_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


@pytest.fixture
def no_sleep(monkeypatch):
    def fail(seconds):
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(time, "sleep", fail)


@pytest.fixture
def serve():
    servers = []

    def start(*steps, **options):
        servers.append(ScriptedServer(*steps, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
        assert server.problems == []


@pytest.fixture(scope="module")
def sessions():
    # Shared, as each would read the service's model from disk again.
    return botocore.session.Session(), boto3.Session()


@pytest.fixture
def own(sessions):
    """Make clients as their owner would, and close them."""
    clients = []
    session, boto3_session = sessions

    def make(kind="boto3 client", *, url, mode="legacy", attempts=3, read_timeout=2, **extra):
        config = Config(
            retries={"mode": mode, "total_max_attempts": attempts},
            connect_timeout=1,
            read_timeout=read_timeout,
            **extra.pop("config", {}),
        )
        where = {"region_name": "eu-west-1", "endpoint_url": url, "config": config, **extra}
        keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "SECRET"}
        if kind == "botocore client":
            client = session.create_client("dynamodb", **keys, **where)
        elif kind == "boto3 client":
            client = boto3_session.client("dynamodb", **keys, **where)
        elif kind == "resource's client":
            client = boto3_session.resource("dynamodb", **keys, **where).meta.client
        else:
            client = boto3_session.resource("dynamodb", **keys, **where).Table("theirs").meta.client
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ours():
    """Make transports with a client of their own, and close them."""
    transports = []

    def make(**options):
        settings = {"region": "eu-west-1", "credentials": KEYS, "connect_timeout_s": 1, "read_timeout_s": 2}
        transports.append(BotocoreTransport(**{**settings, **options}))
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


def request_for(operation="Query", members=None, params=None):
    members = {"TableName": "ours", "Limit": 5} if members is None else members
    return Request(operation, json.dumps(members).encode(), {"TableName": "ours"} if params is None else params, 4)


def make_transport(kind, *, own, ours, url, **options):
    """A transport over a client of `kind`: an owner's, or one of our own."""
    if kind == "own":
        timeout = {"read_timeout_s": options["read_timeout"]} if "read_timeout" in options else {}
        return ours(endpoint=url, **timeout)
    return BotocoreTransport(client=own(url=url, mode=kind, **options))


# One attempt, whatever comes back

ANSWERS = {
    "success": answer_json(ITEMS),
    "empty": answer_json({}),
    "refusal": answer_error("ValidationException"),
    "condition": answer_error("ConditionalCheckFailedException", Item={"id": {"S": "1"}}),
    "throttled": answer_error("ProvisionedThroughputExceededException"),
    "throttled, another name": answer_error("ThrottlingException"),
    "cancelled": answer_error("TransactionCanceledException", CancellationReasons=[{"Code": "None"}]),
    "odd reasons": answer_error("TransactionCanceledException", CancellationReasons=7),
    "500": answer_error("InternalServerError", 500),
    "503": answer_error("ServiceUnavailable", 503),
    "429": Answer(429, b""),
    "redirect": Answer(307, b"", {"Location": "http://127.0.0.1:1/"}),
    "300": Answer(300, b"{}"),
    "html": Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    "500 without a body": Answer(500, b""),
    "400 not JSON": Answer(400, b"no \xff JSON"),
    "400 a list": Answer(400, b"[1]"),
    "400 type no text": Answer(400, b'{"__type":5}'),
    "200 not JSON": Answer(200, b"no \xff JSON"),
    "200 of another shape": Answer(200, b'{"Items":"x","Count":{}}'),
    "bad crc": Answer(200, b'{"Count":1}', {"x-amz-crc32": "1"}),
    "crc no number": Answer(200, b'{"Count":1}', {"x-amz-crc32": "x"}),
    "bad crc on an error": Answer(400, b"{}", {"x-amz-crc32": "1"}),
}


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("kind", ["own", *MODES])
def test_any_answer_is_returned_raw_after_one_request(kind, name, serve, own, ours):
    answer = ANSWERS[name]
    server = serve(answer, answer, answer)
    response = make_transport(kind, own=own, ours=ours, url=server.url).send(request_for())
    assert (response.status, response.body) == (answer.status, answer.body)
    expected = {name.lower(): value for name, value in answer.headers.items()}
    assert expected.items() <= response.headers.items()
    assert response.headers["content-length"] == str(len(answer.body))
    assert server.operations == ["Query"]


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize("failure", [RESET, CLOSE, BREAK_OFF, GARBAGE, STALL], ids=str)
@pytest.mark.parametrize("kind", ["own", *MODES])
def test_a_broken_answer_is_one_request_and_may_have_been_written(kind, failure, serve, own, ours):
    server = serve(failure, failure, failure)
    transport = make_transport(kind, own=own, ours=ours, url=server.url, read_timeout=0.2)
    with pytest.raises(AttemptError) as caught:
        transport.send(request_for("UpdateItem", {"TableName": "ours"}, {"TableName": "ours", "Key": {}}))
    assert caught.value.sent
    assert caught.value.retryable
    assert "UpdateItem" in str(caught.value)
    assert len(server.received) == 1


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize("kind", ["own", *MODES])
def test_a_refused_connection_sent_nothing(kind, own, ours):
    server = ScriptedServer()
    server.close()
    with pytest.raises(AttemptError) as caught:
        make_transport(kind, own=own, ours=ours, url=server.url).send(request_for())
    assert not caught.value.sent
    assert caught.value.retryable


@pytest.mark.usefixtures("no_sleep")
def test_a_refusing_proxy_sent_nothing(serve, own):
    closed, server = ScriptedServer(), serve()
    closed.close()
    client = own(url=server.url, config={"proxies": {"http": closed.url}})
    with pytest.raises(AttemptError) as caught:
        BotocoreTransport(client=client).send(request_for())
    assert not caught.value.sent
    assert server.received == []


URL = {"endpoint_url": "http://x"}
FAILURES = [
    (known.ConnectTimeoutError(**URL), False),
    (known.EndpointConnectionError(**URL), False),
    (known.ProxyConnectionError(proxy_url="http://p"), False),
    (known.ReadTimeoutError(**URL), True),
    (known.ConnectionClosedError(**URL), True),
    (known.HTTPClientError(error="?"), True),
    (known.ResponseStreamingError(error="?"), True),
    (known.IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
    (known.SSLError(endpoint_url="https://x", error=urllib3.exceptions.SSLError(ssl.SSLError(1, "bad mac"))), True),
    (OSError("from somebody's hook"), True),
    (RuntimeError("from somebody's hook"), True),
]


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize("kind", ["own", *MODES])
@pytest.mark.parametrize(("failure", "sent"), FAILURES, ids=lambda value: type(value).__name__)
def test_failures_on_the_road_say_whether_anything_was_sent(failure, sent, kind, serve, own, ours):
    transport = make_transport(kind, own=own, ours=ours, url=serve().url)
    attempts = []

    def fail(request, **_):
        attempts.append(request)
        raise failure

    transport.get_client().meta.events.register("before-send.dynamodb", fail)
    with pytest.raises(AttemptError) as caught:
        transport.send(request_for())
    assert caught.value.sent is sent
    assert caught.value.__cause__ is failure
    assert len(attempts) == 1


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def serve_tls(authority, host, serve):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return serve(tls=context)


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize("problem", ["unknown authority", "another host", "no such file", "no certificates"])
def test_an_endpoint_that_cannot_be_verified_is_not_tried_again(problem, authority, serve, own, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    (tmp_path / "empty.pem").write_text("nothing")
    verify = {
        "unknown authority": None,
        "another host": str(bundle),
        "no such file": str(tmp_path / "none.pem"),
        "no certificates": str(tmp_path / "empty.pem"),
    }
    server = serve_tls(authority, "example.org" if problem == "another host" else "127.0.0.1", serve)
    client = own(url=server.url, verify=verify[problem])
    with pytest.raises(AttemptError, match="AWS_CA_BUNDLE") as caught:
        BotocoreTransport(client=client).send(request_for())
    assert not caught.value.sent
    assert not caught.value.retryable
    assert server.received == []


def test_a_trusted_bundle_is_honoured(authority, serve, ours, tmp_path, monkeypatch):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    server = serve_tls(authority, "127.0.0.1", serve)
    assert ours(endpoint=server.url).send(request_for()).status == 200


# What goes out


def sign(received, secret="SECRET"):
    """Signature Version 4 of a received request, for comparison with the one it carries."""
    authorization = received.headers["authorization"]
    fields = dict(part.strip().split("=", 1) for part in authorization.partition(" ")[2].split(","))
    _, day, region, service, _ = fields["Credential"].split("/")
    headers = [f"{name}:{received.headers[name]}" for name in fields["SignedHeaders"].split(";")]
    payload = hashlib.sha256(received.body).hexdigest()
    canonical = "\n".join(["POST", "/", "", *headers, "", fields["SignedHeaders"], payload])
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", received.headers["x-amz-date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex(), fields["Signature"]


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize(
    "extra", [{}, {"request_min_compression_size_bytes": 1}, {"inject_host_prefix": True}], ids=str
)
def test_the_body_is_ours_and_signed(owner, extra, serve, own):
    server = serve()
    client = own(owner, url=server.url, config=extra)
    body = b'{"TableName":"ours","Item":{"id":{"S":"\xc3\xa9"}},  "odd spacing":1}'
    BotocoreTransport(client=client).send(Request("PutItem", body, {"TableName": "ours", "Item": {}}, 4))
    (received,) = server.received
    assert received.body == body
    assert received.headers["content-length"] == str(len(body))
    assert received.headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
    assert received.headers["content-type"] == "application/x-amz-json-1.0"
    assert "content-encoding" not in received.headers
    computed, carried = sign(received)
    assert computed == carried


@pytest.fixture(scope="module")
def echo():
    with ScriptedServer() as server:
        transport = BotocoreTransport(region="eu-west-1", endpoint=server.url, credentials=KEYS)
        yield server, transport
        transport.close()


@settings(max_examples=50, deadline=None)
@given(sent=st.binary(min_size=1, max_size=3000), back=st.binary(max_size=3000))
def test_any_bytes_travel_both_ways(echo, sent, back):
    server, transport = echo
    server.respond_with(lambda _: Answer(200, back))
    response = transport.send(Request("Query", sent, {"TableName": "ours"}, 4))
    assert response.body == back
    assert server.received[-1].body == sent
    computed, carried = sign(server.received[-1])
    assert computed == carried


def test_the_attempts_of_a_call_share_one_identity(serve, own):
    server = serve(answer_error("InternalServerError", 500))
    transport = BotocoreTransport(client=own(url=server.url))
    request = request_for()
    for request.attempt in (1, 2):
        transport.send(request)
    first, second = server.received
    assert first.headers["amz-sdk-invocation-id"] == second.headers["amz-sdk-invocation-id"] == request.invocation_id
    assert [one.headers["amz-sdk-request"] for one in (first, second)] == ["attempt=1; max=4", "attempt=2; max=4"]


@pytest.mark.parametrize("attach", ["before us", "after us"])
@pytest.mark.parametrize("event", ["before-call.dynamodb.Query", "before-call.dynamodb", "before-call"])
def test_the_owners_hooks_see_our_body_and_may_add_headers(event, attach, serve, own):
    server = serve()
    client = own(url=server.url)
    seen = []

    def hook(params, **_):
        seen.append(params["body"])
        params["headers"]["x-amz-meta-tenant"] = "seven"

    if attach == "before us":
        client.meta.events.register_first(event, hook)
    transport = BotocoreTransport(client=client)
    if attach == "after us":
        client.meta.events.register(event, hook)
    request = request_for()
    transport.send(request)
    assert seen == [request.body]
    assert server.received[0].headers["x-amz-meta-tenant"] == "seven"
    assert "x-amz-meta-tenant" in server.received[0].headers["authorization"]


def test_the_owners_hooks_see_the_whole_answer_and_what_they_make_of_it_is_taken(serve, own):
    secret = b"a longer text than the plain one"
    server = serve(Answer(200, secret, {"x-amz-crc32": str(crc32(secret))}))
    client = own(url=server.url)
    transport = BotocoreTransport(client=client)
    seen = []

    def decipher(response_dict, **_):
        seen.append(response_dict["body"])
        response_dict["body"] = b'{"Count":  1}'

    client.meta.events.register("before-parse.dynamodb.Query", decipher)
    response = transport.send(request_for())
    assert response.body == b'{"Count":  1}'
    assert response.headers.keys().isdisjoint({"x-amz-crc32", "content-length"})
    assert seen == [secret]


# The owner's calls are as without us

OWN_QUERY = {"TableName": "theirs", "Limit": 3}


def use_as_owner(client, server):
    """Make some calls as the owner; return everything that can be seen of them."""
    start = len(server.received)
    seen = [client.query(**OWN_QUERY)]
    try:
        client.get_item(TableName="theirs", Key={"id": "1"} if is_resource(client) else {"id": {"S": "1"}})
    except client.exceptions.ResourceNotFoundException as error:
        seen.append((type(error).__name__, error.response))
    seen.append(client.query(**OWN_QUERY))  # throttled twice
    return seen, [(one.operation, one.body) for one in server.received[start:]]


def is_resource(client):
    return client._resource if hasattr(client, "_resource") else False


USE_AS_OWNER = [
    answer_json(ITEMS),
    answer_error("ResourceNotFoundException"),
    answer_error("ThrottlingException"),
    answer_error("InternalServerError", 500),
    answer_json(ITEMS),
]


@pytest.fixture
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@pytest.mark.parametrize("owner", OWNERS)
def test_the_owner_sees_no_difference_before_between_and_after(owner, mode, serve, own, slept):
    alone = serve(*USE_AS_OWNER)
    twin = own(owner, url=alone.url, mode=mode)
    twin._resource = owner.startswith(("resource", "table"))
    expected = use_as_owner(twin, alone)
    assert [name for name, _ in expected[1]] == ["Query", "GetItem", "Query", "Query", "Query"]
    assert len(slept) == 2

    server = serve(*USE_AS_OWNER, *([answer_json(ITEMS), *USE_AS_OWNER, answer_error("ThrottlingException", 500)] * 2))
    client = own(owner, url=server.url, mode=mode)
    client._resource = twin._resource
    assert use_as_owner(client, server) == expected
    transport = BotocoreTransport(client=client)
    for _ in range(2):
        assert transport.send(request_for()).body == answer_json(ITEMS).body
        assert use_as_owner(client, server) == expected
        assert transport.send(request_for()).status == 500
    transport.close()
    assert len(slept) == 2 * 4
    server.steps = list(USE_AS_OWNER)
    assert use_as_owner(client, server) == expected


EVENTS = [
    "provide-client-params",
    "before-parameter-build",
    "before-call",
    "request-created",
    "before-sign",
    "before-send",
    "before-parse",
    "response-received",
    "needs-retry",
    "after-call",
]
NESTED = {
    "another operation": ("DescribeTable", {"TableName": "ours"}),
    "the same operation": ("Query", {"TableName": "theirs", "Limit": 3}),
    "the same parameters": ("Query", {"TableName": "ours"}),
}


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize("order", ["before us", "after us"])
@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("level", ["{}", "{}.dynamodb", "{}.dynamodb.Query"])
@pytest.mark.parametrize("event", EVENTS)
def test_a_call_of_the_owner_nested_in_ours_stays_theirs(event, level, nested, order, serve, own):
    operation, params = NESTED[nested]
    theirs = {"DescribeTable": {"Table": {"TableName": "ours"}}, "Query": ITEMS}[operation]
    throttled = []

    def respond(received):
        if received.body == request.body:
            return Answer(200, b'{"Count":  42}')
        if not throttled:
            throttled.append(received)
            return answer_error("ThrottlingException")
        return answer_json(theirs)

    server = serve()
    server.respond_with(respond)
    client = own(url=server.url)
    results = []

    def hook(**_):
        if not inside:
            inside.append(True)
            method = {"DescribeTable": client.describe_table, "Query": client.query}[operation]
            results.append(method(**params))

    if order == "before us":
        client.meta.events.register(level.format(event), hook)
    transport = BotocoreTransport(client=client)
    if order == "after us":
        client.meta.events.register(level.format(event), hook)
    inside = []
    request = request_for()
    response = transport.send(request)

    assert response.body == b'{"Count":  42}'
    (result,) = results
    assert result.pop("ResponseMetadata")["RetryAttempts"] == 1
    assert result.keys() == theirs.keys()
    assert sorted(one.body for one in server.received) == sorted([request.body, *[json.dumps(params).encode()] * 2])


def test_a_call_of_ours_nested_in_ours(serve, own):
    server = serve()
    # Two spaces, which no answer that was parsed and written again would have.
    server.respond_with(lambda received: Answer(200, b'{"Count":  %d}' % json.loads(received.body)["Limit"]))
    client = own(url=server.url)
    transport = BotocoreTransport(client=client)
    inner = []

    def hook(**_):
        if not inner:
            inner.append(None)
            inner[0] = transport.send(request_for(members={"TableName": "ours", "Limit": 2}))

    client.meta.events.register("before-send.dynamodb", hook)
    outer = transport.send(request_for(members={"TableName": "ours", "Limit": 1}))
    assert (outer.body, inner[0].body) == (b'{"Count":  1}', b'{"Count":  2}')
    assert len(server.received) == 2


@pytest.mark.parametrize("owner", OWNERS)
def test_threads_of_the_owner_and_ours_share_a_client(owner, serve, own):
    server = serve()

    def respond(received):
        limit = json.loads(received.body)["Limit"]
        if limit % 10 == 0:
            return answer_error("ValidationException", limit=limit)
        return answer_json({"Items": [{"n": {"N": str(limit)}}], "Count": limit})

    server.respond_with(respond)
    client = own(owner, url=server.url, config={"max_pool_connections": 8})
    transports = [BotocoreTransport(client=client) for _ in range(2)]
    start = threading.Barrier(8)

    def run_ours(worker):
        start.wait(10)
        for limit in range(worker * 100, worker * 100 + 30):
            response = transports[worker % 2].send(request_for(members={"TableName": "ours", "Limit": limit}))
            answer = json.loads(response.body)
            assert (response.status, answer.get("limit", answer.get("Count"))) == (200 if limit % 10 else 400, limit)

    def run_owner(worker):
        start.wait(10)
        for limit in range(worker * 100, worker * 100 + 30):
            if limit % 10:
                result = client.query(TableName="ours", Limit=limit)
                assert result["Count"] == limit
                assert (
                    [str(value) for value in result["Items"][0]["n"].values()] == [str(limit)]
                    if isinstance(result["Items"][0]["n"], dict)
                    else result["Items"] == [{"n": limit}]
                )
            else:
                with pytest.raises(known.ClientError, match="ValidationException"):
                    client.query(TableName="ours", Limit=limit)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit((run_ours, run_owner)[worker % 2], worker) for worker in range(8)]:
            future.result(30)
    assert len(server.received) == 8 * 30


def test_two_transports_register_once_and_close_apart(serve, own, caplog):
    server = serve()
    client = own(url=server.url)
    first, second = BotocoreTransport(client=client), BotocoreTransport(client=client)
    with caplog.at_level(logging.DEBUG, "botocore.hooks"):
        first.send(request_for())
    assert sum("_load_body" in record.getMessage() for record in caplog.records) == 1
    first.close()
    assert second.send(request_for()).status == 200
    second.close()
    assert client.query(**OWN_QUERY)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert first.send(request_for()).status == 200


def test_the_handlers_do_not_keep_a_transport_alive(serve, own):
    client = own(url=serve().url)
    transport = BotocoreTransport(client=client)
    transport.send(request_for())
    alive = weakref.ref(transport)
    del transport
    gc.collect()
    assert alive() is None


def test_the_callers_parameters_are_not_changed(serve, own):
    params = {"TableName": "ours", "Key": {"id": "x"}}
    client = own("resource's client", url=serve().url)
    BotocoreTransport(client=client).send(Request("DeleteItem", b"{}", params, 4))
    assert params == {"TableName": "ours", "Key": {"id": "x"}}


# Retries of any kind are stopped


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize("level", ["needs-retry", "needs-retry.dynamodb", "needs-retry.dynamodb.Query"])
@pytest.mark.parametrize("answer", ["success", "throttled"])
def test_a_retry_policy_of_the_owner_does_not_repeat_our_call(answer, level, serve, own):
    server = serve(ANSWERS[answer])
    client = own(url=server.url)
    asked = []

    def retry(attempts, **_):
        asked.append(attempts)
        return 0 if attempts < 4 else None

    client.meta.events.register_first(level, retry)
    response = BotocoreTransport(client=client).send(request_for())
    assert response.body == ANSWERS[answer].body
    assert len(server.received) == 1
    assert len(asked) == (answer == "success")
    client.query(**OWN_QUERY)
    assert len(server.received) == 5


def repeat(call):
    """Call again after an error, as a wrapper that retries does."""

    def wrapper(*args, **kwargs):
        try:
            return call(*args, **kwargs)
        except Exception:
            return call(*args, **kwargs)

    return wrapper


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize("answer", ["500", RESET])
@pytest.mark.parametrize("place", ["class", "method"])
def test_a_wrapper_that_repeats_calls_does_not_repeat_ours(place, answer, serve, own, monkeypatch):
    server = serve(ANSWERS.get(answer, answer))
    client = own(url=server.url)
    transport = BotocoreTransport(client=client)
    if place == "class":
        target = botocore.client.BaseClient
        monkeypatch.setattr(target, "_make_api_call", repeat(target._make_api_call))
    else:
        monkeypatch.setattr(client, "scan", repeat(client.scan))
    request = request_for("Scan")
    if answer == RESET:
        with pytest.raises(AttemptError) as caught:
            transport.send(request)
        assert caught.value.sent
    else:
        assert transport.send(request).status == 500
    assert [one.body for one in server.received] == [request.body]


@pytest.mark.usefixtures("no_sleep")
def test_our_throttled_calls_do_not_slow_an_adaptive_client(serve, own, monkeypatch):
    server = serve(*[ANSWERS["throttled"]] * 5)
    client = own(url=server.url, mode="adaptive")
    transport = BotocoreTransport(client=client)
    waits = []
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *_, **__: waits.append(1))
    for _ in range(5):
        assert transport.send(request_for()).status == 400
    transport.send(request_for())
    client.query(**OWN_QUERY)
    assert waits == []


def forget_handlers(client, event):
    """Bring the emitter into the state it is left in by a look-up that another thread began before we registered."""
    emitter = client.meta.events._emitter
    handlers = emitter._handlers.prefix_search(event)
    emitter._lookup_cache[event] = deque(
        handler for handler in handlers if "jaypie" not in getattr(handler, "__module__", "")
    )


LOSSES = {
    "success": ("provide-client-params", "before-call"),
    "throttled": ("provide-client-params", "before-call"),
}


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize("answer", ["success", "throttled", RESET])
@pytest.mark.parametrize("event", [*EVENTS, "none"])
def test_a_handler_that_is_not_called_never_costs_more_than_the_attempt(event, answer, serve, own):
    script = ANSWERS.get(answer, answer)
    server = serve(script, script, script)
    client = own(url=server.url)
    transport = BotocoreTransport(client=client)
    forget_handlers(client, f"{event}.dynamodb.Scan")
    request = request_for("Scan")
    # The answer, or an error that is honest about what was sent; and no second request in any case.
    fails = answer == RESET or event in LOSSES.get(answer, ())
    with pytest.raises(AttemptError) if fails else nullcontext() as caught:
        assert transport.send(request).body == script.body
    if fails:
        assert caught.value.sent is bool(server.received)
    assert [one.body for one in server.received] in ([], [request.body])
    if not server.received:
        server.steps = [ANSWERS["success"]]
        assert transport.send(request).body == ANSWERS["success"].body


# What hooks and wrappers see


@pytest.fixture
def traced(monkeypatch):
    """Wrap botocore's one entrance as the tracing tools do."""
    spans = []
    original = botocore.client.BaseClient._make_api_call

    def trace(self, operation_name, api_params):
        span = SimpleNamespace(operation=operation_name, params=copy.deepcopy(api_params), result=None, error=None)
        spans.append(span)
        try:
            span.result = original(self, operation_name, copy.deepcopy(api_params))
        except BaseException as error:
            span.error = error
            raise
        return span.result

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", trace)
    return spans


@pytest.mark.parametrize("kind", ["own", *MODES])
def test_tracing_sees_the_table_the_answer_and_the_error(kind, traced, serve, own, ours):
    reasons = [{"Code": "ConditionalCheckFailed"}]
    server = serve(answer_json(ITEMS), answer_error("TransactionCanceledException", CancellationReasons=reasons), CLOSE)
    transport = make_transport(kind, own=own, ours=ours, url=server.url)
    transport.send(request_for())
    params = {"TransactItems": [{"Delete": {"TableName": "ours", "Key": {}}}]}
    assert transport.send(request_for("TransactWriteItems", {}, params)).status == 400
    with pytest.raises(AttemptError):
        transport.send(request_for("Scan"))
    query, write, scan = traced
    assert (query.operation, query.params) == ("Query", {"TableName": "ours"})
    assert query.result["ResponseMetadata"]["RequestId"] == "REQUEST"
    assert "Items" not in query.result
    assert write.params == params
    assert type(write.error).__name__ == "TransactionCanceledException"
    assert write.error.response["Error"]["Code"] == "TransactionCanceledException"
    assert write.error.response["CancellationReasons"] == reasons
    assert write.error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert isinstance(scan.error, known.ConnectionClosedError)


@pytest.mark.usefixtures("traced")
def test_an_operation_without_parameters_is_recognised(serve, own):
    server = serve(answer_json({"TableNames": ["ours"]}))
    response = BotocoreTransport(client=own(url=server.url)).send(request_for("ListTables", {"Limit": 1}, {}))
    assert json.loads(response.body) == {"TableNames": ["ours"]}
    assert server.received[0].body == b'{"Limit": 1}'


def test_parameters_changed_by_a_wrapper_are_refused(serve, own, monkeypatch):
    server = serve()
    original = botocore.client.BaseClient._make_api_call
    monkeypatch.setattr(
        botocore.client.BaseClient,
        "_make_api_call",
        lambda self, name, params: original(self, name, {**params, "TableName": "test-ours"}),
    )
    with pytest.raises(AttemptError, match="not recognised") as caught:
        BotocoreTransport(client=own(url=server.url)).send(request_for())
    assert not caught.value.sent
    assert server.received == []


@pytest.mark.parametrize(
    ("event", "expected", "requests"),
    [
        ("provide-client-params", ZeroDivisionError, 0),
        ("before-call", ZeroDivisionError, 0),
        ("before-sign", ZeroDivisionError, 0),
        ("before-send", AttemptError, 0),
        ("response-received", ZeroDivisionError, 1),
        ("after-call", ZeroDivisionError, 1),
    ],
)
def test_an_error_of_somebodys_hook_is_theirs_unless_the_outcome_is_unknown(event, expected, requests, serve, own):
    server = serve()
    client = own(url=server.url)
    client.meta.events.register(f"{event}.dynamodb", lambda **_: 1 / 0)
    with pytest.raises(expected):
        BotocoreTransport(client=client).send(request_for())
    assert len(server.received) == requests


@pytest.mark.parametrize("event", ["provide-client-params", "before-call", "before-sign", "before-send"])
def test_an_error_of_a_call_that_a_hook_nests_is_no_answer_to_ours(event, serve, own):
    server = serve(answer_error("ConditionalCheckFailedException"))
    client = own(url=server.url)

    def hook(**_):
        client.meta.events.unregister(f"{event}.dynamodb", hook)
        client.put_item(TableName="theirs", Item={})

    client.meta.events.register(f"{event}.dynamodb", hook)
    with pytest.raises((AttemptError, known.ClientError)) as caught:
        BotocoreTransport(client=client).send(request_for("PutItem", {}, {"TableName": "ours", "Item": {}}))
    assert isinstance(caught.value, AttemptError) == (event == "before-send")
    assert len(server.received) == 1


def test_an_interrupt_passes_and_leaves_nothing_behind(serve, own):
    server = serve()
    client = own(url=server.url)
    transport = BotocoreTransport(client=client)

    def interrupt(**_):
        client.meta.events.unregister("before-send", interrupt)
        raise KeyboardInterrupt

    client.meta.events.register("before-send", interrupt)
    with pytest.raises(KeyboardInterrupt):
        transport.send(request_for())
    client.query(TableName="ours")
    assert [one.body for one in server.received] == [b'{"TableName": "ours"}']


# Mocks

DESCRIPTION = {"Table": {"TableName": "ours", "CreationDateTime": datetime(2026, 1, 7, tzinfo=timezone.utc)}}
STUBBED = [
    ("Query", {"TableName": "ours"}, {"Items": [{"b": {"B": b"\x00\x01"}, "s": {"NS": ["1"]}}], "Count": 1}),
    ("DescribeTable", {"TableName": "ours"}, DESCRIPTION),
    ("PutItem", {"TableName": "ours", "Item": {}}, {}),
]
STUBBED_JSON = [
    {"Items": [{"b": {"B": "AAE="}, "s": {"NS": ["1"]}}], "Count": 1},
    {"Table": {"TableName": "ours", "CreationDateTime": 1767744000.0}},
    {},
]


@pytest.mark.parametrize("owner", OWNERS)
def test_a_stubber_answers(owner, own):
    client = own(owner, url="http://127.0.0.1:1")
    transport = BotocoreTransport(client=client)
    with Stubber(client) as stubber:
        for operation, params, result in STUBBED:
            method = {"Query": "query", "DescribeTable": "describe_table", "PutItem": "put_item"}[operation]
            stubber.add_response(method, copy.deepcopy(result))
            response = transport.send(Request(operation, b"{}", params, 4))
            assert (response.status, json.loads(response.body)) == (200, STUBBED_JSON.pop(0))
            STUBBED_JSON.append(json.loads(response.body))
        stubber.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            "why",
            400,
            response_meta={"RequestId": "R", "HTTPHeaders": {"X-Amz-Crc32": "1", "Date": "today"}},
            modeled_fields={"CancellationReasons": [{"Code": "None"}]},
        )
        response = transport.send(Request("TransactWriteItems", b"{}", {"TransactItems": [{}]}, 4))
        assert response.status == 400
        assert response.headers == {"date": "today", "x-amzn-requestid": "R"}
        assert json.loads(response.body) == {
            "__type": "TransactionCanceledException",
            "message": "why",
            "CancellationReasons": [{"Code": "None"}],
        }
        with pytest.raises(known.StubResponseError):
            transport.send(request_for())


def test_a_stubber_and_a_nested_call_of_the_owner(own):
    client = own(url="http://127.0.0.1:1")
    transport = BotocoreTransport(client=client)
    results = []
    with Stubber(client) as stubber:
        stubber.add_response("query", {"Count": 1})
        stubber.add_response("query", {"Count": 2})
        client.meta.events.register(
            "after-call.dynamodb",
            lambda **_: None if results else results.append(0) or results.append(client.query(**OWN_QUERY)),
        )
        response = transport.send(request_for())
    assert json.loads(response.body) == {"Count": 1}
    assert results[1]["Count"] == 2


def test_a_stubbed_answer_in_python_values_is_refused(own, monkeypatch):
    client = own(url="http://127.0.0.1:1")
    monkeypatch.setattr(client, "query", lambda **_: {"Items": [{"id": {1, 2}}]})
    with pytest.raises(TypeError, match="typed form"):
        BotocoreTransport(client=client).send(request_for())


@pytest.mark.parametrize("place", ["class", "method"])
def test_a_patched_call_answers(place, own, monkeypatch):
    client = own(url="http://127.0.0.1:1")
    transport = BotocoreTransport(client=client)
    outcomes = [
        {"Items": [{"b": {"B": b"\x01"}}]},
        known.ClientError({"Error": {"Code": "ThrottlingException", "Message": "why"}}, "Query"),
    ]

    def answer(*_, **__):
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    if place == "class":
        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)
    else:
        monkeypatch.setattr(client, "query", answer)
    assert json.loads(transport.send(request_for()).body) == {"Items": [{"b": {"B": "AQ=="}}]}
    response = transport.send(request_for())
    assert (response.status, json.loads(response.body)) == (400, {"__type": "ThrottlingException", "message": "why"})


@pytest.mark.parametrize("owner", ["own", *OWNERS])
@pytest.mark.parametrize("start", ["before the client", "after the client"])
def test_moto_answers(start, owner, own, ours):
    def make():
        return ours() if owner == "own" else BotocoreTransport(client=own(owner, url=None))

    transport = make() if start == "after the client" else None
    if transport is not None:
        transport.get_client()
    with mock_aws():
        transport = transport or make()
        create = {
            "TableName": "ours",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        assert transport.send(request_for("CreateTable", create, create)).status == 200
        item = {"id": {"S": "1"}, "b": {"B": "AAE="}, "n": {"N": "1.50"}}
        put = {"TableName": "ours", "Item": item}
        assert transport.send(request_for("PutItem", put, {"TableName": "ours", "Item": {}})).status == 200
        get = {"TableName": "ours", "Key": {"id": {"S": "1"}}}
        response = transport.send(request_for("GetItem", get, {"TableName": "ours", "Key": {}}))
        assert json.loads(response.body) == {"Item": item}
        put["ConditionExpression"] = "attribute_not_exists(id)"
        response = transport.send(request_for("PutItem", put, {"TableName": "ours", "Item": {}}))
        assert response.status == 400
        assert json.loads(response.body)["__type"].endswith("ConditionalCheckFailedException")
        transport.warm_up()


# Before anything is sent


class AskedCredentials(botocore.credentials.Credentials):
    """Credentials that are asked for every request, as the refreshing ones are."""

    def __init__(self, freeze):
        super().__init__("A", "B")
        self.get_frozen_credentials = freeze


CREDENTIAL_ERRORS = [
    (known.NoCredentialsError(), "AWS_ACCESS_KEY_ID"),
    (known.PartialCredentialsError(provider="env", cred_var="x"), "secret key"),
    (known.CredentialRetrievalError(provider="p", error_msg="e"), "role"),
    (known.MetadataRetrievalError(error_msg="e"), "role"),
    (known.UnauthorizedSSOTokenError(), "aws sso login"),
    (known.SSOTokenLoadError(error_msg="e"), "aws sso login"),
    (known.TokenRetrievalError(provider="p", error_msg="e"), "aws sso login"),
    (known.RefreshWithMFAUnsupportedError(), "MFA"),
    (known.ClientError({"Error": {"Code": "AccessDenied", "Message": "m"}}, "AssumeRole"), "role"),
    (known.InvalidConfigError(error_msg="e"), "settings"),
]
if hasattr(known, "LoginRefreshRequired"):
    CREDENTIAL_ERRORS.append((known.LoginRefreshRequired(), "aws login"))


@pytest.mark.usefixtures("no_sleep")
@pytest.mark.parametrize(("error", "step"), CREDENTIAL_ERRORS, ids=lambda value: type(value).__name__)
def test_credentials_that_cannot_be_had_name_the_next_step(error, step, serve, ours):
    def fail():
        raise error

    server = serve()
    transport = ours(endpoint=server.url, credentials=AskedCredentials(fail))
    with pytest.raises(ConfigurationError, match=step) as caught:
        transport.send(request_for())
    assert caught.value.__cause__ is error
    assert server.received == []


@pytest.mark.parametrize("error", [known.ReadTimeoutError(**URL), known.EndpointConnectionError(**URL)])
def test_a_broken_road_to_the_credentials_sent_nothing(error, serve, ours):
    def fail():
        raise error

    transport = ours(endpoint=serve().url, credentials=AskedCredentials(fail))
    with pytest.raises(AttemptError) as caught:
        transport.send(request_for())
    assert not caught.value.sent


def test_no_credentials_at_all(serve, ours):
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID"):
        ours(endpoint=serve().url, credentials=None).send(request_for())


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({"region": None}, {}, "region="),
        ({"region": "no such region!"}, {}, "region="),
        ({}, {"AWS_PROFILE": "nobody"}, "AWS_PROFILE"),
        ({"endpoint": "not a url"}, {}, "endpoint"),
        ({"credentials": SimpleNamespace(access_key="a", secret_key=None, token=None)}, {}, "secret key"),
    ],
)
def test_settings_that_make_no_client_name_the_next_step(options, environment, expected, ours, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=expected):
        ours(**options).send(request_for())


def test_an_operation_unknown_to_this_botocore(serve, ours):
    with pytest.raises(ConfigurationError, match="newer botocore"):
        ours(endpoint=serve().url).send(request_for("FoldTable"))


def test_validation_that_is_on_sees_our_parameters(serve, own):
    server = serve()
    transport = BotocoreTransport(client=own(url=server.url))
    assert transport.send(request_for("PutItem", {}, {"TableName": "ours", "Item": {}})).status == 200
    with pytest.raises(ValidationError, match="TableName"):
        transport.send(request_for("PutItem", {}, {"TableName": "", "Item": {}}))
    assert len(server.received) == 1


@pytest.mark.parametrize("timeout_s", [0, -1, -0.001])
def test_without_time_nothing_is_sent(timeout_s, serve, ours):
    server = serve()
    with pytest.raises(AttemptError) as caught:
        ours(endpoint=server.url).send(request_for(), timeout_s)
    assert not caught.value.sent
    assert server.received == []


@pytest.mark.skipif(
    "context" not in botocore.awsrequest.AWSPreparedRequest.__init__.__code__.co_varnames,
    reason="this botocore takes no read timeout from the request's context",
)
def test_the_time_left_shortens_the_read_timeout(serve, own):
    transport = BotocoreTransport(client=own(url=serve(STALL, STALL).url, read_timeout=20))
    started = time.monotonic()
    with pytest.raises(AttemptError):
        transport.send(request_for(), 0.1)
    assert time.monotonic() - started < 5


def test_the_time_left_never_lengthens_the_read_timeout(serve, own):
    transport = BotocoreTransport(client=own(url=serve(STALL).url, read_timeout=0.1))
    started = time.monotonic()
    with pytest.raises(AttemptError):
        transport.send(request_for(), 20)
    assert time.monotonic() - started < 5


class AioClient:
    meta = SimpleNamespace(service_model=SimpleNamespace(service_name="dynamodb"))


AioClient.__module__ = "aiobotocore.client"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda keys: boto3.client("s3", **keys), "'s3'"),
        (lambda keys: boto3.client("dynamodbstreams", **keys), "'dynamodbstreams'"),
        (lambda keys: boto3.resource("dynamodb", **keys), r"resource\.meta\.client"),
        (lambda keys: boto3.resource("dynamodb", **keys).Table("t"), r"resource\.meta\.client"),
        (lambda keys: boto3.Session(**keys), r'session\.client\("dynamodb"\)'),
        (lambda _: botocore.session.Session(), "no botocore client"),
        (lambda _: boto3, "no botocore client"),
        (lambda _: "dynamodb", "no botocore client but a builtins.str"),
        (lambda _: AioClient(), "asynchronous"),
    ],
)
def test_what_is_no_dynamodb_client_is_refused(make, expected):
    keys = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    with pytest.raises(ValidationError, match=expected) as caught:
        BotocoreTransport(client=make(keys))
    assert caught.value.path == "client"


# A client of our own


def test_a_client_of_our_own_is_made_at_first_use(serve, ours):
    server = serve()
    transport = ours(endpoint=server.url, connect_timeout_s=0.7, read_timeout_s=0.9)
    client = transport.get_client()
    assert transport.get_client() is client
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (0.7, 0.9)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    client.query(TableName="")  # no validation
    assert config.tcp_keepalive
    assert config.max_pool_connections == 50
    assert "jaypie_dynamo/" in server.received[0].headers["user-agent"]


def test_threads_make_one_client(ours):
    transport = ours()
    with ThreadPoolExecutor(8) as pool:
        assert len({id(client) for client in pool.map(lambda _: transport.get_client(), range(16))}) == 1


def test_importing_and_constructing_load_no_botocore():
    script = (
        "import sys\n"
        "from jaypie_dynamo._transport._botocore import BotocoreTransport\n"
        "BotocoreTransport(region='eu-west-1')\n"
        "print([name for name in ('botocore', 'typing', 'dataclasses', 'inspect', 'ssl') if name in sys.modules])\n"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_closing_closes_ours_and_a_next_call_opens_anew(serve, ours):
    server = serve()
    transport = ours(endpoint=server.url)
    transport.close()
    client = transport.get_client()
    transport.send(request_for())
    transport.close()
    transport.close()
    assert transport.send(request_for()).status == 200
    assert transport.get_client() is not client
    assert server.connections == 2


def test_closing_leaves_the_owners_connection_open(serve, own):
    server = serve()
    client = own(url=server.url)
    transport = BotocoreTransport(client=client)
    transport.send(request_for())
    transport.close()
    assert transport.get_client() is client
    client.query(**OWN_QUERY)
    assert server.connections == 1


def test_warming_up_opens_the_connection_of_the_first_call(serve, ours):
    server = serve(answer_error("AccessDeniedException"))
    transport = ours(endpoint=server.url)
    transport.warm_up()
    transport.send(request_for())
    assert server.operations == ["DescribeEndpoints", "Query"]
    assert server.connections == 1


def test_refreshing_asks_the_chain_again(serve, ours, monkeypatch):
    server = serve()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "one")
    transport = ours(endpoint=server.url, credentials=None)
    transport.send(request_for())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SECOND")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN")
    transport.send(request_for())
    assert transport.refresh_credentials()
    transport.send(request_for())
    keys = [one.headers["authorization"].partition("Credential=")[2].partition("/")[0] for one in server.received]
    assert keys == ["FIRST", "FIRST", "SECOND"]
    assert server.received[-1].headers["x-amz-security-token"] == "TOKEN"


def test_credentials_that_were_given_are_not_ours_to_refresh(own, ours):
    assert not ours().refresh_credentials()
    assert not BotocoreTransport(client=own(url="http://127.0.0.1:1")).refresh_credentials()


def test_credentials_that_refresh_themselves_are_asked_for_every_request(serve, ours):
    server = serve()
    keys = iter(["FIRST", "SECOND"])

    def freeze():
        return SimpleNamespace(access_key=next(keys), secret_key="SECRET", token=None, account_id=None)

    transport = ours(endpoint=server.url, credentials=AskedCredentials(freeze))
    transport.send(request_for())
    transport.send(request_for())
    assert ["Credential=FIRST/" in one.headers["authorization"] for one in server.received] == [True, False]
    assert "Credential=SECOND/" in server.received[1].headers["authorization"]


def test_a_session_token_is_sent(serve, ours):
    server = serve()
    ours(endpoint=server.url, credentials=SimpleNamespace(access_key="A", secret_key="B", token="T")).send(
        request_for()
    )
    assert server.received[0].headers["x-amz-security-token"] == "T"


def test_the_clock_is_not_botocores_to_correct(ours):
    assert not ours().correct_clock("Wed, 07 Jan 2026 00:00:00 GMT")
