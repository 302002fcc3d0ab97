"""How bytes reach DynamoDB: the only package that knows botocore, sockets and retries.

It takes a finished request body and gives back the body of the answer; what they mean is known above it.

This module chooses between the two transports. `auto` means `direct`, unless botocore has been given something to do
that `direct` would miss: a client, a proxy, a profile, a mock, a tracer.
"""

from __future__ import annotations

import os
import sys

from .._errors import ConfigurationError
from ._endpoint import endpoint_host, parse_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._client import Client
    from .._types import Transport

TRANSPORTS = ("auto", "botocore", "direct")


def choose_transport(client: Client) -> tuple[str, str]:
    """Choose for the life of a client: the transport's name, and why. Looks at settings alone.

    Raises:
        ConfigurationError: no such transport, or `direct` was asked for and cannot serve.
    """
    choice = client.transport_choice
    if choice not in TRANSPORTS:
        raise ConfigurationError(
            f"transport must be one of {', '.join(TRANSPORTS)}, not {choice!r} "
            "(argument transport= or JAYPIE_DYNAMO_TRANSPORT)."
        )
    obstacle = _find_obstacle(client, os.environ)
    if choice == "direct" and obstacle is not None:
        raise ConfigurationError(f"transport='direct' cannot serve here: {obstacle}. Use 'auto' or 'botocore'.")
    if choice == "auto":
        return ("direct", "nothing here needs botocore") if obstacle is None else ("botocore", obstacle)
    return choice, "asked for"


def make_transport(name: str, client: Client) -> Transport:
    """Make a transport. Loads nothing of botocore, nor opens a connection, before the first request."""
    if name == "direct":
        from ._direct import DirectTransport

        assert client.region is not None
        return DirectTransport(
            region=client.region,
            endpoint=client.endpoint,
            credentials=client.credentials,
            connect_timeout_s=client.connect_timeout_s,
            read_timeout_s=client.read_timeout_s,
            allow_insecure=client.allow_insecure,
        )
    from ._botocore import BotocoreTransport

    return BotocoreTransport(
        client=client.owner_client,
        region=client.region,
        endpoint=client.endpoint,
        credentials=client.credentials,
        connect_timeout_s=client.connect_timeout_s,
        read_timeout_s=client.read_timeout_s,
    )


def find_interception() -> str | None:
    """Tell what in this process wants to see botocore's calls: a mock or a tracer; None if nothing does.

    Asked before every request under `auto`, since a test may start its mock late. Looks only at modules that are loaded
    already, so that a process without botocore pays for a few dictionary look-ups.
    """
    modules = sys.modules
    if "ddtrace" in modules:
        return "ddtrace is loaded"
    client_module = modules.get("botocore.client")
    base_client = getattr(client_module, "BaseClient", None)
    if base_client is not None and not _is_botocore_own(base_client.__dict__.get("_make_api_call")):
        return "botocore's BaseClient._make_api_call is patched, as tracing does"
    handlers_module = modules.get("botocore.handlers")
    handlers = getattr(handlers_module, "BUILTIN_HANDLERS", None)
    if handlers is not None and _has_before_send(handlers):
        return "a before-send handler is built into botocore, as moto's mocks do"
    return None


def _find_obstacle(client: Client, environ: Mapping[str, str]) -> str | None:
    """Tell what in the settings `direct` cannot do, in words; None if it can do everything."""
    if client.owner_client is not None:
        return "a client was passed"
    if client.has_table_arn:
        return "the table is named by an ARN"
    # https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if environ.get(name):
            return f"{name} is set"
    for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"):
        if environ.get(name, "").lower() == "true":
            return f"{name} is set"
    if client.endpoint is None:
        mode = environ.get("AWS_ACCOUNT_ID_ENDPOINT_MODE", "preferred").lower()
        if mode == "required" or (mode == "preferred" and environ.get("AWS_ACCOUNT_ID")):
            return f"endpoints by account id are {mode} (AWS_ACCOUNT_ID_ENDPOINT_MODE, AWS_ACCOUNT_ID)"
        if client.region is None or endpoint_host(client.region) is None:
            return f"the endpoint of the region {client.region!r} is known to botocore only"
    return _find_proxy(client, environ)


def _find_proxy(client: Client, environ: Mapping[str, str]) -> str | None:
    if client.endpoint is None:
        scheme, host = "https", str(endpoint_host(client.region or ""))
    else:
        endpoint = parse_endpoint(client.endpoint)
        scheme, host = "https" if endpoint.secure else "http", endpoint.authority
    name = next((name for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY") if environ.get(name)), None)
    if name is None:
        return None
    # Only a process that has a proxy pays for urllib, whose reading of NO_PROXY is botocore's.
    from urllib.request import proxy_bypass

    return None if proxy_bypass(host) else f"a proxy applies to {host} ({name})"


def _is_botocore_own(function: object) -> bool:
    # botocore decorates this function itself, so `__wrapped__` proves nothing; where its code lives does. A tracer's
    # wrapper that is no function pretends to have the attributes of what it wraps.
    if type(function) is not type(_is_botocore_own):
        return False
    return str(function.__globals__.get("__name__")).startswith("botocore.")


# The list is long and changes once or twice in the life of a process: looked through when its length changes.
_looked_through: tuple[int, bool] = (0, False)


def _has_before_send(handlers: list[tuple[object, ...]]) -> bool:
    global _looked_through
    length, found = _looked_through
    if length != len(handlers):
        found = any(str(entry[0]).startswith("before-send") for entry in handlers)
        _looked_through = (len(handlers), found)
    return found
