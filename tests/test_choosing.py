"""Which transport serves, and why: settings, mocks, tracers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest
from servers import Server, answering

import jaypie_dynamo._client as client_module
from jaypie_dynamo import (
    ConfigurationError,
    describe_status,
    init_client,
    make_client,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture
def _nothing_intercepts(monkeypatch):
    """Moto, once another test has loaded it, stays built into botocore."""
    monkeypatch.setattr(client_module, "find_interception", lambda: None)


def chosen(**settings):
    with make_client(table_name="table", **settings) as client:
        return client.transport.name, client.transport_reason


@pytest.mark.usefixtures("_nothing_intercepts")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"region": "eu-west-1"},
        {"region": "cn-north-1"},
        {"region": "us-gov-west-1"},
        {"endpoint": "http://localhost:8000"},
    ],
)
def test_direct_serves_where_nothing_asks_for_botocore(settings):
    assert chosen(**settings) == ("direct", "nothing here needs botocore")


@pytest.mark.usefixtures("_nothing_intercepts")
@pytest.mark.parametrize(
    ("environment", "settings", "reason"),
    [
        ({"AWS_PROFILE": "work"}, {}, "AWS_PROFILE is set"),
        ({"AWS_DEFAULT_PROFILE": "work"}, {}, "AWS_DEFAULT_PROFILE is set"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, {}, "AWS_USE_FIPS_ENDPOINT is set"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "TRUE"}, {}, "AWS_USE_DUALSTACK_ENDPOINT is set"),
        ({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, {}, "endpoints by account id are required"),
        ({"AWS_ACCOUNT_ID": "123456789012"}, {}, "endpoints by account id are preferred"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, {}, "a proxy applies to dynamodb.us-east-1.amazonaws.com (HTTPS_PROXY)"),
        (
            {"http_proxy": "http://proxy:3128"},
            {"endpoint": "http://localhost:8000"},
            "a proxy applies to localhost:8000",
        ),
        ({}, {"region": "us-iso-east-1"}, "the endpoint of the region 'us-iso-east-1' is known to botocore only"),
        ({}, {"region": "eusc-de-east-1"}, "the endpoint of the region 'eusc-de-east-1' is known to botocore only"),
        ({}, {"table_name": "arn:aws:dynamodb:eu-west-1:123456789012:table/t"}, "the table is named by an ARN"),
    ],
)
def test_botocore_serves_where_it_has_been_given_something_to_do(environment, settings, reason, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = {"table_name": "table", **settings}
    with make_client(**settings) as client:
        assert client.transport.name == "botocore"
        assert client.transport_reason.startswith(reason)
    with (
        make_client(**settings, transport="direct") as client,
        pytest.raises(ConfigurationError, match="transport='direct' cannot serve here") as refused,
    ):
        _ = client.transport
    assert reason in str(refused.value)


@pytest.mark.usefixtures("_nothing_intercepts")
@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
        {"AWS_USE_FIPS_ENDPOINT": "false"},
        {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "amazonaws.com"},
        {"HTTP_PROXY": "http://proxy:3128"},
        {"AWS_PROFILE": ""},
    ],
)
def test_settings_that_change_nothing_for_dynamodb(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert chosen()[0] == "direct"


def test_client_of_an_owner_is_used():
    owner = botocore.session.Session().create_client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    assert chosen(client=owner) == ("botocore", "a client was passed")


@pytest.mark.usefixtures("_nothing_intercepts")
def test_what_was_asked_for_is_used(monkeypatch):
    assert chosen(transport="botocore") == ("botocore", "asked for")
    assert chosen(transport="direct") == ("direct", "asked for")
    monkeypatch.setenv("JAYPIE_DYNAMO_TRANSPORT", "botocore")
    assert chosen() == ("botocore", "asked for")
    assert chosen(transport="auto")[0] == "direct"


def test_unknown_transport():
    with pytest.raises(
        ConfigurationError, match="transport must be one of auto, botocore, direct, not 'carrier pigeon'"
    ):
        chosen(transport="carrier pigeon")


# --- mocks and tracers, each in a process of its own: what they change in botocore they never put back


def run(script, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


MOTO = """
import json, os, sys
os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="us-east-1")
from jaypie_dynamo import create_table, get_entity, init_client, put_entity, make_client, use_client
when, endpoint = sys.argv[1:]
entity = {"model": "record", "id": "1", "scope": "@"}
if when == "before":
    from moto import mock_aws
    mock = mock_aws(); mock.start()
    client = init_client(table_name="t")
