"""Settings, the current client and what no message may show. No network here; see `integration/` for that."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest

import jaypie_dynamo
from jaypie_dynamo import (
    Client,
    ConfigurationError,
    ValidationError,
    get_client,
    get_doc_client,
    get_entity,
    get_table_name,
    init_client,
    is_initialized,
    iter_query,
    make_client,
    query_by_scope,
    reset_client,
    use_client,
)
from jaypie_dynamo._client import current_client
from jaypie_dynamo._transport._attempt import Request, Response
from jaypie_dynamo._transport._credentials import Credentials
from jaypie_dynamo._transport._endpoint import region_of_host

NOT_INITIALIZED = r"^DynamoDB client not initialized\. Call init_client\(\) first\.$"
NO_TABLE = r"^No table name\. Pass init_client\(table_name=…\) or set DYNAMODB_TABLE_NAME\.$"
CLOSED = r"^The client is closed\. Make a new one with init_client\(\) or make_client\(\)\.$"

ACCESS_KEY, SECRET_KEY, TOKEN = "AKIAHIDDENHIDDEN", "hidden-secret-key", "hidden-token"


class Canned:
    """A transport that always gives the same page."""

    name = "canned"

    def __init__(self, *ids: str) -> None:
        items = [{"model": {"S": "m"}, "id": {"S": id_}, "scope": {"S": "@"}, "sequence": {"N": "1"}} for id_ in ids]
        self.body = json.dumps({"Items": items, "Count": len(items)}).encode()
        self.requests: list[Request] = []
        self.closed = 0

    def send(self, request: Request, timeout_s: float | None = None) -> Response:  # noqa: ARG002
        self.requests.append(request)
        return Response(200, {}, self.body)

    def close(self) -> None:
        self.closed += 1


def canned_client(name: str, *ids: str) -> tuple[Client, Canned]:
    client, transport = make_client(table_name=name), Canned(*ids)
    client.set_transport(transport)
    return client, transport


@pytest.fixture(autouse=True)
def _no_client_left():
    assert not is_initialized()
    yield
    reset_client()


@pytest.fixture
def environ(monkeypatch):
    def set_variables(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


# --- argument beats environment beats default; empty is not given


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ({"table_name": "given"}, {"DYNAMODB_TABLE_NAME": "env"}, "given"),
        ({}, {"DYNAMODB_TABLE_NAME": "env"}, "env"),
        ({"table_name": ""}, {"DYNAMODB_TABLE_NAME": "env"}, "env"),
        ({"table_name": None}, {"DYNAMODB_TABLE_NAME": "env"}, "env"),
        ({"table_name": "My_table-1.x"}, {}, "My_table-1.x"),
        ({"table_name": "arn:aws:dynamodb:us-east-1:123456789012:table/t"}, {}, None),
    ],
)
def test_table_name(arguments, variables, expected, environ):
    environ(variables)
    client = init_client(**arguments)
    assert client.table_name == get_table_name() == (expected or arguments["table_name"])


@pytest.mark.parametrize("variables", [{}, {"DYNAMODB_TABLE_NAME": ""}])
def test_client_without_a_table_name(variables, environ):
    environ(variables)
    init_client()
    assert is_initialized()
    with pytest.raises(ConfigurationError, match=NO_TABLE):
        get_table_name()


STANDARD = "https://dynamodb.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ({"region": "eu-west-3"}, {"AWS_REGION": "a-1", "AWS_DEFAULT_REGION": "b-1"}, "eu-west-3"),
        ({}, {"AWS_REGION": "a-1", "AWS_DEFAULT_REGION": "b-1"}, "a-1"),
        ({"region": ""}, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "b-1"}, "b-1"),
        ({"endpoint": STANDARD}, {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "eu-west-1"),
        ({}, {"DYNAMODB_ENDPOINT": STANDARD}, "eu-west-1"),
        ({"endpoint": STANDARD.upper()}, {}, "eu-west-1"),
        ({"endpoint": STANDARD, "region": "eu-west-1"}, {}, "eu-west-1"),
        ({"endpoint": STANDARD}, {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"endpoint": "http://localhost:8000"}, {"AWS_REGION": "a-1"}, "a-1"),
        ({"endpoint": "https://proxy.example.com/dynamodb.eu-west-1.amazonaws.com"}, {}, "us-east-1"),
        ({}, {}, "us-east-1"),
    ],
)
def test_region(arguments, variables, expected, environ):
    environ(variables)
    assert make_client(**arguments).region == expected


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ({"region": "us-east-1", "endpoint": STANDARD}, {}),
        ({"endpoint": STANDARD}, {"AWS_REGION": "us-east-1"}),
        ({"endpoint": STANDARD}, {"AWS_DEFAULT_REGION": "us-east-1"}),
        ({"region": "us-east-1"}, {"AWS_ENDPOINT_URL": STANDARD}),
        ({"region": "us-east-1", "endpoint": "https://dynamodb-fips.us-gov-west-1.amazonaws.com"}, {}),
    ],
)
def test_region_that_contradicts_the_endpoint_is_refused(arguments, variables, environ):
    environ(variables)
    with pytest.raises(ConfigurationError, match=r"The region is 'us-east-1' but the endpoint .* Give one of them"):
        make_client(**arguments)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("dynamodb.us-east-1.amazonaws.com", "us-east-1"),
        ("dynamodb-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("dynamodb.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("dynamodb.amazonaws.com", None),
        ("amazonaws.com", None),
        ("streams.dynamodb.us-east-1.amazonaws.com", None),
        ("vpce-1.dynamodb.us-east-1.vpce.amazonaws.com", None),
        ("dynamodb.us-east-1.amazonaws.com.example.com", None),
        ("dynamodb.us-east-1.example.com", None),
        ("s3.us-east-1.amazonaws.com", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_region_of_host(host, region):
    assert region_of_host(host) == region


ALL_ENDPOINTS = {
    "DYNAMODB_ENDPOINT": "http://one:1",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://two:2",
    "AWS_ENDPOINT_URL": "http://three:3",
}
IGNORED = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ({"endpoint": "http://given:9"}, ALL_ENDPOINTS, "http://given:9"),
        ({}, ALL_ENDPOINTS, "http://one:1"),
        ({"endpoint": ""}, {**ALL_ENDPOINTS, "DYNAMODB_ENDPOINT": ""}, "http://two:2"),
        ({}, {"AWS_ENDPOINT_URL_DYNAMODB": "", "AWS_ENDPOINT_URL": "http://three:3"}, "http://three:3"),
        ({}, {"AWS_ENDPOINT_URL": ""}, None),
        ({}, {}, None),
        ({}, {**ALL_ENDPOINTS, IGNORED: "true"}, "http://one:1"),
        ({}, {**ALL_ENDPOINTS, "DYNAMODB_ENDPOINT": "", IGNORED: "true"}, None),
        ({}, {**ALL_ENDPOINTS, "DYNAMODB_ENDPOINT": "", IGNORED: "TRUE"}, None),
        ({}, {**ALL_ENDPOINTS, "DYNAMODB_ENDPOINT": "", IGNORED: "false"}, "http://two:2"),
        ({}, {**ALL_ENDPOINTS, "DYNAMODB_ENDPOINT": "", IGNORED: ""}, "http://two:2"),
        ({"endpoint": "http://given:9"}, {IGNORED: "true"}, "http://given:9"),
    ],
)
def test_endpoint(arguments, variables, expected, environ):
    environ(variables)
    assert make_client(**arguments).endpoint == expected


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ({"transport": "botocore"}, {"JAYPIE_DYNAMO_TRANSPORT": "auto"}, "botocore"),
        ({}, {"JAYPIE_DYNAMO_TRANSPORT": "botocore"}, "botocore"),
        ({"transport": ""}, {"JAYPIE_DYNAMO_TRANSPORT": ""}, "auto"),
        ({}, {}, "auto"),
    ],
)
def test_transport_choice(arguments, variables, expected, environ):
    environ(variables)
    assert make_client(**arguments).transport_choice == expected


def test_unknown_transport_is_told_at_first_use(environ):
    environ({"JAYPIE_DYNAMO_TRANSPORT": "pigeon"})
    with (
        use_client(make_client(table_name="t")),
        pytest.raises(ConfigurationError, match=r"transport must be one of .*botocore.*, not 'pigeon' .*TRANSPORT"),
    ):
        get_entity(model="m", id="1")


def test_remaining_settings():
    client = make_client(connect_timeout_s=2, read_timeout_s=0.5, max_attempts=1, ttl_attribute="ttl")
    assert (client.connect_timeout_s, client.read_timeout_s, client.max_attempts) == (2.0, 0.5, 1)
    assert client.ttl_attribute == "ttl"
    assert client.allow_insecure is False
    defaults = make_client(ttl_attribute="")
    assert (defaults.connect_timeout_s, defaults.read_timeout_s, defaults.max_attempts) == (1.0, 5.0, 4)
    assert defaults.ttl_attribute is None


# --- credentials


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("http://localhost:8000", True),
        ("https://LOCALHOST", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.255.3.4", True),
        ("http://[::1]:8000", True),
        ("https://localhost.example.com", False),
        ("https://example.com/localhost", False),
        ("https://127.0.0.1.example.com", False),
        ("https://127.0.0.256", False),
        ("https://128.0.0.1", False),
        ("https://notlocalhost", False),
        ("https://[::2]", False),
        (STANDARD, False),
        (None, False),
    ],
)
def test_only_this_machine_gets_dummy_credentials(endpoint, local):
    credentials = make_client(endpoint=endpoint).credentials
    if local:
        assert (credentials.access_key, credentials.secret_key, credentials.token) == ("local", "local", None)
    else:
        assert credentials is None


@pytest.mark.parametrize(
    ("given", "token"),
    [
        ((ACCESS_KEY, SECRET_KEY), None),
        ([ACCESS_KEY, SECRET_KEY], None),
        ((ACCESS_KEY, SECRET_KEY, None), None),
        ((ACCESS_KEY, SECRET_KEY, TOKEN), TOKEN),
        ({"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}, None),
        (
            {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "aws_session_token": TOKEN},
            TOKEN,
        ),
    ],
)
@pytest.mark.parametrize("endpoint", [None, "http://localhost:8000"])
def test_credentials_given(given, token, endpoint):
    credentials = make_client(credentials=given, endpoint=endpoint).credentials
    assert (credentials.access_key, credentials.secret_key, credentials.token) == (ACCESS_KEY, SECRET_KEY, token)


BAD_CREDENTIALS = [
    (ACCESS_KEY,),
    (ACCESS_KEY, SECRET_KEY, TOKEN, "x"),
    SECRET_KEY,
    {"aws_access_key_id": ACCESS_KEY},
    {"aws_secret_access_key": SECRET_KEY},
    {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
    {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, SECRET_KEY: TOKEN},
    (ACCESS_KEY, None),
    (None, SECRET_KEY),
    (ACCESS_KEY, ""),
    (ACCESS_KEY, SECRET_KEY + "\n"),
    (ACCESS_KEY, SECRET_KEY + "é"),
    (ACCESS_KEY, SECRET_KEY, TOKEN + "\r\nx: y"),
    (ACCESS_KEY, SECRET_KEY.encode()),
    SimpleNamespace(access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=TOKEN),
    5,
]


@pytest.mark.parametrize("given", BAD_CREDENTIALS, ids=range(len(BAD_CREDENTIALS)))
def test_bad_credentials_are_refused_unseen(given):
    with pytest.raises(ValidationError, match="credentials") as caught:
        make_client(credentials=given)
    assert caught.value.path == "credentials"
    assert_hidden(caught.value)


def assert_hidden(error: BaseException | None) -> None:
    while error is not None:
        for secret in (ACCESS_KEY, SECRET_KEY, TOKEN, "hidden"):
            assert secret not in str(error)
            assert secret not in repr(error)
        error = error.__cause__ or error.__context__


def test_nothing_shows_a_secret():
    client = make_client(table_name="t", credentials=(ACCESS_KEY, SECRET_KEY, TOKEN))
    assert repr(client) == str(client) == "<Client table='t' region='us-east-1' endpoint=None>"
    assert repr(Credentials(ACCESS_KEY, SECRET_KEY, TOKEN)) == "<Credentials>"
    for make in (
        lambda: make_client(credentials=(ACCESS_KEY, SECRET_KEY), region="no region"),
        lambda: make_client(credentials=(ACCESS_KEY, SECRET_KEY), max_attempts=0),
        lambda: make_client(credentials=(ACCESS_KEY, SECRET_KEY), client=object()),
        lambda: make_client(endpoint=f"https://user:{SECRET_KEY}@example.com"),
        lambda: make_client(endpoint=f"{SECRET_KEY}@example.com"),
    ):
        with pytest.raises((ConfigurationError, ValidationError)) as caught:
            make()
        assert_hidden(caught.value)


# --- bad arguments


@pytest.mark.parametrize(
    ("arguments", "message", "path"),
    [
        ({"table_name": "a b"}, "table_name must be made of letters, digits, '_', '-' and '.', or be a table ARN", ...),
        ({"table_name": "tablé"}, "table_name must", ...),
        ({"table_name": 'x"'}, "table_name must", ...),
        ({"table_name": "a" * 1025}, "table_name must", ...),
        ({"table_name": 5}, "table_name must be made of .* not 5", ...),
        ({"endpoint": 5}, "endpoint must be a str, not int", ...),
        ({"endpoint": b"http://x"}, "endpoint must be a str, not bytes", ...),
        ({"ttl_attribute": 5}, "ttl_attribute must be a str, not int", ...),
        ({"connect_timeout_s": 0}, "connect_timeout_s must be a number of seconds above 0", ...),
        ({"connect_timeout_s": "1"}, "connect_timeout_s must", ...),
        ({"connect_timeout_s": True}, "connect_timeout_s must", ...),
        ({"read_timeout_s": -1}, "read_timeout_s must be a number of seconds above 0", ...),
        ({"read_timeout_s": float("inf")}, "read_timeout_s must", ...),
        ({"read_timeout_s": float("nan")}, "read_timeout_s must", ...),
        ({"read_timeout_s": None}, "read_timeout_s must", ...),
        ({"max_attempts": 0}, "max_attempts must be a whole number from 1", ...),
        ({"max_attempts": 1.5}, "max_attempts must", ...),
        ({"max_attempts": True}, "max_attempts must", ...),
        ({"parse_float": "Decimal"}, r"parse_float must be callable, such as decimal\.Decimal", ...),
        ({"client": object(), "region": "us-east-1"}, "region= and client= exclude each other", "region"),
        ({"client": object(), "endpoint": "http://x"}, "endpoint= and client= exclude each other", "endpoint"),
        ({"client": object(), "credentials": ("a", "b")}, "credentials= and client= exclude each other", "credentials"),
    ],
)
@pytest.mark.parametrize("make", [make_client, init_client])
def test_bad_argument_is_named(make, arguments, message, path):
    with pytest.raises(ValidationError, match=message) as caught:
        make(**arguments)
    assert caught.value.path == (next(iter(arguments)) if path is ... else path)
    assert not is_initialized()


@pytest.mark.parametrize("region", ["no region", "us_east_1", "-", "régión-1", "us-east-1\n", 5])
def test_bad_region_is_named(region, environ):
    with pytest.raises(ConfigurationError, match=r"The region .* is not a region name, such as 'us-east-1'"):
        make_client(region=region)
    if isinstance(region, str):
        environ({"AWS_REGION": region})
        with pytest.raises(ConfigurationError, match="is not a region name"):
            make_client()


@pytest.mark.parametrize("endpoint", ["localhost:8000", "ftp://localhost", "http://", "http://a b", "http://x/?a=b"])
def test_bad_endpoint_is_named(endpoint, environ):
    with pytest.raises(ConfigurationError, match=r"^The endpoint "):
        make_client(endpoint=endpoint)
    environ({"AWS_ENDPOINT_URL": endpoint})
    with pytest.raises(ConfigurationError, match=r"^The endpoint "):
        make_client()


def test_bad_table_name_in_the_environment_is_named(environ):
    environ({"DYNAMODB_TABLE_NAME": "my table"})
    with pytest.raises(ValidationError, match="table_name must be made of"):
        make_client()


def owned_client() -> Any:
    """Make a botocore client as its owner would."""
    return botocore.session.Session().create_client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


def test_settings_beside_a_client_may_be_empty(environ):
    environ({"AWS_ENDPOINT_URL": "http://localhost:8000", "AWS_REGION": "eu-west-1"})
    owner = owned_client()
    client = make_client(client=owner, region="", endpoint="", credentials=None)
    assert (client.region, client.endpoint, client.credentials) == (None, None, None)
    assert client.botocore_client() is owner


@pytest.mark.parametrize("owner", [object(), "dynamodb", SimpleNamespace(meta=None)])
def test_client_that_is_none_is_told_at_first_use(owner):
    with (
        use_client(make_client(client=owner, table_name="t")),
        pytest.raises(ValidationError, match=r"client is no botocore client but a .* Pass a DynamoDB client") as caught,
    ):
        get_entity(model="m", id="1")
    assert caught.value.path == "client"


def test_arguments_are_keywords_only():
    with pytest.raises(TypeError):
        make_client("t")  # type: ignore[misc]


# --- before initialisation, and without a table

USES = {
    "archive_entity": {"model": "m", "id": "1"},
    "count_by_class": {"model": "m", "scope": "@", "record_class": "c"},
    "count_by_scope": {"model": "m", "scope": "@"},
    "count_by_type": {"model": "m", "scope": "@", "type": "t"},
    "create_entity": {"entity": {"model": "m", "id": "1", "scope": "@"}},
    "create_table": {},
    "delete_entity": {"model": "m", "id": "1"},
    "destroy_entity": {"model": "m", "id": "1"},
    "get_entity": {"model": "m", "id": "1"},
    "patch_entity": {"model": "m", "id": "1", "set": {"name": "x"}},
    "put_entity": {"entity": {"model": "m", "id": "1", "scope": "@"}},
    "query": {"model": "m", "scope": "@"},
    "query_by_alias": {"model": "m", "scope": "@", "alias": "a"},
    "query_by_class": {"model": "m", "scope": "@", "record_class": "c"},
    "query_by_scope": {"model": "m", "scope": "@"},
    "query_by_type": {"model": "m", "scope": "@", "type": "t"},
    "query_by_xid": {"model": "m", "scope": "@", "xid": "x"},
    "restore_entity": {"model": "m", "id": "1"},
    "unarchive_entity": {"model": "m", "id": "1"},
    "update_entity": {"entity": {"model": "m", "id": "1", "scope": "@", "sequence": 1, "createdAt": "x"}},
}


def test_every_function_that_sends_is_in_the_table():
    verbs = ("archive_", "count_by_", "create_", "delete_", "patch_", "query", "restore_", "unarchive_", "update_")
    assert {name for name in jaypie_dynamo.__all__ if name.startswith(verbs)} < set(USES)


@pytest.mark.parametrize("name", USES)
def test_use_before_initialisation(name):
    with pytest.raises(ConfigurationError, match=NOT_INITIALIZED):
        getattr(jaypie_dynamo, name)(**USES[name])


@pytest.mark.parametrize(
    "use",
    [
        get_table_name,
        get_client,
        get_doc_client,
        lambda: iter_query(query_by_scope, model="m", scope="@"),
        lambda: jaypie_dynamo.destroy_table(table_name="t"),
    ],
)
def test_other_uses_before_initialisation(use):
    with pytest.raises(ConfigurationError, match=NOT_INITIALIZED):
        use()


@pytest.mark.parametrize("name", USES)
def test_use_without_a_table_name(name):
    client = make_client()
    client.set_transport(Canned())
    with use_client(client), pytest.raises(ConfigurationError, match=NO_TABLE):
        getattr(jaypie_dynamo, name)(**USES[name])
    assert client.transport.requests == []


# --- the current client


def test_init_client_sets_the_current_one_and_make_client_does_not():
    made = make_client(table_name="made")
    assert not is_initialized()
    current = init_client(table_name="current")
    assert is_initialized()
    assert current_client() is current
    make_client(table_name="other")
    assert get_table_name() == "current"
    assert made.table_name == "made"


def test_init_client_closes_the_client_before_and_keeps_it_where_it_fails():
    first = init_client(table_name="first")
    transport = Canned()
    first.set_transport(transport)
    with pytest.raises(ValidationError):
        init_client(table_name="second", max_attempts=0)
    assert current_client() is first
    assert transport.closed == 0
    second = init_client(table_name="second")
    assert current_client() is second
    assert transport.closed == 1


def test_reset_client_closes_and_forgets():
    transport = Canned()
    init_client(table_name="t").set_transport(transport)
    reset_client()
    reset_client()
    assert not is_initialized()
    assert transport.closed == 1


def test_use_client_nests_and_restores_after_errors():
    init_client(table_name="default")
    first, second = make_client(table_name="first"), make_client(table_name="second")
    with use_client(first) as entered:
        assert entered is first
        with use_client(second):
            assert get_table_name() == "second"
        assert get_table_name() == "first"
        with pytest.raises(KeyError), use_client(second):
            raise KeyError
        assert get_table_name() == "first"
    assert get_table_name() == "default"


def test_use_client_may_be_entered_again():
    first, second = use_client(make_client(table_name="first")), use_client(make_client(table_name="second"))
    with first, second, first:
        assert get_table_name() == "first"
    assert not is_initialized()
    with first:
        assert get_table_name() == "first"


def test_use_client_works_without_a_default():
    with use_client(make_client(table_name="t")):
        assert is_initialized()
        assert get_table_name() == "t"
    assert not is_initialized()


def test_reset_leaves_an_override_alone():
    transport = Canned()
    client = make_client(table_name="t")
    client.set_transport(transport)
    with use_client(client):
        reset_client()
        assert get_table_name() == "t"
    assert transport.closed == 0


@pytest.mark.parametrize("client", [None, "t", object()])
def test_use_client_takes_clients_only(client):
    with pytest.raises(ValidationError, match=r"use_client takes a client from make_client\(\), not a ") as caught:
        use_client(client)
    assert caught.value.path == "client"


def in_thread(function: Any) -> Any:
    seen: list[Any] = []

    def run() -> None:
        try:
            seen.append(function())
        except ConfigurationError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return seen[0]


def test_new_threads_see_the_default():
    init_client(table_name="default")
    with use_client(make_client(table_name="override")):
        assert in_thread(get_table_name) == "default"
        assert in_thread(lambda: contextvars.copy_context().run(get_table_name)) == "default"
        context = contextvars.copy_context()
        assert in_thread(lambda: context.run(get_table_name)) == "override"


def test_new_threads_without_a_default_have_no_client():
    with use_client(make_client(table_name="override")):
        assert isinstance(in_thread(get_table_name), ConfigurationError)


def test_override_made_in_a_thread_stays_there():
    init_client(table_name="default")
    inside, outside = threading.Event(), threading.Event()

    def hold() -> None:
        with use_client(make_client(table_name="thread")):
            inside.set()
            outside.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(5)
        assert get_table_name() == "default"
    finally:
        outside.set()
        thread.join()


def test_tasks_inherit_and_keep_apart():
    async def table_name(client: Client) -> str:
        with use_client(client):
            await asyncio.sleep(0)
            return get_table_name()

    async def run() -> list[str]:
        with use_client(make_client(table_name="outer")):
            inner = [make_client(table_name=name) for name in "ab"]
            names = await asyncio.gather(*map(table_name, inner), asyncio.to_thread(get_table_name))
            return [*names, get_table_name()]

    assert asyncio.run(run()) == ["a", "b", "outer", "outer"]


def test_iterator_keeps_the_client_it_was_called_with():
    first, first_transport = canned_client("first", "1", "2")
    second, second_transport = canned_client("second", "3")
    with use_client(first):
        iterator = iter_query(query_by_scope, model="m", scope="@")
    with use_client(second):
        assert [entity["id"] for entity in iterator] == ["1", "2"]
        assert get_table_name() == "second"
    assert b'"TableName":"first"' in first_transport.requests[0].body
    assert second_transport.requests == []


def test_iterator_leaves_the_consumers_client_alone_between_items():
    first, _ = canned_client("first", "1", "2")
    second, _ = canned_client("second")
    with use_client(first):
        iterator = iter_query(query_by_scope, model="m", scope="@")
    with use_client(second):
        for _ in iterator:
            assert get_table_name() == "second"


def test_iterator_keeps_its_client_when_another_becomes_the_default():
    first, transport = canned_client("first", "1")
    with use_client(first):
        iterator = iter_query(query_by_scope, model="m", scope="@")
    init_client(table_name="second")
    assert [entity["id"] for entity in iterator] == ["1"]
    assert len(transport.requests) == 1


def test_document_client_keeps_the_client_it_was_made_of():
    first, transport = canned_client("first")
    with use_client(first):
        documents = get_doc_client()
    with use_client(make_client(table_name="second")):
        documents.call("Scan")
    assert transport.requests[0].params["TableName"] == "first"


# --- closing


def test_closing_is_for_good_and_may_be_repeated():
    client, transport = canned_client("t")
    client.close()
    client.close()
    assert transport.closed == 1
    with use_client(client), pytest.raises(ConfigurationError, match=CLOSED):
        get_entity(model="m", id="1")
    with use_client(client), pytest.raises(ConfigurationError, match=CLOSED):
        get_client()


def test_with_closes_after_errors_too():
    client, transport = canned_client("t")
    with pytest.raises(KeyError), client:
        raise KeyError
    assert transport.closed == 1
    with client as entered:
        assert entered is client


def test_clients_keep_nothing_open_that_was_never_used():
    with make_client(table_name="t") as client:
        pass
    assert client._transports == {}


# --- the botocore client


def test_botocore_client_has_the_same_settings():
    with (
        make_client(
            region="eu-west-1", endpoint="http://localhost:1234", credentials=(ACCESS_KEY, SECRET_KEY, TOKEN)
        ) as client,
        use_client(client),
    ):
        real = get_client()
        assert real.meta.service_model.service_name == "dynamodb"
        assert real.meta.region_name == "eu-west-1"
        assert real.meta.endpoint_url == "http://localhost:1234"
        assert real._request_signer._credentials.get_frozen_credentials()[:3] == (ACCESS_KEY, SECRET_KEY, TOKEN)
        assert get_client() is real


def test_botocore_client_of_an_owner_is_his_and_stays_open():
    closed: list[None] = []
    owner = owned_client()
    owner.close = lambda: closed.append(None)
    with make_client(client=owner) as client, use_client(client):
        assert get_client() is owner
    assert closed == []


def test_botocore_client_is_the_transports_own_where_that_is_botocore():
    with make_client(table_name="t", region="us-east-1", transport="botocore") as client, use_client(client):
        transport = client.transport
        assert client.transport_reason == "asked for"
        assert get_client() is transport.get_client()
