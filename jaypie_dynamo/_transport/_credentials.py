"""Whose keys sign a request, found in botocore's order. Never shows, logs or keeps a secret in an error.

    given  →  environment  →  container endpoint  →  whatever else botocore knows

The first three need no botocore. Imports the error tree, one attempt's vocabulary, the endpoint and the
connection.

Source: https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
"""

from __future__ import annotations

import os
import threading
from time import monotonic, time

from .._errors import ConfigurationError
from ._attempt import AttemptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Source(Protocol):
        """Whom a transport asks for credentials."""

        def get(self, *, deadline: float | None) -> Credentials:
            """Return the credentials of this moment; `deadline` is a `monotonic()` time."""

        def forget(self) -> bool:
            """Drop what is kept and tell whether the next ones may differ."""


# https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
_RELATIVE_URI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105
_CONTAINER_HOST = "169.254.170.2"
# Besides loopback, the only hosts that may be told the token in the clear.
_CONTAINER_HOSTS = (_CONTAINER_HOST, "169.254.170.23", "fd00:ec2::23")
_CONTAINER_TIMEOUT_S = 2.0

# botocore asks these before the container endpoint. Where any is there, botocore decides.
_EARLIER_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CREDENTIAL_FILE",
    "BOTO_CONFIG",
)
_EARLIER_FILES = (
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("", "/etc/boto.cfg"),
    ("", "~/.boto"),
)

# New keys are fetched this long before the old ones expire, as botocore does at the latest.
_REFRESH_BEFORE_S = 600
# An endpoint that still hands out the old keys then is not asked again at every request.
_REFRESH_PAUSE_S = 60

# What an error calls the access key, the secret key and the token.
_GIVEN_NAMES = ("The access key of credentials", "The secret key of credentials", "The session token of credentials")
_ENVIRONMENT_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_CONTAINER_NAMES = (
    "AccessKeyId of the container endpoint",
    "SecretAccessKey of the container endpoint",
    "Token of the container endpoint",
)
_BOTOCORE_NAMES = ("botocore's access key", "botocore's secret key", "botocore's session token")

_NOT_FOUND = (
    "No AWS credentials: none were passed, AWS_ACCESS_KEY_ID is not set, and neither a container endpoint "
    "nor any other source of botocore's (profile, SSO, web identity, process, instance metadata) has some. "
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, attach a role, or pass credentials."
)


class Credentials:
    """One set of keys, none of which it shows."""

    __slots__ = ("access_key", "secret_key", "token")

    def __init__(self, access_key: str, secret_key: str, token: str | None = None) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token

    def __repr__(self) -> str:
        return "<Credentials>"

    def could_be_real(self) -> bool:
        """Tell whether AWS may have issued them: its access key ids have at least 16 characters.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
        """
        return len(self.access_key) >= 16

    def equals(self, access_key: str, secret_key: str, token: str | None) -> bool:
        """Compare with loose keys."""
        return self.access_key == access_key and self.secret_key == secret_key and self.token == token


# Credentials, when to fetch new ones, when these expire.
_NOTHING_KEPT = (Credentials("", ""), 0.0, 0.0)


def make_source(given: Credentials | None, *, region: str) -> Source:
    """Return where credentials come from: the caller or, with `None`, the chain. A role is assumed in `region`."""
    if given is None:
        return Chain(region)
    return Given(_checked(given.access_key, given.secret_key, given.token, names=_GIVEN_NAMES))


class Given:
    """Credentials that the caller passed. They are what they are."""

    __slots__ = ("_credentials",)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get(self, *, deadline: float | None) -> Credentials:  # noqa: ARG002
        """Return them."""
        return self._credentials

    def forget(self) -> bool:
        """Keep them: no others will come."""
        return False


