"""The transport `botocore`: a real botocore DynamoDB client carries our bytes, one HTTP attempt per `send`.

It uses botocore's public event hooks alone, so whatever else hooks in (tracing, mocks, proxies, profiles, SSO)
keeps working, and the client may be one that its owner goes on using:

    provide-client-params  our call is recognised, and the context that its later events carry is remembered
    before-call            the body becomes ours; it is signed afterwards
    request-created        a second attempt is stopped before it is signed
    before-parse           the raw answer is taken; the shape-driven parser (11 of the 12 ms of a 100-item
                           query) gets `{}` instead. Errors it may read: tracing needs their code
    response-received      the parser is left; its failure would not have been the answer's
    needs-retry            ends the call, ahead of every other handler, where botocore might sleep and try
                           again, with the error that botocore itself would raise in the end
    after-call             an answer that never was HTTP (a `Stubber`'s) is turned back into JSON

The handlers are plain functions that hold nothing. They act only for the call that the running thread has
pushed, and stay registered for the life of the client: taken away while another thread is inside a call, they
would leave that call to botocore's own retries, and a write could be sent twice.

It must never sleep, repeat, judge a status code, or touch a call that is not ours. What it cannot do:
an owner's client in `adaptive` mode whose own traffic was throttled holds back every call through it, ours too;
a hook that changes parameters (a prefix before each table name) changes what botocore sees, not what we send;
hooks see our refused calls in `after-call-error`, not in `needs-retry` and `after-call`.

Imports `_errors` and `_attempt`, and botocore only when a client is made or a call fails.
Source: botocore/client.py, endpoint.py, hooks.py and retryhandler.py of 1.35.16 and 1.44.5, and
https://docs.aws.amazon.com/boto3/latest/guide/events.html
"""

from __future__ import annotations

import json
import os
import threading
from weakref import WeakSet
from zlib import crc32

from .._errors import ConfigurationError, ValidationError
from ._attempt import AttemptError, Request, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

# Beyond it connections are made and thrown away again; botocore's default is 10.
# https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html
_MAX_POOL_CONNECTIONS = 50

_CLIENT_WANTED = 'Pass a DynamoDB client such as boto3.client("dynamodb") or session.client("dynamodb").'

# What to do about an error that botocore raises before anything is sent. Looked up along the error's classes, by
# name: the oldest botocore lacks some of them.
_NEXT_STEPS = {
    "NoCredentialsError": "Give the function a role, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or "
    "AWS_PROFILE), or pass credentials= to init_client().",
    "PartialCredentialsError": "Set the access key and the secret key, both from the same source.",
    "TokenRetrievalError": "The sign-in is missing or expired: run `aws sso login`.",
    "NoAuthTokenError": "The sign-in is missing or expired: run `aws sso login`.",
    "SSOError": "The sign-in is missing or expired: run `aws sso login`.",
    "LoginError": "The sign-in is missing or expired: run `aws login`.",
    "CredentialRetrievalError": "The source of the credentials refused or did not answer: check the role, the "
    "profile or the container's credential endpoint.",
    "MetadataRetrievalError": "The source of the credentials refused or did not answer: check the role, the "
    "profile or the container's credential endpoint.",
    "RefreshWithMFAUnsupportedError": "The credentials have expired and need a new MFA code: get new ones.",
    "ClientError": "The credentials could not be had from AWS: check the role and who may assume it.",
    "NoRegionError": "Pass region= to init_client() or set AWS_REGION.",
    "InvalidRegionError": "Pass a valid region= to init_client() or correct AWS_REGION.",
    "ProfileNotFound": "Correct AWS_PROFILE (or the profile's file), or unset it.",
}
_NEXT_STEP_OTHERWISE = "Check the AWS settings of this process: environment, profile, endpoint."


class _Call:
    """Our one call on a thread, from push to pop.

    Attributes:
        context: botocore's request context, which identifies the call from its first event on; None until then.
        on_wire: the context of the request that this thread created last: ours, or one nested in ours.
        loaded: the body is ours.
        departed: the request is signed and on its way; from here on a failure may follow a sent byte.
        parsing: the answer is taken, botocore's parser has it in hand.
        outer: the call that this one is nested in.
    """

    __slots__ = (
        "answer",
        "client",
        "context",
        "departed",
        "key",
        "loaded",
        "mark",
        "on_wire",
        "outer",
        "params",
        "parsing",
        "request",
        "timeout_s",
    )

    def __init__(self, request: Request, client: Any, timeout_s: float | None, outer: _Call | None) -> None:
        self.request = request
        self.client = client
        self.timeout_s = timeout_s
        self.outer = outer
        self.params, self.key, self.mark = _mark_params(request.params)
        self.answer: Response | None = None
        self.context: Any = None
        self.on_wire: Any = None
        self.loaded = False
        self.departed = False
        self.parsing = False


