"""The lean transport: our own signature over our own connection. No botocore module is loaded on the way.

Makes one attempt per `send`: never repeats, never sleeps, never judges a status. Imports its neighbours
here; its place is below the policy.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import os
import sys
from time import monotonic, time
from weakref import WeakSet

from .. import __version__
from .._errors import ConfigurationError
from ._credentials import make_source
from ._endpoint import canonical_path, endpoint_host, is_loopback, parse_endpoint
from ._http import Connection, open_socket
from ._pool import Pool
from ._signer import CONTENT_TYPE, derive_key, format_date, sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._attempt import Request, Response
    from ._credentials import Credentials
    from ._signer import SigningKey

# AWS's Java SDK closes an idle connection after 60 s by default. A NAT gateway or an interface endpoint
# drops one silently after 350 s, which would cost a read timeout and leave a write in doubt.
# https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
_IDLE_LIMIT_S = 60.0

# A difference that is no more than the age of an answer is no skew.
_CLOCK_TOLERANCE_S = 5.0

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Every transport, for a fork and a snapshot to find.
_live: WeakSet[DirectTransport] = WeakSet()


class DirectTransport:
    """Sends signed requests to one endpoint, from any number of threads."""

    name = "direct"

    def __init__(
        self,
        *,
        region: str,
        endpoint: str | None = None,
        credentials: Credentials | None = None,
        connect_timeout_s: float = 1.0,
        read_timeout_s: float = 5.0,
        max_connections: int = 50,
        allow_insecure: bool = False,
    ) -> None:
        """Check everything that can be checked without the network.

        Args:
            region: signed into every request; also the host, where no endpoint is given.
            endpoint: a URL, or `None` for the standard endpoint of the region.
            credentials: `None` finds them, in botocore's order.
            connect_timeout_s: bounds name resolution, TCP and TLS together.
            read_timeout_s: bounds sending a request and receiving its complete answer together.
            max_connections: the most sockets at a time; further threads wait.
            allow_insecure: plain HTTP to another machine may be signed with real credentials.
        """
        if not region or not (region.isascii() and region.replace("-", "").replace("_", "").isalnum()):
            raise ConfigurationError(f"{region!r} is not an AWS region.")
        if endpoint is None:
            host = endpoint_host(region)
            if host is None:
                raise ConfigurationError(
                    f"The direct transport knows no endpoint for region {region!r}: pass endpoint, or use "
                    "transport='botocore'."
                )
            endpoint = f"https://{host}"
        self._endpoint = parse_endpoint(endpoint)
        self._region = region
        self._given = credentials
        self._source = make_source(credentials, region=region)
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        # For a free connection, where no deadline is given: as long as another thread's attempt may take.
        self._wait_s = connect_timeout_s + read_timeout_s
        self._max_connections = max_connections
        self._guards_keys = not (self._endpoint.secure or allow_insecure or is_loopback(self._endpoint.host))
        if self._guards_keys and credentials is not None:
            self._credentials(None)
        if self._endpoint.secure:
            # Here rather than at the first request: in a Lambda, construction belongs to INIT.
            from ._tls import prepare_trust

            prepare_trust(self._endpoint.host)
        self._canonical_path = canonical_path(self._endpoint.path)
        self._head_start = (
            f"POST {self._endpoint.path} HTTP/1.1\r\n"
            f"Host: {self._endpoint.authority}\r\n"
            f"User-Agent: jaypie_dynamo/{__version__} lang/python#{sys.version.split()[0]}\r\n"
            "Accept-Encoding: identity\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\n"
            "X-Amz-Target: DynamoDB_20120810."
        )
        self._in_lambda = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
        self._clock_offset_s = 0.0
        self._signing: tuple[Credentials | None, str, SigningKey | None] = (None, "", None)
        self._pool = self._new_pool()
        _live.add(self)

    def send(self, request: Request, timeout_s: float | None = None) -> Response:
        """Make one attempt and return its complete answer, whatever its status.

        Args:
            request: the call.
            timeout_s: bounds the whole attempt, waiting for a connection included, besides the configured
                timeouts. Credentials that botocore has to resolve are the exception: botocore knows no
                deadline.
        """
        limit = None if timeout_s is None else monotonic() + timeout_s
        credentials = self._credentials(limit)
        pool = self._pool
        connection = pool.acquire(wait_s=self._wait_s if limit is None else limit - monotonic())
        try:
            if connection is None:
                connection = self._connect(limit)
            message = self._sign(request, credentials)
            deadline = monotonic() + self._read_timeout_s
            if limit is not None and limit < deadline:
                deadline = limit
            return connection.exchange(message, deadline=deadline)
        finally:
            pool.release(connection)

    def warm_up(self) -> None:
        """Open a connection (TCP, TLS) and derive the signing key: the first request pays for neither."""
        self._signing_key(self._credentials(None), format_date(time() + self._clock_offset_s)[:8])
        pool = self._pool
        connection = pool.acquire(wait_s=self._wait_s)
        try:
            if connection is None:
                connection = self._connect(None)
        finally:
            pool.release(connection)

    def refresh_credentials(self) -> bool:
        """Drop the credentials kept so far. True if the next ones may differ."""
        self._signing = (None, "", None)
        return self._source.forget()

    def correct_clock(self, server_date: str) -> bool:
        """Sign with the server's clock, as an answer's `Date` tells it. True if that moves it by seconds."""
        server_s = _parse_http_date(server_date)
        if server_s is None:
            return False
        offset_s = server_s - time()
        if abs(offset_s - self._clock_offset_s) <= _CLOCK_TOLERANCE_S:
            return False
        self._clock_offset_s = offset_s
        return True

    def close(self) -> None:
        """Close the sockets, those in use as soon as their answer is in. A later `send` opens new ones."""
        pool, self._pool = self._pool, self._new_pool()
        pool.close()

    def _new_pool(self) -> Pool:
        return Pool(max_connections=self._max_connections, idle_limit_s=_IDLE_LIMIT_S)

    def _connect(self, limit: float | None) -> Connection:
        endpoint = self._endpoint
        deadline = monotonic() + self._connect_timeout_s
        if limit is not None and limit < deadline:
            deadline = limit
        if endpoint.secure:
            from ._tls import open_tls

            return open_tls(endpoint.host, endpoint.port, deadline=deadline)
        return Connection(
            open_socket(endpoint.host, endpoint.port, deadline=deadline),
            name=f"{endpoint.host} port {endpoint.port}",
        )

    def _credentials(self, limit: float | None) -> Credentials:
        credentials = self._source.get(deadline=limit)
        if self._guards_keys and credentials.could_be_real():
            raise ConfigurationError(
                f"The endpoint http://{self._endpoint.authority} is another machine, reached without TLS, "
                "and the credentials may be real. Use https, a dummy access key (fewer than 16 characters) or "
                "allow_insecure=True."
            )
        return credentials

    def _signing_key(self, credentials: Credentials, day: str) -> SigningKey:
        # One tuple, so that a thread never sees a key beside another thread's credentials.
        signer, signed_day, key = self._signing
        if key is None or signer is not credentials or signed_day != day:
            key = derive_key(credentials.secret_key, day=day, region=self._region)
            self._signing = (credentials, day, key)
        return key

    def _sign(self, request: Request, credentials: Credentials) -> bytes:
        body, token = request.body, credentials.token
        date = format_date(time() + self._clock_offset_s)
        authorization = sign(
            body,
            target=f"DynamoDB_20120810.{request.operation}",
            date=date,
            host=self._endpoint.authority,
            path=self._canonical_path,
            region=self._region,
            access_key=credentials.access_key,
            token=token,
            key=self._signing_key(credentials, date[:8]),
        )
        request.invocation_id = request.invocation_id or _new_invocation_id()
        token_line = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        trace_line = self._trace_line() if self._in_lambda else ""
        # As in botocore, neither the SDK's own headers nor the trace are signed.
        head = (
            f"{self._head_start}{request.operation}\r\nX-Amz-Date: {date}\r\n{token_line}"
            f"Authorization: {authorization}\r\n{trace_line}"
            f"amz-sdk-invocation-id: {request.invocation_id}\r\n"
            f"amz-sdk-request: attempt={request.attempt}; max={request.max_attempts}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _trace_line(self) -> str:
        # Lambda sets it anew for every invocation.
        # https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
        trace = os.environ.get("_X_AMZN_TRACE_ID")
        return f"X-Amzn-Trace-Id: {_quote_trace(trace)}\r\n" if trace else ""

    def _forget(self) -> None:
        self._clock_offset_s = 0.0
        self.refresh_credentials()

    def _leave_to_parent(self) -> None:
        pool, self._pool = self._pool, self._new_pool()
        pool.close_in_child()
        # As in the pool, a lock of the old one may be held by a thread that does not exist in the child.
        self._source = make_source(self._given, region=self._region)


def _new_invocation_id() -> str:
    # A random UUID without the import of `uuid`. https://www.rfc-editor.org/rfc/rfc9562#section-5.4
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _quote_trace(trace: str) -> str:
    # What botocore leaves as it is. Lambda's own traces hold nothing else, so urllib (4 ms) is rarely needed.
    if trace.isascii() and trace.translate(_TRACE_MARKS).isalnum():
        return trace
    from urllib.parse import quote

    return quote(trace, safe="-=;:+&[]{}\"',")


_TRACE_MARKS = dict.fromkeys(map(ord, "-=;:+&[]{}\"',_.~"))


def _parse_http_date(text: str) -> float | None:
    # https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
    from datetime import datetime, timezone

    try:
        _, day, month, year, clock, zone = text.split()
        hour, minute, second = clock.split(":")
        moment = datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=timezone.utc,
        )
    except ValueError:
        return None
    return moment.timestamp() if zone == "GMT" else None


def _close_all() -> None:
    for transport in list(_live):
        transport.close()


def _forget_all() -> None:
    for transport in list(_live):
        transport._forget()


def _leave_all_to_parent() -> None:
    for transport in list(_live):
        transport._leave_to_parent()


def _register_snapshot_hooks() -> None:
    # What is open or known before a snapshot is dead or stale in every copy restored from it. The variable
    # is asked first because a failed import looks through the whole path.
    # https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    try:
        from snapshot_restore_py import (  # type: ignore[import-not-found, unused-ignore]
            register_after_restore,
            register_before_snapshot,
        )
    except ImportError:
        return
    register_before_snapshot(_close_all)
    register_after_restore(_forget_all)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_all_to_parent)
_register_snapshot_hooks()