class Chain:
    """The environment; failing that a container endpoint or botocore, chosen once.

    The environment is looked at before every request: a new access key id or session token is used at once. AWS issues
    no new secret under an old id; whoever sets one all the same is obeyed after `forget`.
    """

    __slots__ = ("_chosen", "_last", "_lock", "_region")

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = threading.Lock()
        # With the session token as the environment said it: one tuple, so that no thread sees half of a change.
        self._last: tuple[Credentials, str | None] | None = None
        self._chosen: Container | Botocore | None = None

    def get(self, *, deadline: float | None) -> Credentials:
        """Return the credentials of this moment."""
        last = self._last
        session_token = os.environ.get("AWS_SESSION_TOKEN")
        # These two tell; to read all four variables would take 2.1 µs instead of 0.7.
        if last and last[1] == session_token and last[0].access_key == os.environ.get("AWS_ACCESS_KEY_ID"):
            return last[0]
        keys = _read_environment()
        if keys is None:
            with self._lock:
                chosen = self._chosen
                if chosen is None:
                    chosen = self._chosen = Container() if _container_is_next() else Botocore(self._region)
            return chosen.get(deadline)
        credentials = _checked(*keys, names=_ENVIRONMENT_NAMES)
        self._last = (credentials, session_token)
        return credentials

    def forget(self) -> bool:
        """Drop what is kept and tell whether the next ones may differ."""
        last, self._last, self._chosen = self._last, None, None
        try:
            keys = _read_environment()
        except ConfigurationError:
            return True
        return last is None or keys is None or not last[0].equals(*keys)