elif when == "after":
    client = init_client(table_name="t")
    from moto import mock_aws
    mock = mock_aws(); mock.start()
else:
    client = init_client(table_name="t", endpoint=endpoint)
    put_entity(entity=entity)
    first = client.transport.name
    assert first == "direct", first
    client.endpoint, client._transports, client._transport_name = None, {}, None
    assert client.transport.name == "direct"
    from moto import mock_aws
    mock = mock_aws(); mock.start()
create_table()
put_entity(entity=entity)
found = get_entity(model="record", id="1")
print(json.dumps([client.transport.name, client.transport_reason, found["id"]]))
"""


@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_moto_intercepts_whenever_it_is_started(when):
    with Server(answering(b"{}")) as server:
        name, reason, found = run(MOTO, when, server.url)
    assert (name, found) == ("botocore", "1")
    assert "before-send" in reason


UNPATCHED = """
import json, sys
from jaypie_dynamo import init_client, put_entity
import botocore.session
botocore.session.Session().create_client(
    "s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
)
client = init_client(table_name="t", endpoint=sys.argv[1])
put_entity(entity={"model": "record", "id": "1", "scope": "@"})
print(json.dumps(client.transport.name))
"""


def test_botocore_that_is_only_loaded_changes_nothing():
    with Server(answering(b"{}")) as server:
        assert run(UNPATCHED, server.url) == "direct"
        assert len(server.requests) == 1


OPENTELEMETRY = """
import json, sys
from opentelemetry import trace
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
BotocoreInstrumentor().instrument(tracer_provider=provider)
from jaypie_dynamo import init_client, put_entity
client = init_client(table_name="the-table", endpoint=sys.argv[1])
put_entity(entity={"model": "record", "id": "1", "scope": "@"})
print(json.dumps([client.transport.name, [str(dict(span.attributes)) for span in spans.get_finished_spans()]]))
"""

XRAY = """
import json, sys
from aws_xray_sdk.core import patch, xray_recorder
sent = []
class Emitter:
    def send_entity(self, entity): sent.append(entity.serialize())
    def set_daemon_address(self, address): pass
xray_recorder.configure(sampling=False, emitter=Emitter(), service="test")
patch(["botocore"])
from jaypie_dynamo import init_client, put_entity
client = init_client(table_name="the-table", endpoint=sys.argv[1])
xray_recorder.begin_segment("test")
put_entity(entity={"model": "record", "id": "1", "scope": "@"})
xray_recorder.end_segment()
print(json.dumps([client.transport.name, [str(entity) for entity in sent]]))
"""

DDTRACE = """
import json, os, sys
os.environ.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")
from ddtrace import patch
from ddtrace.trace import TraceFilter, tracer
seen = []
class Keep(TraceFilter):
    def process_trace(self, trace):
        seen.extend(str(span.get_tags()) for span in trace)
        return None
tracer.configure(trace_processors=[Keep()])
patch(botocore=True)
from jaypie_dynamo import init_client, put_entity
client = init_client(table_name="the-table", endpoint=sys.argv[1])
put_entity(entity={"model": "record", "id": "1", "scope": "@"})
print(json.dumps([client.transport.name, seen]))
"""


@pytest.mark.parametrize("script", [OPENTELEMETRY, XRAY, DDTRACE], ids=["opentelemetry", "xray", "ddtrace"])
def test_tracers_see_the_call_and_its_table(script):
    with Server(answering(b"{}")) as server:
        name, spans = run(script, server.url)
    assert name == "botocore"
    assert any("the-table" in span and "PutItem" in span for span in spans), spans


@pytest.mark.usefixtures("_nothing_intercepts")
def test_status_tells_transport_and_reason():
    with (
        Server(answering(b'{"Table": {"TableStatus": "ACTIVE"}}')) as server,
        init_client(table_name="t", endpoint=server.url),
    ):
        status = describe_status()
    assert (status["transport"], status["transport_reason"]) == ("direct", "nothing here needs botocore")
