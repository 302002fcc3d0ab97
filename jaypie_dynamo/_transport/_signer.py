"""AWS Signature Version 4 for one kind of request: a POST of JSON to DynamoDB. Pure: the time comes in.

The header set is fixed and its names are in order, so nothing is sorted, trimmed or encoded at request
time. Never keeps a secret: the caller holds the derived key. Standard library only.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

from time import gmtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256 as sha256
else:
    try:
        # hashlib's own first choice. Taken from its source it costs 0.6 ms of a cold start less: hashlib
        # goes on to set up every other algorithm.
        from _hashlib import openssl_sha256 as sha256
    except ImportError:  # an interpreter without OpenSSL
        from hashlib import sha256

CONTENT_TYPE = "application/x-amz-json-1.0"

_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_SIGNED_WITH_TOKEN = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"  # noqa: S105

# https://www.rfc-editor.org/rfc/rfc2104#section-2
_BLOCK_BYTES = 64
_INNER_PAD = bytes(i ^ 0x36 for i in range(256))
_OUTER_PAD = bytes(i ^ 0x5C for i in range(256))


class SigningKey:
    """The derived key of one day, region and secret: two hash states that have taken the padded key already.

    Copying them signs in 1.0 µs; `hmac.digest` takes 3.4 µs, and the import of `hmac` 0.3 ms.
    """

    __slots__ = ("inner", "outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = sha256(key).digest()
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self.inner = sha256(padded.translate(_INNER_PAD))
        self.outer = sha256(padded.translate(_OUTER_PAD))

    def digest(self, message: str) -> bytes:
        """Return the HMAC-SHA256 of a text."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message.encode())
        outer.update(inner.digest())
        return outer.digest()


def format_date(epoch_s: float) -> str:
    """Return a time as `x-amz-date` writes it; the first eight characters are its day."""
    return "%04d%02d%02dT%02d%02d%02dZ" % gmtime(epoch_s)[:6]  # noqa: UP031 - two thirds of the time of an f-string


def derive_key(secret_key: str, *, day: str, region: str) -> SigningKey:
    """Return the key that signs one region's requests for one day."""
    key = SigningKey(f"AWS4{secret_key}".encode())
    for step in (day, region, "dynamodb", "aws4_request"):
        key = SigningKey(key.digest(step))
    return key


def sign(
    body: bytes,
    *,
    target: str,
    date: str,
    host: str,
    path: str,
    region: str,
    access_key: str,
    token: str | None,
    key: SigningKey,
) -> str:
    """Return the value of the `Authorization` header.

    Args:
        body: the request body.
        target: the value of `x-amz-target`.
        date: the value of `x-amz-date`.
        host: the value of `host`.
        path: the canonical path.
        region: the region of the credential scope.
        access_key: the access key id.
        token: the value of `x-amz-security-token`; `None` where the request has no such header.
        key: what `derive_key` gave for the same day and region.
    """
    signed, token_line = (_SIGNED_WITH_TOKEN, f"x-amz-security-token:{token}\n") if token else (_SIGNED, "")
    request = (
        f"POST\n{path}\n\n"
        f"content-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{date}\n{token_line}x-amz-target:{target}\n\n"
        f"{signed}\n{sha256(body).hexdigest()}"
    )
    scope = f"{date[:8]}/{region}/dynamodb/aws4_request"
    signature = key.digest(f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(request.encode()).hexdigest()}").hex()
    return f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