class _Running(threading.local):
    call: _Call | None = None


_running = _Running()


# Every transport with a client of its own, which a fork has to know of.
_live: WeakSet[BotocoreTransport] = WeakSet()


class BotocoreTransport:
    """One attempt through a botocore client: the caller's, or one of our own, made at its first use.

    Args:
        client: a DynamoDB client of botocore or boto3 that its owner keeps. Its timeouts, endpoint and
            credentials are then the ones used, and all other arguments are ignored.
        region, endpoint: None leaves them to botocore.
        credentials: an object with `access_key`, `secret_key` and `token`; botocore's own `Credentials`, which may
            refresh themselves, are asked anew for every request. None leaves them to botocore.
        connect_timeout_s, read_timeout_s: for a client of our own. They are what bounds an attempt.
    """

    name = "botocore"

    def __init__(
        self,
        *,
        client: Any = None,
        region: str | None = None,
        endpoint: str | None = None,
        credentials: Any = None,
        connect_timeout_s: float = 1.0,
        read_timeout_s: float = 5.0,
    ) -> None:
        self._is_ours = client is None
        self._region = region
        self._endpoint = endpoint
        self._credentials = credentials
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._lock = threading.Lock()
        self._client: Any = None
        self._methods: dict[str, str] = {}
        if client is not None:
            _require_dynamodb_client(client)
            self._adopt(client)
        else:
            _live.add(self)

    def send(self, request: Request, timeout_s: float | None = None) -> Response:
        """Make one HTTP attempt and return whatever complete answer came back, errors included.

        Args:
            request: what to send.
            timeout_s: the time left. botocore has no public timeout per call: an attempt is bounded by the
                client's own connect and read timeouts. Where botocore takes a `read_timeout` from the request's
                context (1.44.5 does), that one is shortened to the time left.

        Raises:
            AttemptError: no complete answer; `sent` says whether a byte may have left.
            ConfigurationError: no credentials, no region, an operation this botocore does not know, …
            ValidationError: botocore's own validation refused `request.params`.

        What is none of these comes from somebody else's hook in the client and passes unchanged.
        """
        if timeout_s is not None and timeout_s <= 0:
            raise AttemptError(f"{request.operation}: no time is left for an attempt", sent=False)
        client = self.get_client()
        method = self._methods.get(request.operation)
        if method is None:
            raise ConfigurationError(
                f"This botocore does not know the operation {request.operation!r}. Install a newer botocore."
            )
        call = _Call(request, client, timeout_s, _running.call)
        _running.call = call
        try:
            # The public method, looked up each time: whatever is patched into the client or its class sees it.
            result = getattr(client, method)(**call.params)
        except Exception as error:
            return _judge_error(error, call=call)
        finally:
            _running.call = call.outer
        # Without an answer by now, something that replaced botocore's own call has answered.
        return call.answer or _rebuild_response(result, status=200)

    def warm_up(self) -> None:
        """Make the client and open its connection with one `DescribeEndpoints`, the lightest call there is.

        botocore has no public way to connect without a call. Any answer will do, a refusal too, so no permission
        is needed. The call shows in traces; a failure to connect raises as in `send`.
        """
        self.send(Request("DescribeEndpoints", b"{}", {}, 1))

    def refresh_credentials(self) -> bool:
        """Look for credentials anew and return whether another attempt may now fare better.

        A client of our own is replaced, so that the whole chain (environment, profile, container, …) is asked
        again. Credentials that were passed in, and those of a client that was passed in, are the caller's: False.
        """
        if not self._is_ours or self._credentials is not None:
            return False
        self.close()
        return True

    def correct_clock(self, server_date: str) -> bool:  # noqa: ARG002
        """Return False: botocore signs with the machine's clock and offers no correction."""
        return False

    def close(self) -> None:
        """Close a client of our own; the next `send` makes another. A client that was passed in stays open."""
        if not self._is_ours:
            return
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _leave_to_parent(self) -> None:
        # A lock may be held by a thread that does not exist in the child. What is closed there stays the parent's.
        self._lock = threading.Lock()
        self.close()

    def get_client(self) -> Any:
        """Return the botocore client, made at the first use."""
        client = self._client
        if client is None:
            with self._lock:
                client = self._client
                if client is None:
                    client = self._adopt(self._make_client())
        return client

    def _adopt(self, client: Any) -> Any:
        _register_handlers(client.meta.events)
        self._methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
        self._client = client
        return client

    def _make_client(self) -> Any:
        from botocore.config import Config
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        from .. import __version__

        config = Config(
            # "standard" lest AWS_RETRY_MODE=adaptive brings its own waiting; one attempt in all.
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=self._connect_timeout_s,
            read_timeout=self._read_timeout_s,
            parameter_validation=False,
            tcp_keepalive=True,
            max_pool_connections=_MAX_POOL_CONNECTIONS,
            user_agent_extra=f"jaypie_dynamo/{__version__}",
        )
        given = self._credentials
        try:
            session = Session()
            keys: dict[str, Any] = {}
            if isinstance(given, Credentials):
                session.register_component("credential_provider", _GivenCredentials(given))
            elif given is not None:
                keys = {
                    "aws_access_key_id": given.access_key,
                    "aws_secret_access_key": given.secret_key,
                    "aws_session_token": given.token,
                }
            return session.create_client(
                "dynamodb", region_name=self._region, endpoint_url=self._endpoint, config=config, **keys
            )
        except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
            raise ConfigurationError(_describe_setting(error)) from error


