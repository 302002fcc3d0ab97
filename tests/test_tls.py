"""TLS against servers with certificates made for the test: who is believed, who is refused, and in which words."""

from __future__ import annotations

import datetime
import re
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import botocore
import pytest
import trustme
from servers import PATIENCE_S, Peer, Server, answer, answering, sending

from jaypie_dynamo import ConfigurationError
from jaypie_dynamo._transport import _tls
from jaypie_dynamo._transport._attempt import AttemptError
from jaypie_dynamo._transport._tls import open_tls, prepare_trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaypie_dynamo._transport._http import Connection

AMAZON = "dynamodb.us-east-1.amazonaws.com"
CHINA = "dynamodb.cn-north-1.amazonaws.com.cn"
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def other_ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process has learned about trust is unlearned."""
    monkeypatch.setattr(_tls, "_contexts", {})
    monkeypatch.setattr(_tls, "_amazon_roots_suffice", True)


@pytest.fixture(autouse=True)
def _every_name_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **__: [(*here, ("127.0.0.1", port))])


def server_context(certificate: trustme.LeafCert, *, with_root: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if with_root is not None:
        chain = b"".join([certificate.private_key_and_cert_chain_pem.bytes(), with_root.cert_pem.bytes()])
        with with_root.cert_pem.tempfile() as path:
            Path(path).write_bytes(chain)
            context.load_cert_chain(path)
    return context


def der(ca: trustme.CA) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ca.cert_pem.bytes().decode())


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., str]:
    def write(*cas: trustme.CA, name: str = "bundle.pem") -> str:
        path = tmp_path / name
        path.write_bytes(b"# a comment\n".join(ca.cert_pem.bytes() for ca in cas))
        return str(path)

    return write


@pytest.fixture
def trusting(ca: trustme.CA, bundle: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The CA stands in the bundle that AWS_CA_BUNDLE names."""
    path = bundle(ca)
    monkeypatch.setenv("AWS_CA_BUNDLE", path)
    return path