class Container:
    """The endpoint of ECS, EKS and Lambda SnapStart; its keys are kept until shortly before they expire."""

    __slots__ = ("_kept", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = _NOTHING_KEPT

    def get(self, deadline: float | None) -> Credentials:
        """Return the kept credentials, or fetch new ones."""
        credentials, refresh_at, expires_at = self._kept
        now = time()
        if now < refresh_at:
            return credentials
        usable = now < expires_at
        limit = monotonic() + _CONTAINER_TIMEOUT_S
        if deadline is not None:
            limit = min(limit, deadline)
        # One thread fetches. The others go on with keys that are still good, or wait.
        if not self._lock.acquire(timeout=0 if usable else max(limit - monotonic(), 0)):
            if usable:
                return credentials
            raise AttemptError("The container credentials endpoint did not answer in time.", sent=False)
        try:
            latest = self._kept
            if time() >= latest[1]:
                latest = self._kept = _fetch(limit)
        except (AttemptError, ConfigurationError):
            if not usable:
                raise
            latest = self._kept = (credentials, now + _REFRESH_PAUSE_S, expires_at)
        finally:
            self._lock.release()
        return latest[0]


class Botocore:
    """Everything else: profiles, SSO, web identity, processes, instance metadata. botocore refreshes them."""

    __slots__ = ("_last", "_lock", "_region", "_resolved")

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = threading.Lock()
        self._resolved: Any = None
        self._last: Credentials | None = None

    def get(self, deadline: float | None) -> Credentials:  # noqa: ARG002 - botocore knows no deadline
        """Return a frozen copy of what botocore holds at this moment."""
        try:
            with self._lock:
                if self._resolved is None:
                    self._resolved = _resolve_with_botocore(self._region)
                resolved = self._resolved
            keys = resolved.get_frozen_credentials() if resolved else None
        # Providers raise what they like: botocore's errors, OSError, ValueError, a refusal of STS.
        except Exception as error:
            raise ConfigurationError(
                f"botocore found a source of AWS credentials but got none from it ({type(error).__name__}). "
                "Check the profile, the sign-in (`aws sso login`) or the role."
            ) from error
        if not (keys and keys.access_key and keys.secret_key):
            raise ConfigurationError(_NOT_FOUND)
        last = self._last
        if last is None or not last.equals(keys.access_key, keys.secret_key, keys.token):
            last = self._last = _checked(keys.access_key, keys.secret_key, keys.token, names=_BOTOCORE_NAMES)
        return last


def _checked(access_key: object, secret_key: object, token: object, *, names: tuple[str, str, str]) -> Credentials:
    # A line break copied along with a key would end the header it stands in.
    for name, value in zip(names, (access_key, secret_key, token or "-"), strict=True):
        if not (isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value):
            raise ConfigurationError(
                f"{name} is not a text of visible ASCII characters. Was a space or a line break copied along with it?"
            )
    return Credentials(str(access_key), str(secret_key), str(token) if token else None)


def _read_environment() -> tuple[str, str, str | None] | None:
    # Names and their order as in botocore, which asks for the older name of the token first.
    # https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
    environ = os.environ
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    if not access_key:
        return None
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not secret_key:
        raise ConfigurationError("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both or neither.")
    return (
        access_key,
        secret_key,
        environ.get("AWS_SECURITY_TOKEN") or environ.get("AWS_SESSION_TOKEN") or None,
    )


def _container_is_next() -> bool:
    environ = os.environ
    if not (environ.get(_RELATIVE_URI) or environ.get(_FULL_URI)):
        return False
    if any(name in environ for name in _EARLIER_VARIABLES):
        return False
    return not any(
        os.path.exists(os.path.expanduser(environ.get(variable) or path)) for variable, path in _EARLIER_FILES
    )


def _fetch(deadline: float) -> tuple[Credentials, float, float]:
    import json

    # Not at the top: with keys in the environment nothing here is needed.
    from ._endpoint import is_loopback, parse_url
    from ._http import Connection, open_socket

    variable, uri = _RELATIVE_URI, os.environ.get(_RELATIVE_URI)
    if uri:
        uri = f"http://{_CONTAINER_HOST}{uri}"
    else:
        variable, uri = _FULL_URI, os.environ.get(_FULL_URI, "")
    endpoint = parse_url(uri, name=variable)
    if not (endpoint.secure or endpoint.host in _CONTAINER_HOSTS or is_loopback(endpoint.host)):
        raise ConfigurationError(
            f"{variable} leads to {endpoint.host} without TLS. Only this machine and the container hosts of "
            f"AWS ({', '.join(_CONTAINER_HOSTS)}) may be asked so."
        )
    # HTTP/1.0, because these servers write a long answer in chunks to a client of 1.1.
    lines = [f"GET {endpoint.path} HTTP/1.0", f"Host: {endpoint.authority}", "Accept: application/json"]
    if token := _read_token():
        lines.append(f"Authorization: {token}")
    if endpoint.secure:
        from ._tls import open_tls

        connection = open_tls(endpoint.host, endpoint.port, deadline=deadline)
    else:
        connection = Connection(open_socket(endpoint.host, endpoint.port, deadline=deadline), name=endpoint.authority)
    try:
        response = connection.exchange("\r\n".join([*lines, "", ""]).encode(), deadline=deadline, ends_with_close=True)
    except AttemptError as error:
        # No byte of a request to DynamoDB was sent, and that is what `sent` means to the policy.
        raise AttemptError(f"No container credentials: {error}", sent=False, retryable=error.retryable) from None
    finally:
        connection.close()
    if response.status != 200:
        message = f"The container credentials endpoint in {variable} answered with HTTP status {response.status}."
        if response.status < 500 and response.status != 429:
            raise ConfigurationError(f"{message} Check {_TOKEN} or {_TOKEN_FILE}, and the role of the container.")
        raise AttemptError(message, sent=False)
    try:
        answer = json.loads(response.body)
        credentials = _checked(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer.get("Token"),
            names=_CONTAINER_NAMES,
        )
        expires_at = _parse_time(answer["Expiration"]) if answer.get("Expiration") else float("inf")
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not chained: the parser's error carries the answer, and with it the keys.
        raise AttemptError(
            f"The container credentials endpoint in {variable} answered, but not with credentials.",
            sent=False,
        ) from None
    now = time()
    return (
        credentials,
        min(max(expires_at - _REFRESH_BEFORE_S, now + _REFRESH_PAUSE_S), expires_at),
        expires_at,
    )


def _read_token() -> str:
    # Read anew for every fetch: the file is rewritten when the token rotates.
    path = os.environ.get(_TOKEN_FILE)
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                token = file.read().strip()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{_TOKEN_FILE} names {path}, which cannot be read: {error}.") from None
        variable = _TOKEN_FILE
    else:
        variable, token = _TOKEN, os.environ.get(_TOKEN, "")
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(f"{variable} holds a line break or another character that a header cannot carry.")
    return token


def _parse_time(text: str) -> float:
    from datetime import datetime, timezone

    # Seconds are enough, and Python 3.10 reads neither a "Z" nor an odd number of decimals.
    zone = text[19:].lstrip(".0123456789")
    moment = datetime.fromisoformat(text[:19] + zone.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _resolve_with_botocore(region: str) -> Any:
    from botocore.session import Session

    session = Session()
    session.set_config_variable("region", region)
    return session.get_credentials()
