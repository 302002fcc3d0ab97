"""Configuration and the current client. No network and no botocore at import or initialisation.

A `Client` is what every other call is made with: settings resolved once (argument before environment before default),
a transport made on first use. One client is the process-wide default; `use_client` overrides it in a context.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from threading import Lock

from ._errors import ConfigurationError, TransportError, ValidationError
from ._marshal import Reader, quote
from ._transport import choose_transport, find_interception, make_transport
from ._transport._attempt import AttemptError
from ._transport._credentials import Credentials
from ._transport._endpoint import is_loopback, parse_endpoint, region_of_host
from ._transport._policy import Quota, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, TypeVar

    from ._transport._attempt import Request
    from ._types import Transport

    Answer = TypeVar("Answer")

DEFAULT_REGION = "us-east-1"
DEFAULT_CONNECT_TIMEOUT_S = 1.0
DEFAULT_READ_TIMEOUT_S = 5.0
DEFAULT_MAX_ATTEMPTS = 4

# What DynamoDB Local and moto accept, so that a laptop needs no credentials.
LOCAL_CREDENTIALS = Credentials("local", "local")

NOT_INITIALIZED = "DynamoDB client not initialized. Call init_client() first."


class Client:
    """A configured connection to one table. Made by `init_client` or `make_client`; safe for threads.

    A context manager: `with make_client(…) as client:` closes it at the end.

    Attributes:
        region: the AWS region.
        endpoint: the endpoint URL, or None for AWS's own.
        ttl_attribute: the name of the table's expiry attribute, or None.
    """

    __slots__ = (
        "__weakref__",
        "_is_closed",
        "_table_name",
        "_transport_name",
        "_transport_reason",
        "_transports",
        "allow_insecure",
        "connect_timeout_s",
        "credentials",
        "endpoint",
        "max_attempts",
        "owner_client",
        "quota",
        "read_timeout_s",
        "reader",
        "region",
        "table_json",
        "transport_choice",
        "ttl_attribute",
    )

    def __init__(
        self,
        *,
        table_name: str | None,
        region: str | None,
        endpoint: str | None,
        credentials: Mapping[str, str | None] | Sequence[str | None] | None,
        transport: str | None,
        client: Any,
        connect_timeout_s: float,
        read_timeout_s: float,
        max_attempts: int,
        parse_float: Callable[[str], Any] | None,
        ttl_attribute: str | None,
        allow_insecure: bool,
    ) -> None:
        environ = os.environ
        _check_text("endpoint", endpoint)
        _check_text("ttl_attribute", ttl_attribute)
        self._table_name = _check_table_name(table_name or environ.get("DYNAMODB_TABLE_NAME") or None)
        self.table_json = None if self._table_name is None else quote(self._table_name)
        self.transport_choice = transport or environ.get("JAYPIE_DYNAMO_TRANSPORT") or "auto"
        self.owner_client = client
        if client is not None:
            for name, value in (("region", region), ("endpoint", endpoint), ("credentials", credentials)):
                if value:
                    raise ValidationError(
                        f"{name}= and client= exclude each other: the client passed has its own {name}", path=name
                    )
            self.region, self.endpoint, self.credentials = None, None, None
        else:
            self.endpoint = endpoint or _endpoint_of(environ)
            self.region = _resolve_region(region, self.endpoint, environ)
            self.credentials = _check_credentials(credentials)
            if self.credentials is None and self.endpoint and is_loopback(parse_endpoint(self.endpoint).host):
                self.credentials = LOCAL_CREDENTIALS
        self.connect_timeout_s = _check_positive("connect_timeout_s", connect_timeout_s)
        self.read_timeout_s = _check_positive("read_timeout_s", read_timeout_s)
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
            raise ValidationError("max_attempts must be a whole number from 1", path="max_attempts")
        self.max_attempts = max_attempts
        if parse_float is not None and not callable(parse_float):
            raise ValidationError("parse_float must be callable, such as decimal.Decimal", path="parse_float")
        self.reader = Reader(parse_float)
        self.ttl_attribute = ttl_attribute or None
        self.allow_insecure = allow_insecure
        self.quota = Quota()
        self._transports: dict[str, Transport] = {}
        self._transport_name: str | None = None
        self._transport_reason = ""
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Client table={self._table_name!r} region={self.region!r} endpoint={self.endpoint!r}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def table_name(self) -> str:
        """The table's name. Raises ConfigurationError where none was given."""
        if self._table_name is None:
            raise ConfigurationError("No table name. Pass init_client(table_name=…) or set DYNAMODB_TABLE_NAME.")
        return self._table_name

    @property
    def has_table_arn(self) -> bool:
        """Whether the table is named by an ARN, whose endpoint only botocore knows."""
        return self._table_name is not None and self._table_name.startswith("arn:")

    @property
    def transport(self) -> Transport:
        """The transport of the next request: chosen once, but for a mock or tracer that has come since."""
        name = self._transport_name
        if name is None:
            name, self._transport_reason = choose_transport(self)
            self._transport_name = name
        if name == "direct" and self.transport_choice == "auto" and find_interception() is not None:
            name = "botocore"
        transport = self._transports.get(name)
        return self._open(name) if transport is None else transport

    def set_transport(self, transport: Transport) -> None:
        """Send through this object from now on, whatever the settings say: the seam for tests."""
        self.transport_choice = self._transport_name = transport.name
        self._transport_reason = "set by a test"
        self._transports[transport.name] = transport

    @property
    def transport_reason(self) -> str:
        """Why `transport` is the one it is."""
        is_other = self.transport.name != self._transport_name
        return (find_interception() if is_other else None) or self._transport_reason

    def _open(self, name: str) -> Transport:
        with _opening:
            if self._is_closed:
                raise ConfigurationError("The client is closed. Make a new one with init_client() or make_client().")
            if name not in self._transports:
                self._transports[name] = make_transport(name, self)
            return self._transports[name]

    def call(self, request: Request, *, read: Callable[[bytes], Answer]) -> Answer:
        """Send a request under the retry policy; see `_transport._policy.call`."""
        return call(self.transport, request, read=read, quota=self.quota)

    def botocore_client(self) -> Any:
        """Give the real botocore client with the same settings, made on first use."""
        transport: Any = self._open("botocore")
        return transport.get_client()

    def close(self) -> None:
        """Close every connection this client opened; a client passed by its owner stays open. Twice is fine."""
        self._is_closed = True
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            transport.close()


