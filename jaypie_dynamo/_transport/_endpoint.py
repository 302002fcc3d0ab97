"""Where DynamoDB answers: endpoint hosts by region, and the parts of an endpoint URL.

Pure text in, plain values out; never resolves a name, never opens a socket. Imports the error tree only.

Sources: https://docs.aws.amazon.com/general/latest/gr/ddb.html, https://www.rfc-editor.org/rfc/rfc3986#section-3
"""

from __future__ import annotations

from .._errors import ConfigurationError

# The partitions whose rule is `dynamodb.{region}.{suffix}`, as (how a region starts, its suffix). After the start a
# region has one word and one number. Every other partition is left to botocore.
# https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json
_PARTITIONS = (
    (("us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"), "amazonaws.com"),
    (("cn",), "amazonaws.com.cn"),
    (("us-gov",), "amazonaws.com"),
)

# https://www.rfc-editor.org/rfc/rfc3986#section-2.3
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")
_IPV6_CHARACTERS = frozenset("0123456789abcdef:.")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Endpoint:
    """One endpoint, taken apart.

    Attributes:
        secure: True for `https`.
        host: lower case, without the brackets of an IPv6 address.
        port: the given port, or the scheme's own.
        authority: what the `Host` header says: the port only where it is not the scheme's own.
        path: the request target as given, `"/"` at least; may carry a query.
    """

    __slots__ = ("authority", "host", "path", "port", "secure")

    def __init__(self, *, secure: bool, host: str, port: int, path: str) -> None:
        name = f"[{host}]" if ":" in host else host
        self.secure = secure
        self.host = host
        self.port = port
        self.authority = name if port == _DEFAULT_PORTS["https" if secure else "http"] else f"{name}:{port}"
        self.path = path


def endpoint_host(region: str) -> str | None:
    """Return the standard host of a region, or `None` for a region whose partition is not carried here."""
    start, _, number = region.rpartition("-")
    start, _, word = start.rpartition("-")
    # str.isalnum and str.isdecimal accept other scripts; a host name does not.
    if not (region.isascii() and word.replace("_", "").isalnum() and number.isdecimal()):
        return None
    for starts, suffix in _PARTITIONS:
        if start in starts:
            return f"dynamodb.{region}.{suffix}"
    return None


def region_of_host(host: str) -> str | None:
    """Read the region in one of DynamoDB's standard hosts; None for any other host."""
    labels = host.split(".")
    if labels[0] in ("dynamodb", "dynamodb-fips") and labels[2:] in (["amazonaws", "com"], ["amazonaws", "com", "cn"]):
        return labels[1]
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a host, as `Endpoint.host` spells it, can only be this machine."""
    if host in ("localhost", "::1"):
        return True
    parts = host.split(".")
    return parts[0] == "127" and len(parts) == 4 and all(p.isdecimal() and int(p) < 256 for p in parts)


def parse_url(url: str, *, name: str) -> Endpoint:
    """Take an `http(s)` URL apart; `name` is what an error calls it.

    The text of the URL is repeated in an error only where it cannot hold a password.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ConfigurationError(f"{name} must start with http:// or https://; it does not.")
    end = min((i for i in (rest.find("/"), rest.find("?"), rest.find("#")) if i >= 0), default=len(rest))
    authority, path = rest[:end].lower(), rest[end:]
    if "@" in authority:
        raise ConfigurationError(f"{name} carries a user name; remove everything up to the '@'.")
    if "#" in path:
        raise ConfigurationError(f"{name} carries a fragment ('#…'); remove it.")
    if not (path.isascii() and path.isprintable() and " " not in path):
        raise ConfigurationError(f"{name} has a path with characters that a URL must percent-encode: {path!r}.")
    host, port = _split_authority(authority, name=name)
    return Endpoint(
        secure=scheme == "https",
        host=host,
        port=_DEFAULT_PORTS[scheme] if port is None else port,
        path=path if path.startswith("/") else "/" + path,
    )


def parse_endpoint(url: str) -> Endpoint:
    """Take a DynamoDB endpoint apart: a URL without a query, since a signature would have to cover it."""
    endpoint = parse_url(url, name="The endpoint")
    if "?" in endpoint.path:
        raise ConfigurationError("The endpoint carries a query ('?…'); remove it.")
    return endpoint


def canonical_path(path: str) -> str:
    """Return a path as Signature Version 4 sees it: dot segments resolved, then encoded once more.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    resolved = "/" + "/".join(segments)
    if segments and path.endswith("/"):
        resolved += "/"
    return "".join(c if c == "/" or c in _UNRESERVED else f"%{ord(c):02X}" for c in resolved)


def _split_authority(authority: str, *, name: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, port_text = authority[1:].partition("]")
        valid = bool(bracket) and _IPV6_CHARACTERS.issuperset(host) and port_text[:1] in ("", ":")
        port_text = port_text[1:]
    else:
        host, _, port_text = authority.partition(":")
        valid = _HOST_CHARACTERS.issuperset(host) and not host.startswith(".") and ".." not in host
    if not host or not valid:
        raise ConfigurationError(
            f"{name} has no valid host: {authority!r}. Write an international name in its xn-- form, "
            "and an IPv6 address in brackets."
        )
    if not port_text:
        return host, None
    if not (port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5 and 0 < int(port_text) < 65536):
        raise ConfigurationError(f"{name} has no valid port: {port_text!r}. Ports go from 1 to 65535.")
    return host, int(port_text)
