"""Fixtures of all tests: an environment without the machine in it, the engines, a client on a fresh table."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import engines
import hypothesis
import pytest

import jaypie_dynamo

if TYPE_CHECKING:
    from collections.abc import Iterator

TRANSPORTS = ("botocore", "direct")
ENGINES = ("moto", "dynamodb_local")

# Transports that open sockets of their own, where moto in process sees nothing: they talk to moto's server.
OWN_SOCKETS = frozenset({"direct"})

REGION = "us-east-1"

# Prefixes and names of environment variables that must not reach a test from the machine it runs on.
_PREFIXES = ("AWS_", "DYNAMODB_", "JAYPIE_DYNAMO_", "_X_AMZN_")
_CERTIFICATES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}

# A table lives for all examples of a test, on purpose: each example writes under keys of its own.
_SUPPRESSED = [hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("dev", deadline=None, suppress_health_check=_SUPPRESSED)
hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    suppress_health_check=_SUPPRESSED,
    derandomize=True,  # a red run is red again, and a green one cannot turn red by chance
    database=None,
    print_blob=True,
    max_examples=100,
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

_RUN = pytest.StashKey[engines.EngineRun]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dynamodb_local: runs on AWS's DynamoDB Local (set by its fixture)")
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = engines.EngineRun()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["engine_run"] = str(node.config.stash[_RUN].path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "dynamodb_local_endpoint" in getattr(item, "fixturenames", ()) or "dynamodb_local" in _params(item):
            item.add_marker("dynamodb_local")


def _params(item: pytest.Item) -> list[str]:
    # Text alone: a condition is neither equal nor unequal to anything.
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return [value for value in values if isinstance(value, str)]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RUN in config.stash:
        config.stash[_RUN].close()


class Engine(NamedTuple):
    """A DynamoDB to test against; `endpoint` is None where requests are caught in process."""

    name: str
    endpoint: str | None


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take away what the machine says about AWS, certificates and proxies; afterwards, the current client."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name.upper() in _CERTIFICATES | _PROXIES:
            monkeypatch.delenv(name)
    # botocore would look into the home directory and ask the metadata service otherwise.
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    jaypie_dynamo.reset_client()


@pytest.fixture(scope="session")
def dynamodb_local_endpoint(request: pytest.FixtureRequest) -> str:
    """AWS's DynamoDB Local, in memory, one process for all workers of the run."""
    config = request.config
    run = Path(config.workerinput["engine_run"]) if hasattr(config, "workerinput") else config.stash[_RUN].path
    try:
        return engines.dynamodb_local(run)
    except engines.MissingEngineError as error:
        raise _refusal(str(error)) from None


@pytest.fixture(scope="session")
def moto_server_endpoint() -> Iterator[str]:
    """moto behind a loopback socket, one for each worker."""
    with engines.moto_server() as endpoint:
        yield endpoint


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, transport: str) -> Iterator[Engine]:
    """One engine, reached by one transport."""
    if request.param == "dynamodb_local":
        yield Engine("dynamodb_local", request.getfixturevalue("dynamodb_local_endpoint"))
    elif transport in OWN_SOCKETS:
        yield Engine("moto", request.getfixturevalue("moto_server_endpoint"))
    else:
        from moto import mock_aws  # half a second: only for tests that use it

        with mock_aws():
            yield Engine("moto", None)


@pytest.fixture
def client(engine: Engine, transport: str) -> Iterator[Any]:
    """The current client, bound to a table of its own with the five indexes."""
    table_name = f"test-{uuid.uuid4().hex}"
    current = jaypie_dynamo.init_client(
        table_name=table_name, region=REGION, endpoint=engine.endpoint, transport=transport
    )
    jaypie_dynamo.create_table()
    yield current
    with jaypie_dynamo.use_client(current):  # the test may have left another one, or none
        jaypie_dynamo.destroy_table(table_name=table_name)
    current.close()


def _refusal(reason: str) -> BaseException:
    if engines.MACHINE.get("JAYPIE_DYNAMO_REQUIRE_ENGINES") == "1":
        return pytest.fail.Exception(reason, pytrace=False)
    return pytest.skip.Exception(reason)