# Two threads that send their first requests at once share what the first of them opens.
_opening = Lock()

_default: Client | None = None
_override: ContextVar[Client | None] = ContextVar("jaypie_dynamo_client", default=None)


def make_client(
    *,
    table_name: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    credentials: Mapping[str, str | None] | Sequence[str | None] | None = None,
    transport: str | None = None,
    client: Any = None,
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
    read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    parse_float: Callable[[str], Any] | None = None,
    ttl_attribute: str | None = None,
    allow_insecure: bool = False,
) -> Client:
    """Make a client without making it the current one; use it with `use_client`.

        with make_client(table_name="other") as other, use_client(other):
            put_entity(entity=…)

    Args:
        table_name: the table; default `DYNAMODB_TABLE_NAME`. Name or ARN.
        region: default `AWS_REGION`, `AWS_DEFAULT_REGION`, the region in a standard endpoint host, then `us-east-1`.
        endpoint: endpoint URL; default `DYNAMODB_ENDPOINT`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL`, then
            AWS's own. A loopback host gets the dummy credentials `local`.
        credentials: `(access_key, secret_key)`, `(access_key, secret_key, session_token)`, or a mapping with
            boto3's names `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`. None finds them where the
            AWS SDKs do.
        transport: `"auto"` (default), `"direct"` or `"botocore"`; default `JAYPIE_DYNAMO_TRANSPORT`. `auto` is
            `direct`, which needs no botocore, wherever nothing asks for botocore; `describe_status()` tells why.
        client: a botocore or boto3 DynamoDB client to send through. Its own calls are not touched; region, endpoint and
            credentials are its own and must not be given beside it.
        connect_timeout_s: seconds to open a connection.
        read_timeout_s: seconds to wait for an answer.
        max_attempts: how often one request is sent at most, 1 for no retries.
        parse_float: called with the text of every number that is not integral, such as `decimal.Decimal`. By default
            a float where that loses no digit, else a Decimal.
        ttl_attribute: the name of the table's expiry attribute.
        allow_insecure: allow plain HTTP to a host that is not this machine.

    Returns:
        The client. An empty string counts as not given.

    Raises:
        ValidationError: an argument is wrong.
        ConfigurationError: the settings contradict each other.

    Cost: no request, no network, no import of botocore.
    Source: the AWS SDKs and Tools reference guide, for the names in the environment.
    """
    return Client(
        table_name=table_name,
        region=region,
        endpoint=endpoint,
        credentials=credentials,
        transport=transport,
        client=client,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
        max_attempts=max_attempts,
        parse_float=parse_float,
        ttl_attribute=ttl_attribute,
        allow_insecure=allow_insecure,
    )