class _GivenCredentials:
    """The provider that botocore asks: it answers with the object we were given, which may refresh itself."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        return self._credentials


# Recognising our call


def _mark_params(params: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, object]:
    """Copy `params` with one value replaced by an equal new object, which no other call can carry."""
    for key, value in params.items():
        mark: object = None
        if isinstance(value, str):
            mark = value[:1] + value[1:]
        elif isinstance(value, (dict, list)):
            mark = value.copy()
        if mark is not None and mark is not value:
            return {**params, key: mark}, key, mark
    return params, "", object()


def _recognise_call(params: Mapping[str, Any], model: Any, context: Any, **_: Any) -> None:
    call = _running.call
    if call is None:
        return
    # By the mark, even if a wrapper of the client repeats our call (it is stopped at `request-created`). Without
    # the mark (no parameter to carry it, a wrapper that copies deeply) the first equal call is ours.
    if params.get(call.key) is call.mark or (
        call.context is None and model.name == call.request.operation and params == call.params
    ):
        call.context = context


def _load_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    call = _running.call
    if call is None or context is not call.context:
        return
    params["body"] = call.request.body
    call.loaded = True
    if call.timeout_s is not None:
        configured = context["client_config"].read_timeout
        if configured is None or call.timeout_s < configured:
            context["read_timeout"] = call.timeout_s


def _check_departure(request: Any, operation_name: str, **_: Any) -> None:
    call = _running.call
    if call is None:
        return
    ours = request.context is call.context
    if ours and call.departed:
        raise AttemptError(f"{operation_name}: a second attempt was stopped", sent=True)
    if (ours and not call.loaded) or (call.context is None and operation_name == call.request.operation):
        # Ours, but not with our body. An emitter that was looking an event up for another thread just while we
        # registered goes on without our handler for that event, until the next registration.
        events = call.client.meta.events
        events.register("jaypie-dynamo-forget", _check_departure)
        events.unregister("jaypie-dynamo-forget", _check_departure)
        raise AttemptError(f"{operation_name}: the call was not recognised, or its parameters changed", sent=False)


def _note_departure(request: Any, **_: Any) -> None:
    call = _running.call
    if call is None:
        return
    call.on_wire = request.context
    if request.context is call.context:
        call.departed = True
        # One identity for all attempts of a call, in the headers that botocore adds after this event.
        retries = request.context["retries"]
        call.request.invocation_id = call.request.invocation_id or retries["invocation-id"]
        retries["invocation-id"] = call.request.invocation_id
        retries["attempt"] = call.request.attempt
        retries["max"] = call.request.max_attempts


# Taking the answer


def _spare_parser(response_dict: dict[str, Any], **_: Any) -> None:
    call = _running.call
    # This event does not carry the context. If a nested call came last, the answer is taken in `needs-retry`.
    if call is None or call.context is None or call.on_wire is not call.context:
        return
    status = response_dict["status_code"]
    call.answer = Response(status, _lower_headers(response_dict["headers"]), response_dict["body"])
    call.parsing = True
    if status < 300:
        response_dict["body"] = b"{}"


def _leave_parser(context: Any, **_: Any) -> None:
    call = _running.call
    if call is not None and context is call.context:
        call.parsing = False


def _end_call(
    response: tuple[Any, dict[str, Any]] | None,
    operation: Any,
    caught_exception: Exception | None,
    request_dict: dict[str, Any],
    **_: Any,
) -> None:
    call = _running.call
    if call is None or request_dict["context"] is not call.context:
        return
    call.departed = True
    if caught_exception is not None:
        raise caught_exception
    if response is None:
        return
    http_response, parsed = response
    raw = http_response.content
    answer = call.answer
    if answer is None:
        answer = call.answer = Response(http_response.status_code, _lower_headers(http_response.headers), raw)
    # botocore 1.44.5 takes an answer that broke off for a whole one.
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and len(raw) < int(length):
        call.answer = None
        raise AttemptError(f"{operation.name}: the answer broke off after {len(raw)} of {length} bytes", sent=True)
    if answer.status >= 300:
        raise call.client.exceptions.from_code(parsed.get("Error", {}).get("Code"))(parsed, operation.name)
    expected = answer.headers.get("x-amz-crc32")
    if expected is not None and expected != str(actual := crc32(raw)):
        from botocore.exceptions import ChecksumError

        raise ChecksumError(checksum_type="crc32", expected_checksum=expected, actual_checksum=str(actual))
    if answer.body is not raw:
        # A hook of the owner changed it (deciphered, unpacked) after its checksum was right.
        answer.headers.pop("x-amz-crc32", None)
        answer.headers.pop("content-length", None)


def _take_stubbed(http_response: Any, parsed: dict[str, Any], context: Any, **_: Any) -> None:
    call = _running.call
    if call is not None and context is call.context and call.answer is None:
        call.answer = _rebuild_response(parsed, status=http_response.status_code)


# The emitter goes from the longer names to the shorter, wildcards before exact names: `*.*` with `register_first`
# runs ahead of every other handler, a bare event with `register_last` behind every other one.
_HANDLERS = (
    ("provide-client-params.*.*", _recognise_call, "first"),
    ("before-call.*.*", _load_body, "first"),
    ("request-created.*.*", _check_departure, "first"),
    # The service's level, as botocore adds its retry headers on the level below.
    ("request-created.dynamodb", _note_departure, "last"),
    ("before-parse", _spare_parser, "last"),
    ("response-received.*.*", _leave_parser, "first"),
    ("needs-retry.*.*", _end_call, "first"),
    ("after-call.*.*", _take_stubbed, "first"),
)


def _register_handlers(events: Any) -> None:
    for event, handler, place in _HANDLERS:
        register = events.register_first if place == "first" else events.register_last
        register(event, handler, unique_id=f"jaypie-dynamo-{event}-{place}")


def _lower_headers(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in headers.items()}


def _rebuild_response(parsed: Any, *, status: int) -> Response:
    """Turn a parsed answer back into DynamoDB's JSON."""
    if not isinstance(parsed, dict):
        raise ConfigurationError(
            f"The client answered with a {type(parsed).__name__} instead of a dict. {_CLIENT_WANTED}"
        )
    metadata = parsed.get("ResponseMetadata") or {}
    members = {name: value for name, value in parsed.items() if name not in ("ResponseMetadata", "Error")}
    if status >= 300:
        error = parsed.get("Error") or {}
        members["__type"] = error.get("Code", "")
        members.setdefault("message", error.get("Message", ""))
    headers = _lower_headers(metadata.get("HTTPHeaders") or {})
    for about_the_old_body in ("content-length", "x-amz-crc32"):
        headers.pop(about_the_old_body, None)
    if "RequestId" in metadata:
        headers.setdefault("x-amzn-requestid", metadata["RequestId"])
    return Response(status, headers, json.dumps(members, default=_encode_value).encode())