@pytest.fixture
def machine(ca: trustme.CA, other_ca: trustme.CA, bundle: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's store holds two roots; no bundle is configured."""
    path = bundle(other_ca, ca, name="machine.pem")
    monkeypatch.setenv("SSL_CERT_FILE", path)
    monkeypatch.setenv("SSL_CERT_DIR", f"{path}.none")


def amazons_are(monkeypatch: pytest.MonkeyPatch, *cas: trustme.CA) -> None:
    roots = {len(der(ca)): _tls.sha256(der(ca)).hexdigest() for ca in cas}
    monkeypatch.setattr(_tls, "AMAZON_ROOTS", roots)


def connect(server: Server, host: str = "localhost", timeout_s: float = 5) -> Connection:
    return open_tls(host, server.port, deadline=monotonic() + timeout_s)


def exchange(connection: Connection) -> bytes:
    return connection.exchange(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", deadline=monotonic() + PATIENCE_S).body


@pytest.mark.usefixtures("trusting")
def test_a_server_that_proves_itself_gets_the_request(ca: trustme.CA) -> None:
    with Server(answering(b"1", b"2" * 100_000), tls=server_context(ca.issue_cert("localhost"))) as server:
        connection = connect(server)
        assert [exchange(connection), exchange(connection)] == [b"1", b"2" * 100_000]
        assert connection.is_fresh()
        connection.close()
    assert server.accepted == 1


@pytest.mark.usefixtures("trusting")
def test_an_address_is_proved_by_a_certificate_for_the_address(ca: trustme.CA) -> None:
    with Server(answering(), tls=server_context(ca.issue_cert("127.0.0.1"))) as server:
        connect(server, "127.0.0.1").close()
        assert "made out to another host" in str(refused(server, "127.0.0.2"))
    with Server(answering(), tls=server_context(ca.issue_cert("::1"))) as server:
        connect(server, "::1").close()


def refused(server: Server, host: str = "localhost") -> AttemptError:
    """Connect in vain, and make sure that the server got nothing to read."""
    with pytest.raises(AttemptError) as caught:
        connect(server, host)
    assert not caught.value.sent
    return caught.value


@pytest.mark.parametrize(
    ("identities", "dates", "says"),
    [
        (
            ["localhost"],
            {"not_before": NOW - 2 * DAY, "not_after": NOW - DAY},
            r"localhost port \d+ has expired\. If it should not have, check",
        ),
        (
            ["localhost"],
            {"not_before": NOW + DAY, "not_after": NOW + 2 * DAY},
            "is not valid yet. If it should be, check",
        ),
        (["other.example"], {}, "made out to another host: .*'localhost'"),
        (["127.0.0.1"], {}, "made out to another host"),
    ],
    ids=["expired", "not yet valid", "other host", "address only"],
)
@pytest.mark.usefixtures("trusting")
def test_a_certificate_for_another_time_or_host_is_refused(
    identities: list[str], dates: dict[str, datetime.datetime], says: str, ca: trustme.CA
) -> None:
    with Server(answering(), tls=server_context(ca.issue_cert(*identities, **dates))) as server:  # type: ignore[arg-type]
        error = refused(server)
        assert error.args[0].startswith("The certificate of localhost port")
        assert "Nothing was sent" in str(error)
        assert re.search(says, str(error))
        assert not error.retryable
    assert server.received == b""
    assert server.handshake_errors


def test_a_root_that_the_configured_bundle_lacks_is_refused(other_ca: trustme.CA, trusting: str) -> None:
    with Server(answering(), tls=server_context(other_ca.issue_cert("localhost"))) as server:
        error = refused(server)
    assert f"not signed by a root in AWS_CA_BUNDLE ({trusting})" in str(error)
    assert not error.retryable
    assert server.received == b""
    assert server.accepted == 1


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("with_root", [True, False])
def test_a_root_that_the_machine_lacks_is_refused(with_root: bool) -> None:
    stranger = trustme.CA()
    context = server_context(stranger.issue_cert("localhost"), with_root=stranger if with_root else None)
    with Server(answering(), tls=context) as server:
        error = refused(server)
    assert "leads to no root in this machine's certificate store" in str(error)
    assert "set AWS_CA_BUNDLE" in str(error)
    assert not error.retryable
    assert server.received == b""


@pytest.mark.usefixtures("trusting")
def test_a_plain_port_is_refused() -> None:
    def plain(peer: Peer) -> None:
        peer.connection.recv(1 << 16)
        peer.send(answer(status="400 Bad Request"))
        peer.wait_for_close()

    with Server(plain) as server:
        error = refused(server)
        assert f"localhost does not speak TLS on port {server.port}" in str(error)
    assert "http://" in str(error)
    assert not error.retryable
    assert b"POST" not in server.received


@pytest.mark.parametrize(
    ("script", "says"),
    [(lambda _: None, "handshake with localhost"),
     (lambda peer: peer.connection.recv(1) and peer.reset(), "handshake with localhost"),
     (Peer.wait_for_close, "timed out")],
    ids=["closed", "reset", "silent"],
)  # fmt: skip
@pytest.mark.usefixtures("trusting")
def test_a_handshake_that_breaks_off_may_be_tried_again(script: Callable[[Peer], None], says: str) -> None:
    with Server(script) as server:
        started = monotonic()
        with pytest.raises(AttemptError, match=says) as caught:
            connect(server, timeout_s=0.2)
        assert monotonic() - started < 1
    assert (caught.value.sent, caught.value.retryable) == (False, True)


@pytest.mark.usefixtures("trusting")
def test_a_port_where_nobody_listens_is_no_matter_of_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(AttemptError, match="Cannot connect"):
        open_tls("localhost", port, deadline=monotonic() + 1)


@pytest.mark.usefixtures("trusting")
def test_an_interrupted_handshake_leaves_no_socket_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", interrupt)
    closed = threading.Event()
    with Server(lambda peer: peer.connection.recv(1) == b"" and closed.set()) as server:  # type: ignore[arg-type, func-returns-value]
        with pytest.raises(KeyboardInterrupt) as caught:
            connect(server)
        assert closed.wait(PATIENCE_S)
        del caught


# Which bundle.


def test_requests_bundle_serves_where_awss_is_not_set(
    ca: trustme.CA, bundle: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle(ca))
    with Server(answering(), tls=server_context(ca.issue_cert("localhost"))) as server:
        connect(server).close()


def test_awss_bundle_comes_first(
    ca: trustme.CA, other_ca: trustme.CA, bundle: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", bundle(other_ca))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle(ca, name="requests.pem"))
    with Server(answering(), tls=server_context(ca.issue_cert("localhost"))) as server:
        assert "AWS_CA_BUNDLE" in str(refused(server))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is missing")
def test_a_bundle_may_be_a_directory(ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-hash"], input=ca.cert_pem.bytes(), capture_output=True, check=True
    )
    (tmp_path / f"{told.stdout.decode().strip()}.0").write_bytes(ca.cert_pem.bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path))
    with Server(answering(), tls=server_context(ca.issue_cert("localhost"))) as server:
        connect(server).close()


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    "content", [None, b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_bundle_that_cannot_be_loaded_is_a_matter_of_configuration(
    variable: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(ConfigurationError) as caught:
        prepare_trust(AMAZON)
    assert variable in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("trusting")
def test_a_bundle_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trust = prepare_trust("localhost")
    monkeypatch.setattr(_tls, "_new_context", lambda: pytest.fail("loaded again"))
    assert prepare_trust("other.example") == trust


@pytest.mark.usefixtures("trusting", "machine")
def test_verification_is_on_whatever_is_trusted(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    amazons_are(monkeypatch, ca)
    prepare_trust("localhost")
    monkeypatch.delenv("AWS_CA_BUNDLE")
    prepare_trust("localhost")
    prepare_trust(AMAZON)
    assert len(_tls._contexts) == 3
    for context in _tls._contexts.values():
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


# Amazon's own roots.


@pytest.mark.parametrize("host", [AMAZON, CHINA, "vpce-1.dynamodb.us-east-1.vpce.amazonaws.com"])
@pytest.mark.usefixtures("machine")
def test_amazons_hosts_are_checked_against_amazons_roots_alone(
    host: str, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazons_are(monkeypatch, ca)
    with Server(answering(), tls=server_context(ca.issue_cert(host))) as server:
        connection = connect(server, host)
        assert exchange(connection) == b"{}"
        connection.close()
    assert [context.get_ca_certs(binary_form=True) for context in _tls._contexts.values()] == [[der(ca)]]


@pytest.mark.parametrize("host", ["localhost", "amazonaws.com", "evilamazonaws.com", "dynamodb.amazonaws.com.example"])
@pytest.mark.usefixtures("machine")
def test_other_hosts_are_checked_against_the_whole_store(
    host: str, ca: trustme.CA, other_ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazons_are(monkeypatch, ca)
    with Server(answering(), tls=server_context(other_ca.issue_cert(host))) as server:
        connect(server, host).close()
    assert server.accepted == 1


def test_a_configured_bundle_leaves_no_room_for_amazons_roots(
    ca: trustme.CA, other_ca: trustme.CA, trusting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazons_are(monkeypatch, other_ca)
    with Server(answering(), tls=server_context(ca.issue_cert(AMAZON))) as server:
        connect(server, AMAZON).close()
    assert list(_tls._contexts) == [f"AWS_CA_BUNDLE ({trusting})"]


@pytest.mark.parametrize("with_root", [True, False], ids=["self-signed in chain", "no local issuer"])
@pytest.mark.usefixtures("machine")
def test_another_root_of_the_machine_is_found_at_the_second_try_and_remembered(
    with_root: bool, ca: trustme.CA, other_ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazons_are(monkeypatch, ca)
    context = server_context(other_ca.issue_cert(AMAZON), with_root=other_ca if with_root else None)
    with Server(answering(), tls=context) as server:
        connection = connect(server, AMAZON)
        assert exchange(connection) == b"{}"
        connection.close()
        assert server.accepted == 2
        assert len(server.handshake_errors) == 1
        connect(server, AMAZON).close()
        assert server.accepted == 3


@pytest.mark.usefixtures("machine")
def test_a_root_that_is_nowhere_is_refused_after_the_second_try(
    ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazons_are(monkeypatch, ca)
    with Server(answering(), tls=server_context(trustme.CA().issue_cert(AMAZON))) as server:
        assert "leads to no root in this machine's" in str(refused(server, AMAZON))
        assert server.accepted == 2
    assert server.received == b""


@pytest.mark.parametrize(
    ("identity", "dates", "says"),
    [
        (AMAZON, {"not_before": NOW - 2 * DAY, "not_after": NOW - DAY}, "has expired"),
        ("other.example", {}, "another host"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_no_other_fault_gets_a_second_try(
    identity: str,
    dates: dict[str, datetime.datetime],
    says: str,
    ca: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    amazons_are(monkeypatch, ca)
    with Server(answering(), tls=server_context(ca.issue_cert(identity, **dates))) as server:  # type: ignore[arg-type]
        assert says in str(refused(server, AMAZON))
        assert server.accepted == 1
    assert server.received == b""


@pytest.mark.usefixtures("machine")
def test_a_machine_without_amazons_roots_uses_its_whole_store(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    amazons_are(monkeypatch)
    with Server(answering(), tls=server_context(ca.issue_cert(AMAZON))) as server:
        connect(server, AMAZON).close()
    assert server.accepted == 1


def split(certificates: bytes) -> list[bytes]:
    """Cut concatenated DER sequences apart by their lengths."""
    found = []
    while certificates:
        length = 4 + int.from_bytes(certificates[2:4], "big")
        found.append(certificates[:length])
        certificates = certificates[length:]
    return found


def test_the_five_roots_stand_in_botocores_bundle() -> None:
    path = _tls._botocore_bundle()
    assert path == str(Path(botocore.__file__).parent / "cacert.pem")
    roots = split(_tls._pick_roots(Path(path).read_bytes()))
    assert {len(root): _tls.sha256(root).hexdigest() for root in roots} == _tls.AMAZON_ROOTS
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=b"".join(roots))
    names = {dict(field[0] for field in each["subject"])["commonName"] for each in context.get_ca_certs()}  # type: ignore[misc, index, union-attr]
    assert names == {
        "Amazon Root CA 1",
        "Amazon Root CA 2",
        "Amazon Root CA 3",
        "Amazon Root CA 4",
        "Starfield Services Root Certificate Authority - G2",
    }


def no_bundle(monkeypatch: pytest.MonkeyPatch, cafile: str | None) -> None:
    paths = ssl.get_default_verify_paths()._replace(cafile=cafile)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)


@pytest.mark.parametrize("cafile", [None, "/no/such/file"])
def test_where_the_machine_has_no_bundle_botocores_serves(cafile: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    no_bundle(monkeypatch, cafile)
    assert len(split(_tls._find_amazon_roots())) == 5
    if cafile is None:
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _: None)
        prepare_trust("localhost")
        assert len(_tls._contexts[_tls._MACHINE].get_ca_certs()) > 50


def test_where_there_is_no_bundle_at_all_nobody_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    no_bundle(monkeypatch, None)
    monkeypatch.setattr(_tls, "_botocore_bundle", lambda: None)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _: None)
    assert _tls._find_amazon_roots() == b""
    with Server(answering(), tls=server_context(trustme.CA().issue_cert(AMAZON))) as server:
        refused(server, AMAZON)
    assert server.received == b""


def test_damage_in_a_bundle_does_not_hide_the_roots_behind_it(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    amazons_are(monkeypatch, ca)
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    pem = ca.cert_pem.bytes()
    assert _tls._pick_roots(begin + b"\nA\n" + end + begin + b"\n" + pem + begin) == der(ca)
    assert _tls._pick_roots(pem.replace(b"\n", b"\r\n")) == der(ca)
    assert _tls._pick_roots(pem[:100] + b"A" + pem[101:] + pem) == der(ca)
    assert _tls._pick_roots(pem + pem) == der(ca)
    assert _tls._pick_roots(pem[:-40]) == b""


# What TLS does to an idle connection.


@pytest.mark.usefixtures("trusting")
def test_session_tickets_do_not_make_a_new_connection_stale(ca: trustme.CA) -> None:
    with Server(answering(), tls=server_context(ca.issue_cert("localhost"))) as server:
        connection = connect(server)
        patience = monotonic() + 5
        while not connection._readable():  # the tickets come right after the handshake
            assert monotonic() < patience
        assert connection.is_fresh()
        assert exchange(connection) == b"{}"
        assert connection.is_fresh()
        connection.close()


@pytest.mark.parametrize("stray", [b"x", b""], ids=["stray byte", "closed"])
@pytest.mark.usefixtures("trusting")
def test_an_idle_tls_connection_on_which_something_happened_is_not_fresh(stray: bytes, ca: trustme.CA) -> None:
    def script(peer: Peer) -> None:
        if stray:
            peer.send(stray)
            peer.wait_for_close()

    with Server(script, tls=server_context(ca.issue_cert("localhost"))) as server:
        connection = connect(server)
        patience = monotonic() + 5
        while connection.is_fresh():
            assert monotonic() < patience
        connection.close()


@pytest.mark.parametrize("size", [0, 100, 20_000, 1 << 20])
@pytest.mark.usefixtures("trusting")
def test_bytes_behind_an_answer_are_noticed_in_the_last_record(size: int, ca: trustme.CA) -> None:
    script = sending(answer(b"x" * size) + b"yy")
    with Server(script, tls=server_context(ca.issue_cert("localhost"))) as server:
        connection = connect(server)
        with pytest.raises(AttemptError, match="more bytes"):
            exchange(connection)
        connection.close()


@pytest.mark.usefixtures("trusting")
def test_an_answer_cut_short_is_refused(ca: trustme.CA) -> None:
    with Server(
        lambda peer: peer.read_request() and peer.send(answer(b"x" * 100)[:-1]),  # type: ignore[arg-type, func-returns-value]
        tls=server_context(ca.issue_cert("localhost")),
    ) as server:
        connection = connect(server)
        with pytest.raises(AttemptError, match="after 99 of 100 bytes") as caught:
            exchange(connection)
        assert caught.value.sent
        connection.close()


@pytest.mark.usefixtures("trusting")
def test_a_write_that_fails_under_tls_counts_as_sent(ca: trustme.CA) -> None:
    with Server(Peer.reset, tls=server_context(ca.issue_cert("localhost"))) as server:
        connection = connect(server)
        patience = monotonic() + 5
        while connection.is_fresh():
            assert monotonic() < patience
        with pytest.raises(AttemptError, match="broke") as caught:
            exchange(connection)
        assert caught.value.sent
        connection.close()