def init_client(
    *,
    table_name: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    credentials: Mapping[str, str | None] | Sequence[str | None] | None = None,
    transport: str | None = None,
    client: Any = None,
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
    read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    parse_float: Callable[[str], Any] | None = None,
    ttl_attribute: str | None = None,
    allow_insecure: bool = False,
) -> Client:
    """Set the process-wide current client and return it. Call it once, at module level in a Lambda function.

        init_client(table_name="my-table")

    A client set before is closed.

    Args:
        table_name: see `make_client`, as for all arguments.
        region: see `make_client`.
        endpoint: see `make_client`.
        credentials: see `make_client`.
        transport: see `make_client`.
        client: see `make_client`.
        connect_timeout_s: see `make_client`.
        read_timeout_s: see `make_client`.
        max_attempts: see `make_client`.
        parse_float: see `make_client`.
        ttl_attribute: see `make_client`.
        allow_insecure: see `make_client`.

    Returns:
        The client.

    Raises:
        ValidationError: an argument is wrong.
        ConfigurationError: the settings contradict each other.

    Cost: no request, no network, no import of botocore.
    Source: seed of the API: `initClient` of `@jaypie/dynamodb`.
    """
    global _default
    made = make_client(
        table_name=table_name,
        region=region,
        endpoint=endpoint,
        credentials=credentials,
        transport=transport,
        client=client,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
        max_attempts=max_attempts,
        parse_float=parse_float,
        ttl_attribute=ttl_attribute,
        allow_insecure=allow_insecure,
    )
    previous, _default = _default, made
    if previous is not None:
        previous.close()
    return made


class use_client:  # noqa: N801 - a context manager reads like a function
    """Make a client the current one inside a `with` block, in this context only.

        with use_client(other):
            put_entity(entity=…)

    Threads started inside see the process-wide client; `contextvars.copy_context().run` carries this one along.

    Args:
        client: what `make_client` or `init_client` returned.

    Raises:
        ValidationError: this is no such client.
    """

    __slots__ = ("_client", "_tokens")

    def __init__(self, client: Client) -> None:
        if not isinstance(client, Client):
            raise ValidationError(
                f"use_client takes a client from make_client(), not a {type(client).__name__}; "
                "pass a boto3 client to make_client(client=…)",
                path="client",
            )
        self._client = client
        self._tokens: list[Any] = []

    def __enter__(self) -> Client:
        self._tokens.append(_override.set(self._client))
        return self._client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _override.reset(self._tokens.pop())


def current_client() -> Client:
    """Give the client of this context. Raises ConfigurationError where there is none."""
    client = _override.get() or _default
    if client is None:
        raise ConfigurationError(NOT_INITIALIZED)
    return client


def warm_up() -> None:
    """Open the connection and derive the signing key ahead of the first request.

        init_client(table_name="my-table")
        warm_up()  # at module level: a Lambda function's INIT pays, not its first event

    Raises:
        ConfigurationError: no client, or no credentials.
        TransportError: the endpoint cannot be reached.

    Cost: no request; one connection (TCP, TLS).
    Source: the AWS Lambda page "Lambda execution environment lifecycle".
    """
    try:
        current_client().transport.warm_up()
    except AttemptError as error:
        raise TransportError(f"warm_up failed: {error}.") from error