def _encode_value(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        from base64 import b64encode

        return b64encode(value).decode()
    if hasattr(value, "timestamp"):  # a datetime: DynamoDB writes epoch seconds
        return value.timestamp()
    raise TypeError(
        f"A stubbed answer holds a {type(value).__name__}: give values in DynamoDB's typed form, like {{'S': 'x'}}"
    )


# What went wrong


def _judge_error(error: Exception, *, call: _Call) -> Response:
    """Return the answer if there is one behind `error`, else raise what `error` means."""
    from botocore import exceptions as known

    operation = call.request.operation
    if call.answer is not None and (
        call.parsing or isinstance(error, (known.ClientError, known.BotoCoreError, AttemptError))
    ):
        return call.answer
    if isinstance(error, (known.ClientError, known.BotoCoreError)):
        if isinstance(error, known.StubResponseError):
            raise error
        if isinstance(error, known.ClientError) and call.context is None and error.operation_name == operation:
            # botocore's own call is patched away.
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            return _rebuild_response(error.response, status=status)
        if isinstance(error, known.ParamValidationError):
            raise ValidationError(f"{operation}: {error}") from error
        if call.departed:
            _raise_failed_attempt(error, operation=operation)
        if isinstance(error, known.ClientError) and _is_dynamodb(error.operation_name, client=call.client):
            raise error  # a call that somebody's hook nested in ours
        if isinstance(error, (known.HTTPClientError, known.ConnectionError)):
            # The road to the credentials, not to DynamoDB.
            raise AttemptError(f"{operation}: nothing was sent: {error}", sent=False) from error
        raise ConfigurationError(_describe_setting(error)) from error
    if isinstance(error, AttemptError) or not call.departed or call.answer is not None:
        raise error
    raise AttemptError(f"{operation}: {type(error).__name__}: {error}", sent=True) from error


def _is_dynamodb(operation: str, *, client: Any) -> bool:
    return operation in client.meta.method_to_api_mapping.values()


def _raise_failed_attempt(error: Any, *, operation: str) -> NoReturn:
    from botocore import exceptions as known

    if isinstance(error, known.SSLError) and _is_unverified(error.kwargs.get("error")):
        raise AttemptError(
            f"{operation}: the endpoint could not be verified: {error}. For a certificate authority of your own (an "
            "intercepting proxy, a private endpoint) set AWS_CA_BUNDLE to a file with it.",
            sent=False,
            retryable=False,
        ) from error
    not_sent = isinstance(error, (known.ConnectTimeoutError, known.EndpointConnectionError, known.ProxyConnectionError))
    raise AttemptError(f"{operation}: {error}", sent=not not_sent) from error


def _is_unverified(error: Any) -> bool:
    """Tell a certificate or a CA file that will not do from a TLS stream that broke, perhaps after the request."""
    # urllib3's error, which botocore's holds, has the reason as its argument. Both of the errors about certificates,
    # Python's and urllib3's, are a ValueError; OpenSSL's library X509 speaks of a file without certificates.
    reason = error.args[0] if isinstance(error, Exception) and error.args else None
    return (
        isinstance(reason, (ValueError, FileNotFoundError, PermissionError, IsADirectoryError))
        or getattr(reason, "library", None) == "X509"
    )


def _describe_setting(error: Exception) -> str:
    steps = (_NEXT_STEPS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _NEXT_STEPS)
    return f"{str(error).rstrip('.')}. {next(steps, _NEXT_STEP_OTHERWISE)}"


def _require_dynamodb_client(client: Any) -> None:
    kind = type(client)
    meta = getattr(client, "meta", None)
    model = getattr(meta, "service_model", None)
    service = getattr(model, "service_name", None)
    if service == "dynamodb" and not any(base.__module__.startswith("aiobotocore") for base in kind.__mro__):
        return
    if service == "dynamodb":
        message = f"client is an asynchronous one ({kind.__module__}.{kind.__name__}). {_CLIENT_WANTED}"
    elif isinstance(service, str):
        message = f"client is one for {service!r}, not for 'dynamodb'. {_CLIENT_WANTED}"
    elif getattr(meta, "service_name", None) == "dynamodb" and hasattr(meta, "client"):
        message = f"client is a boto3 resource ({kind.__name__}). Pass its client: resource.meta.client."
    else:
        message = f"client is no botocore client but a {kind.__module__}.{kind.__name__}. {_CLIENT_WANTED}"
    raise ValidationError(message, path="client")


def _leave_all_to_parent() -> None:
    for transport in list(_live):
        transport._leave_to_parent()


# Parent and child would read each other's answers. A client that was passed in is its owner's to keep from a fork.
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_all_to_parent)
