"""Where credentials come from, in which order, how they are renewed, and that no text ever shows them."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import traceback
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from servers import PATIENCE_S, Peer, Server, answer

from jaypie_dynamo import ConfigurationError
from jaypie_dynamo._transport import _credentials
from jaypie_dynamo._transport._attempt import AttemptError
from jaypie_dynamo._transport._credentials import Credentials, Given, make_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaypie_dynamo._transport._credentials import Source

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
FAR = "2099-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def _no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the home directory: the container endpoint may be next."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time()
        monkeypatch.setattr(_credentials, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def keys(source: Source, timeout_s: float = PATIENCE_S) -> tuple[str, str, str | None]:
    found = source.get(deadline=monotonic() + timeout_s)
    return found.access_key, found.secret_key, found.token


def chain() -> Source:
    return make_source(None, region="eu-west-1")


def set_environment(monkeypatch: pytest.MonkeyPatch, key: str, secret: str, token: str | None = None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    if token is None:
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    else:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)


# Given, environment.


def test_given_credentials_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, "OTHER", "OTHER")
    source = make_source(Credentials("KEY", SECRET, TOKEN), region="x")
    assert keys(source) == ("KEY", SECRET, TOKEN)
    assert source.forget() is False
    assert keys(source) == ("KEY", SECRET, TOKEN)


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({}, None),
        ({"AWS_SESSION_TOKEN": ""}, None),
        ({"AWS_SESSION_TOKEN": "new"}, "new"),
        ({"AWS_SECURITY_TOKEN": "old"}, "old"),
        ({"AWS_SECURITY_TOKEN": "old", "AWS_SESSION_TOKEN": "new"}, "old"),
        ({"AWS_SECURITY_TOKEN": "", "AWS_SESSION_TOKEN": "new"}, "new"),
    ],
)
def test_the_environment_is_read_as_botocore_reads_it(
    variables: dict[str, str], token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, "KEY", SECRET)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert keys(chain()) == ("KEY", SECRET, token)
    assert botocore.session.Session().get_credentials().token == token


def test_keys_rotated_in_the_environment_are_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    source = chain()
    for key, secret, token in [("A", "a", None), ("A", "a", "t"), ("A", "b", "u"), ("B", "b", "u"), ("C", "c", None)]:
        set_environment(monkeypatch, key, secret, token)
        assert keys(source) == (key, secret, token)
    set_environment(monkeypatch, "C", "another-secret")
    assert source.forget() is True
    assert keys(source) == ("C", "another-secret", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match="No AWS credentials"):
        keys(source)


def test_the_same_environment_gives_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, "KEY", SECRET, TOKEN)
    source = chain()
    assert source.get(deadline=None) is source.get(deadline=None)


def test_forgetting_tells_whether_the_environment_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, "KEY", SECRET, TOKEN)
    source = chain()
    keys(source)
    assert source.forget() is False
    keys(source)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    assert source.forget() is True
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert source.forget() is True


def test_a_key_without_its_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY is not"):
        keys(chain())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_given_credentials_are_checked_too(place: int) -> None:
    parts = ["AKEY", SECRET, TOKEN]
    parts[place] += "\r\nX-Evil: 1"
    with pytest.raises(ConfigurationError, match="of credentials is not a text") as caught:
        make_source(Credentials(*parts), region="x")
    shows_nothing(caught.value)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("damage", ["{}\n", " {}", "{}\r\nX-Evil: 1", "{} {}", "{}\x00", "ключ{}"])
def test_what_no_header_can_carry_is_refused_and_not_shown(
    place: int, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = ["AKEY", SECRET, TOKEN]
    parts[place] = damage.format(parts[place], parts[place])
    name = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")[place]
    monkeypatch.setattr(
        _credentials.os,
        "environ",
        dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), parts, strict=True)),
    )
    with pytest.raises(ConfigurationError, match=f"^{name} is not") as caught:
        keys(chain())
    shows_nothing(caught.value)


# The container endpoint.


def document(key: str = "CKEY", expires: str | None = FAR, **changes: Any) -> bytes:
    content = {"RoleArn": "arn", "AccessKeyId": key, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": expires}
    content.update(changes)
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode()


class Endpoint:
    """What the container endpoint answers now; a callable gets the peer."""

    def __init__(self) -> None:
        self.answer: bytes | Callable[[Peer], None] = answer(document(), crc32=False)

    def __call__(self, peer: Peer) -> None:
        if peer.read_request():
            if callable(self.answer):
                self.answer(peer)
            else:
                peer.send(self.answer)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def container(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    with Server(endpoint) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/role?x=y")
        yield server


def iso(epoch_s: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(epoch_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_container_endpoint_is_asked_without_botocore(container: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_credentials, "_resolve_with_botocore", lambda _: pytest.fail("botocore was asked"))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc")
    source = chain()
    assert [keys(source), keys(source)] == [("CKEY", SECRET, TOKEN)] * 2
    (request,) = container.requests
    assert request.start == "GET /role?x=y HTTP/1.0"
    assert request.headers == {
        "host": f"localhost:{container.port}",
        "accept": "application/json",
        "authorization": "Basic abc",
    }


@pytest.mark.parametrize("content", ["secret-token", "secret-token\n"])
def test_the_token_comes_from_the_file_and_is_read_anew(
    content: str, container: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "other")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(path))
    source = chain()
    for each in (content, "rotated"):
        path.write_text(each)
        keys(source)
        source.forget()
    assert [request.headers["authorization"] for request in container.requests] == ["secret-token", "rotated"]


@pytest.mark.usefixtures("container")
def test_a_token_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/no/such/file")
    with pytest.raises(ConfigurationError, match="AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names /no/such/file"):
        keys(chain())


def test_a_token_that_no_header_can_carry_is_refused(container: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nX-Evil: 1")
    with pytest.raises(ConfigurationError, match="AWS_CONTAINER_AUTHORIZATION_TOKEN holds"):
        keys(chain())
    assert container.accepted == 0


def test_the_relative_address_leads_to_the_container_host(container: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import jaypie_dynamo._transport._http as http

    called: list[tuple[str, int]] = []
    open_socket = http.open_socket

    def redirected(host: str, port: int, *, deadline: float) -> Any:
        called.append((host, port))
        return open_socket("127.0.0.1", container.port, deadline=deadline)

    monkeypatch.setattr(http, "open_socket", redirected)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")
    assert keys(chain()) == ("CKEY", SECRET, TOKEN)
    assert called == [("169.254.170.2", 80)]
    assert container.requests[0].start == "GET /v2/credentials/1 HTTP/1.0"


@pytest.mark.parametrize(
    ("variable", "uri", "says"),
    [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x", "leads to example.com without TLS"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost.example.com/", "without TLS"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.169.254/", "without TLS"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "localhost", "must start with http"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.com/", "user name"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".example.com/", "without TLS"),
    ],
)
def test_only_this_machine_and_awss_container_hosts_are_asked(
    variable: str, uri: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, uri)
    with pytest.raises(ConfigurationError, match=says) as caught:
        keys(chain())
    assert variable in str(caught.value)


@pytest.mark.parametrize("uri", ["http://169.254.170.2/x", "http://169.254.170.23/x", "http://[fd00:ec2::23]/x"])
def test_awss_container_hosts_may_be_asked_in_the_clear(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import jaypie_dynamo._transport._http as http

    def refuse(host: str, port: int, *, deadline: float) -> Any:  # noqa: ARG001
        raise AttemptError(f"asked {host}", sent=False)

    monkeypatch.setattr(http, "open_socket", refuse)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)
    with pytest.raises(AttemptError, match="asked"):
        keys(chain())


def test_a_container_endpoint_with_tls_must_prove_itself(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    import trustme

    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Server(endpoint, tls=context) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/role")
        with pytest.raises(AttemptError, match="leads to no root"):
            keys(chain())
        assert server.received == b""
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert keys(chain()) == ("CKEY", SECRET, TOKEN)


def test_keys_are_kept_until_shortly_before_they_expire(container: Server, endpoint: Endpoint, clock: Clock) -> None:
    source, start = chain(), clock.now
    endpoint.answer = answer(document("FIRST", iso(start + 3600)))
    assert keys(source)[0] == "FIRST"
    clock.now = start + 3600 - 602
    endpoint.answer = answer(document("SECOND", iso(start + 7200)))
    assert keys(source)[0] == "FIRST"
    clock.now = start + 3600 - 598
    assert keys(source)[0] == "SECOND"
    assert container.accepted == 2


def test_an_endpoint_that_has_no_newer_keys_yet_is_not_asked_at_every_request(
    container: Server, endpoint: Endpoint, clock: Clock
) -> None:
    source, start = chain(), clock.now
    endpoint.answer = answer(document("OLD", iso(start + 300)))
    for second in range(0, 300, 10):
        clock.now = start + second
        assert keys(source)[0] == "OLD"
    assert container.accepted == 5
    endpoint.answer = answer(document("NEW"))
    clock.now = start + 301
    assert keys(source)[0] == "NEW"


@pytest.mark.parametrize(
    "failure",
    [answer(status="500 X"), answer(b"{}"), answer(status="403 X"), Peer.reset],
    ids=["server error", "no credentials", "refusal", "reset"],
)
def test_keys_that_are_still_good_outlive_a_failure_to_renew_them(
    failure: Any, container: Server, endpoint: Endpoint, clock: Clock
) -> None:
    source, start = chain(), clock.now
    endpoint.answer = answer(document("OLD", iso(start + 700)))
    assert keys(source)[0] == "OLD"
    endpoint.answer = failure
    clock.now = start + 200
    assert [keys(source)[0], keys(source)[0]] == ["OLD", "OLD"]
    assert container.accepted == 2
    clock.now = start + 701
    with pytest.raises((AttemptError, ConfigurationError)):
        keys(source)
    endpoint.answer = answer(document("NEW"))
    assert keys(source)[0] == "NEW"


@pytest.mark.parametrize(
    ("text", "epoch_s"),
    [
        ("2026-01-07T00:00:00Z", 1767744000),
        ("2026-01-07T00:00:00.123Z", 1767744000),
        ("2026-01-07T00:00:00.1234567Z", 1767744000),
        ("2026-01-07T01:00:00+01:00", 1767744000),
        ("2026-01-07T00:00:00", 1767744000),
    ],
)
def test_expiry_times_are_read(text: str, epoch_s: int) -> None:
    assert _credentials._parse_time(text) == epoch_s


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (answer(document(AccessKeyId=None)), AttemptError, "not with credentials"),
        (answer(document(SecretAccessKey=None)), AttemptError, "not with credentials"),
        (answer(document(Expiration="soon")), AttemptError, "not with credentials"),
        (answer(document(Expiration=5)), AttemptError, "not with credentials"),
        (answer(document()[:-1]), AttemptError, "not with credentials"),
        (answer(b'["' + SECRET.encode() + b'"]'), AttemptError, "not with credentials"),
        (answer(b"\xff" + document()), AttemptError, "not with credentials"),
        (answer(document(SecretAccessKey=SECRET + "\n")), ConfigurationError, "SecretAccessKey of the container"),
        (answer(document(), status="404 Not Found"), ConfigurationError, "HTTP status 404"),
        (answer(document(), status="403 Forbidden"), ConfigurationError, "HTTP status 403"),
        (answer(document(), status="302 Found", headers=["Location: http://evil/"]), ConfigurationError, "status 302"),
        (answer(document(), status="429 Slow down"), AttemptError, "HTTP status 429"),
        (answer(document(), status="503 X"), AttemptError, "HTTP status 503"),
        (answer(document())[:-1], AttemptError, "closed after"),
        (Peer.reset, AttemptError, "No container credentials"),
    ],
)
def test_what_is_not_credentials_is_refused_and_not_shown(
    given: Any, kind: type[Exception], says: str, endpoint: Endpoint
) -> None:
    endpoint.answer = given
    with pytest.raises(kind, match=says) as caught:
        keys(chain())
    shows_nothing(caught.value)
    if isinstance(caught.value, AttemptError):
        assert not caught.value.sent, "no byte has gone to DynamoDB"


@pytest.mark.usefixtures("container")
def test_an_answer_without_a_length_ends_with_the_connection(endpoint: Endpoint) -> None:
    endpoint.answer = b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n" + document(Token=None, Expiration=None)
    assert keys(chain()) == ("CKEY", SECRET, None)


@pytest.mark.usefixtures("container")
def test_a_silent_endpoint_costs_no_more_than_the_deadline(endpoint: Endpoint) -> None:
    endpoint.answer = Peer.wait_for_close
    started = monotonic()
    with pytest.raises(AttemptError, match="in time") as caught:
        keys(chain(), timeout_s=0.1)
    assert not caught.value.sent
    assert monotonic() - started < 1


def test_one_thread_fetches_for_all(container: Server, endpoint: Endpoint) -> None:
    arrived = threading.Event()

    def slow(peer: Peer) -> None:
        arrived.wait(PATIENCE_S)
        peer.send(answer(document()))

    endpoint.answer = slow
    source = chain()
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(keys(source)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    arrived.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert got == ["CKEY"] * 8
    assert container.accepted == 1


def test_a_thread_with_good_keys_does_not_wait_for_the_one_that_renews_them(
    container: Server, endpoint: Endpoint, clock: Clock
) -> None:
    source, start = chain(), clock.now
    endpoint.answer = answer(document("OLD", iso(start + 700)))
    keys(source)
    clock.now = start + 200
    asked, go_on = threading.Event(), threading.Event()

    def slow(peer: Peer) -> None:
        asked.set()
        go_on.wait(PATIENCE_S)
        peer.send(answer(document("NEW")))

    endpoint.answer = slow
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(keys(source)[0]))
    thread.start()
    assert asked.wait(PATIENCE_S)
    assert keys(source)[0] == "OLD"
    go_on.set()
    thread.join(PATIENCE_S)
    assert got == ["NEW"]
    assert keys(source)[0] == "NEW"
    assert container.accepted == 2


def test_a_thread_without_keys_waits_no_longer_than_its_deadline(container: Server, endpoint: Endpoint) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(peer: Peer) -> None:
        asked.set()
        go_on.wait(PATIENCE_S)
        peer.send(answer(document()))

    endpoint.answer = slow
    source = chain()
    thread = threading.Thread(target=lambda: keys(source))
    thread.start()
    assert asked.wait(PATIENCE_S)
    with pytest.raises(AttemptError, match="in time") as caught:
        keys(source, timeout_s=0.05)
    assert not caught.value.sent
    go_on.set()
    thread.join(PATIENCE_S)
    assert container.accepted == 1


# The order, against botocore itself.

PLACES = ("environment", "shared file", "config file", "ec2 file", "boto file", "container")


@pytest.mark.parametrize("places", [c for n in range(1, 7) for c in itertools.combinations(PLACES, n)], ids="+".join)
def test_the_order_of_places_is_botocores(
    places: tuple[str, ...], container: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = "[default]\naws_access_key_id = {}\naws_secret_access_key = s\n"
    if "environment" in places:
        set_environment(monkeypatch, "ENVIRONMENT", "s")
    if "shared file" in places:
        (tmp_path / "credentials").write_text(profile.format("SHARED"))
    if "config file" in places:
        (tmp_path / "config").write_text(profile.format("CONFIG"))
    if "ec2 file" in places:
        (tmp_path / "ec2").write_text("AWSAccessKeyId=EC2\nAWSSecretKey=s\n")
        monkeypatch.setenv("AWS_CREDENTIAL_FILE", str(tmp_path / "ec2"))
    if "boto file" in places:
        (tmp_path / "boto").write_text("[Credentials]\naws_access_key_id = BOTO\naws_secret_access_key = s\n")
        monkeypatch.setenv("BOTO_CONFIG", str(tmp_path / "boto"))
    if "container" not in places:
        monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    assert keys(chain())[0] == botocore.session.Session().get_credentials().access_key
    assert container.accepted <= 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config", "[default]\nregion = eu-west-1\n"),
        (".boto", "[Boto]\n"),
        ("credentials", ""),
    ],
)
def test_a_file_without_keys_leaves_the_container_to_botocore(
    name: str, content: str, container: Server, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    assert keys(chain()) == ("CKEY", SECRET, TOKEN)
    assert container.requests[0].start.endswith("HTTP/1.1")


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_what_botocore_asks_earlier_is_left_to_botocore(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "x")
    monkeypatch.setattr(_credentials, "_resolve_with_botocore", lambda region: pytest.fail(f"asked in {region}"))
    with pytest.raises(pytest.fail.Exception, match="asked in eu-west-1"):
        keys(chain())


# Everything else is botocore's.


def test_a_profile_is_resolved_by_botocore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text(
        f"[work]\naws_access_key_id = PKEY\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert keys(chain()) == ("PKEY", SECRET, TOKEN)


def process_profile(tmp_path: Path, body: str) -> Path:
    """A profile whose keys are printed by a program; each run leaves a line in the file returned."""
    program, runs = tmp_path / "print_keys.py", tmp_path / "runs"
    program.write_text(f"open({str(runs)!r}, 'a').write('x\\n')\n{body}\n")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    return runs


def printing(expires: str) -> str:
    text = {"Version": 1, "AccessKeyId": "PROCESS", "SecretAccessKey": SECRET, "SessionToken": TOKEN}
    return f"import json; print(json.dumps({ {**text, 'Expiration': expires}!r}))"


def test_keys_that_expire_are_renewed_by_botocore_at_the_next_request(tmp_path: Path) -> None:
    runs = process_profile(tmp_path, printing(FAR))
    source = chain()
    assert [keys(source), keys(source)] == [("PROCESS", SECRET, TOKEN)] * 2
    assert source.get(deadline=None) is source.get(deadline=None)
    assert runs.read_text().count("x") == 1
    assert source.forget() is True
    keys(source)
    assert runs.read_text().count("x") == 2
    process_profile(tmp_path, printing(iso(time() + 300)))  # so soon that botocore renews at every request
    source.forget()
    for _ in range(3):
        keys(source)
    assert runs.read_text().count("x") > 4


def test_a_source_that_fails_is_a_matter_of_configuration(tmp_path: Path) -> None:
    process_profile(tmp_path, f"import sys; sys.exit({SECRET!r})")
    with pytest.raises(ConfigurationError, match="CredentialRetrievalError") as caught:
        keys(chain())
    assert SECRET not in str(caught.value)


def test_without_any_the_places_and_the_next_step_are_named() -> None:
    with pytest.raises(ConfigurationError, match="No AWS credentials") as caught:
        keys(chain())
    for word in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "container", "profile", "role"):
        assert word in str(caught.value)


def test_botocore_is_asked_once_by_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Found:
        def get_frozen_credentials(self) -> Credentials:
            return Credentials("KEY", SECRET)

    def resolve(region: str) -> Found:
        asked.append(region)
        return Found()

    monkeypatch.setattr(_credentials, "_resolve_with_botocore", resolve)
    source = chain()
    threads = [threading.Thread(target=lambda: keys(source)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert asked == ["eu-west-1"]


# Nothing shows a secret.


def shows_nothing(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    assert SECRET not in text
    assert TOKEN not in text
    assert SECRET not in repr(vars(error))


def test_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials("AKEY", SECRET, TOKEN)
    set_environment(monkeypatch, "AKEY", SECRET, TOKEN)
    for shown in (credentials, Given(credentials), chain(), [credentials], chain().get(deadline=None)):
        for text in (repr(shown), str(shown), f"{shown}"):
            assert SECRET not in text
            assert TOKEN not in text
            assert "AKEY" not in text


@pytest.mark.parametrize(
    ("access_key", "real"),
    [("AKIAIOSFODNN7EXAMPLE", True), ("A" * 16, True), ("A" * 15, False), ("local", False), ("", False)],
)
def test_short_keys_cannot_be_real(access_key: str, real: bool) -> None:
    assert Credentials(access_key, "x").could_be_real() is real