def get_table_name() -> str:
    """Tell the current client's table.

    Raises:
        ConfigurationError: no client, or no table name.

    Cost: no request.
    Source: `getTableName` of `@jaypie/dynamodb`.
    """
    return current_client().table_name


def is_initialized() -> bool:
    """Tell whether there is a current client.

    Cost: no request.
    Source: `isInitialized` of `@jaypie/dynamodb`.
    """
    return (_override.get() or _default) is not None


def reset_client() -> None:
    """Close and forget the process-wide client. For tests.

    Cost: no request.
    Source: `resetClient` of `@jaypie/dynamodb`.
    """
    global _default
    previous, _default = _default, None
    if previous is not None:
        previous.close()


def get_client() -> Any:
    """Give a real botocore DynamoDB client with the current client's region, endpoint and credentials.

    For what this library does not cover (backups, streams settings, tags). Made on first use; the client passed as
    `init_client(client=…)` where there is one. A client made here sends each call once and leaves checking its
    parameters to DynamoDB: retries are this library's own, above it.

    Raises:
        ConfigurationError: no client.

    Cost: no request; the first call imports botocore (100–250 ms of CPU on one core).
    Source: `getClient` of `@jaypie/dynamodb`.
    """
    return current_client().botocore_client()


def _endpoint_of(environ: Mapping[str, str]) -> str | None:
    if environ.get("DYNAMODB_ENDPOINT"):
        return environ["DYNAMODB_ENDPOINT"]
    # https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or None


def _resolve_region(region: str | None, endpoint: str | None, environ: Mapping[str, str]) -> str:
    given = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
    if given is not None and not (isinstance(given, str) and given.replace("-", "").isalnum() and given.isascii()):
        raise ConfigurationError(f"The region {given!r} is not a region name, such as 'us-east-1'.")
    in_host = None if endpoint is None else region_of_host(parse_endpoint(endpoint).host)
    if given and in_host and given != in_host:
        raise ConfigurationError(
            f"The region is {given!r} but the endpoint {endpoint!r} is in {in_host!r}: requests would be signed for "
            "the wrong region. Give one of them."
        )
    return given or in_host or DEFAULT_REGION


def _check_table_name(name: str | None) -> str | None:
    if name is None:
        return None
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
    if (
        not isinstance(name, str)
        or not name.isascii()
        or not (name.startswith("arn:") or name.translate(_PUNCTUATION).isalnum())
        or len(name) > 1024
    ):
        raise ValidationError(
            f"table_name must be made of letters, digits, '_', '-' and '.', or be a table ARN, not {name!r}",
            path="table_name",
        )
    return name


_PUNCTUATION = str.maketrans("_-.", "000")

_CREDENTIAL_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def _check_credentials(
    credentials: Mapping[str, str | None] | Sequence[str | None] | None,
) -> Credentials | None:
    """Bring credentials into one form. No message ever shows a value."""
    if not credentials:
        return None
    parts: list[str | None]
    if isinstance(credentials, (list, tuple)) and len(credentials) in (2, 3):
        parts = [*credentials, None][:3]
    elif isinstance(credentials, dict) and set(credentials) <= set(_CREDENTIAL_NAMES):
        parts = [credentials.get(name) for name in _CREDENTIAL_NAMES]
    else:
        raise ValidationError(
            "credentials must be (access_key, secret_key[, session_token]) or a dict with "
            + ", ".join(_CREDENTIAL_NAMES),
            path="credentials",
        )
    for name, part in zip(_CREDENTIAL_NAMES, parts, strict=True):
        if part is None and name == "aws_session_token":
            continue
        if not isinstance(part, str) or not part or not part.isascii() or not part.isprintable():
            raise ValidationError(f"credentials: {name} must be a non-empty str of printable ASCII", path="credentials")
    access_key, secret_key, token = parts
    return Credentials(str(access_key), str(secret_key), token)


def _check_text(name: str, value: str | None) -> None:
    if value is not None and not isinstance(value, str):
        raise ValidationError(f"{name} must be a str, not {type(value).__name__}", path=name)


def _check_positive(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValidationError(f"{name} must be a number of seconds above 0", path=name)
    return float(value)
