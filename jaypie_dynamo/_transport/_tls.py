"""TLS to DynamoDB: which roots are trusted, and what a refusal means. Verification is never off.

The only module that imports `ssl` (6 ms of a cold start on top of `socket`); loaded for `https` alone.
Imports the error tree, one attempt's vocabulary, the hash and the connection.
"""

from __future__ import annotations

import os
import ssl
from binascii import Error as Base64Error
from binascii import a2b_base64
from time import monotonic

from .._errors import ConfigurationError
from ._attempt import AttemptError
from ._http import Connection, open_socket
from ._signer import sha256

# In botocore's order; an empty variable counts as not set.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-gen-config.html
BUNDLE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")

# The five certificates that AWS recommends for a trust store of one's own, by their size in bytes and their SHA-256.
# To find and load them takes 1.5 ms, to load a whole bundle 20 ms.
# https://www.amazontrust.com/repository/
AMAZON_ROOTS = {
    837: "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",  # Amazon Root CA 1
    1349: "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",  # Amazon Root CA 2
    442: "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",  # Amazon Root CA 3
    502: "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",  # Amazon Root CA 4
    1011: "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",  # Starfield Services Root CA - G2
}
_AMAZON_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")

# What X509_STORE_CTX_get_error says of a certificate.
# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/#error-codes
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNTRUSTED = frozenset({2, 18, 19, 20, 21})
_OTHER_HOST = frozenset({62, 64})
# Of the untrusted: self-signed certificate in chain, unable to get local issuer certificate. A larger set of roots may
# hold the missing one.
_UNKNOWN_ROOT = frozenset({19, 20})

# https://docs.openssl.org/master/man3/ERR_get_error/: OpenSSL's names for a first record that is not TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})

_AMAZON = "Amazon's own roots"
_MACHINE = "this machine's certificate store"

# By what they trust. Building one twice in a race wastes time and breaks nothing.
_contexts: dict[str, ssl.SSLContext] = {}

# False once one of Amazon's hosts has shown another root: no second try at every connection.
_amazon_roots_suffice = True


def prepare_trust(host: str) -> str:
    """Load the roots for a host and return what they are, for an error to name.

    A configured bundle that cannot be read is a `ConfigurationError`.
    """
    for variable in BUNDLE_VARIABLES:
        if path := os.environ.get(variable):
            trust = f"{variable} ({path})"
            if trust not in _contexts:
                _contexts[trust] = _load_bundle(path, variable)
            return trust
    if _amazon_roots_suffice and host.endswith(_AMAZON_HOSTS):
        if _AMAZON in _contexts:
            return _AMAZON
        if roots := _find_amazon_roots():
            context = _new_context()
            context.load_verify_locations(cadata=roots)
            _contexts[_AMAZON] = context
            return _AMAZON
    if _MACHINE not in _contexts:
        _contexts[_MACHINE] = _load_machine()
    return _MACHINE


def open_tls(host: str, port: int, *, deadline: float) -> Connection:
    """Connect and shake hands. A server that cannot prove to be `host` gets no byte of a request."""
    global _amazon_roots_suffice
    trust = prepare_trust(host)
    try:
        return _open(host, port, _contexts[trust], deadline)
    except ssl.SSLCertVerificationError as error:
        if trust is not _AMAZON or error.verify_code not in _UNKNOWN_ROOT:
            raise _refusal(host, port, error, trust) from error
    _amazon_roots_suffice = False
    trust = prepare_trust(host)
    try:
        return _open(host, port, _contexts[trust], deadline)
    except ssl.SSLCertVerificationError as error:
        raise _refusal(host, port, error, trust) from error


def _open(host: str, port: int, context: ssl.SSLContext, deadline: float) -> Connection:
    connection = open_socket(host, port, deadline=deadline)
    try:
        connection.settimeout(max(deadline - monotonic(), 1e-6))
        # Bytes, because a str goes through the idna codec, whose import costs 1.4 ms.
        secured = context.wrap_socket(connection, server_hostname=host.encode())
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        if error.reason in _NOT_TLS:
            raise AttemptError(
                f"{host} does not speak TLS on port {port} ({error.reason}). "
                "A port for plain HTTP needs an endpoint that starts with http://.",
                sent=False,
                retryable=False,
            ) from error
        raise AttemptError(f"The TLS handshake with {host} port {port} failed: {error}", sent=False) from error
    except OSError as error:
        raise AttemptError(f"The TLS handshake with {host} port {port} failed: {error}", sent=False) from error
    finally:
        # wrap_socket has taken the descriptor over; where it failed, this closes it.
        connection.close()
    return Connection(secured, name=f"{host} port {port}", would_block=ssl.SSLWantReadError)


def _refusal(host: str, port: int, error: ssl.SSLCertVerificationError, trust: str) -> AttemptError:
    code = error.verify_code
    if code == _EXPIRED:
        fact = "has expired. If it should not have, check this machine's clock."
    elif code == _NOT_YET_VALID:
        fact = "is not valid yet. If it should be, check this machine's clock."
    elif code in _OTHER_HOST:
        fact = f"is made out to another host: {error.verify_message}"
    elif code in _UNTRUSTED and trust is _MACHINE:
        fact = (
            f"leads to no root in {trust}: {error.verify_message}. "
            f"If a proxy signs it anew, set {BUNDLE_VARIABLES[0]} to a file with the proxy's root."
        )
    elif code in _UNTRUSTED:
        fact = f"is not signed by a root in {trust}: {error.verify_message}."
    else:
        fact = f"is refused: {error.verify_message}."
    return AttemptError(f"The certificate of {host} port {port} {fact} Nothing was sent.", sent=False, retryable=False)


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The protocol implies both. Said once more, because they must never silently stop being so.
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    return context


def _load_bundle(path: str, variable: str) -> ssl.SSLContext:
    context = _new_context()
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        raise ConfigurationError(
            f"{variable} names {path}, which cannot be loaded as a bundle of certificates: {error}. "
            "Correct or unset the variable."
        ) from error
    return context


def _load_machine() -> ssl.SSLContext:
    context = _new_context()
    context.load_default_certs()
    if ssl.get_default_verify_paths().cafile is None and (path := _botocore_bundle()):
        context.load_verify_locations(cafile=path)
    return context


def _find_amazon_roots() -> bytes:
    for find in (lambda: ssl.get_default_verify_paths().cafile, _botocore_bundle):
        path = find()
        if path is None:
            continue
        try:
            with open(path, "rb") as file:
                roots = _pick_roots(file.read())
        except OSError:
            continue
        if roots:
            return roots
    return b""


def _pick_roots(bundle: bytes) -> bytes:
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    found: dict[int, bytes] = {}
    start = bundle.find(begin)
    while start >= 0 and len(found) < len(AMAZON_ROOTS):
        start += len(begin)
        try:
            # The first four bytes tell the size; to decode and hash all 130 would take 1 ms.
            size = 4 + int.from_bytes(a2b_base64(bundle[start : start + 10].strip()[:8])[2:4], "big")
            if size in AMAZON_ROOTS:
                certificate = a2b_base64(bundle[start : bundle.find(end, start)])
                if sha256(certificate).hexdigest() == AMAZON_ROOTS[size]:
                    found[size] = certificate
        except Base64Error:
            pass
        start = bundle.find(begin, start)
    return b"".join(found.values())


def _botocore_bundle() -> str | None:
    # botocore ships one. Its package is found, not imported.
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("botocore")
    if spec is None or spec.origin is None:
        return None
    path = os.path.join(os.path.dirname(spec.origin), "cacert.pem")
    return path if os.path.isfile(path) else None
