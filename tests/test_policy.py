"""Retries, doubt and the error that comes out, above a transport that answers from a script."""

from __future__ import annotations

import json
import logging
from binascii import crc32
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from jaypie_dynamo import AmbiguousWriteError, ConfigurationError, TransportError
from jaypie_dynamo._transport import _policy
from jaypie_dynamo._transport._attempt import AttemptError, RefusalError, Request, Response
from jaypie_dynamo._transport._policy import Quota, call, client_error, delay_s

SECRET = "do-not-show"
NAMESPACE = "com.amazonaws.dynamodb.v20120810#"

# A draw of `urandom` this high is the bound itself, to nine digits.
HIGHEST = b"\xff\xff\xff\xff"


class Script:
    """A transport that gives each outcome once, in turn, and remembers what it was sent."""

    name = "script"

    def refresh_credentials(self) -> bool:
        return False

    def correct_clock(self, server_date: str) -> bool:  # noqa: ARG002
        return False

    def __init__(self, *outcomes: Response | BaseException) -> None:
        self.outcomes = list(outcomes)
        self.attempts: list[int] = []
        self.bodies: list[bytes] = []

    def send(self, request: Request, timeout_s: float | None = None) -> Response:
        assert timeout_s is None
        self.attempts.append(request.attempt)
        self.bodies.append(request.body)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def answer(body: Any = "{}", status: int = 200, **headers: str) -> Response:
    """Make an answer whose checksum is right."""
    raw = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"x-amz-crc32": str(crc32(raw)), **named}, raw)


def refusal(code: str, status: int = 400, message: str = "the words", extra: Any = None, **headers: str) -> Response:
    return answer(
        json.dumps({"__type": NAMESPACE + code, "message": message, **(extra or {})}),
        status,
        x_amzn_requestid="RID",
        **headers,
    )


def damaged(response: Response) -> Response:
    """Change a byte of the body that its checksum was made for."""
    return Response(response.status, response.headers, b"[" + response.body[1:])


def html(status: int) -> Response:
    return Response(status, {"content-type": "text/html"}, b"<html>Service Unavailable</html>")


def lost(*, sent: bool = True, retryable: bool = True) -> AttemptError:
    return AttemptError("the connection broke", sent=sent, retryable=retryable)


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """Collect the delays instead of sleeping; every draw is the highest."""
    delays: list[float] = []
    monkeypatch.setattr(_policy.time, "sleep", delays.append)
    monkeypatch.setattr(_policy, "urandom", lambda count: HIGHEST[:count])
    return delays


def send(script: Script, *, write: bool = False, resend: bool = True, attempts: int = 4, read: Any = json.loads) -> Any:
    return call(script, make_request(attempts, write=write, resend=resend), read=read, quota=Quota())


def make_request(attempts: int = 4, *, write: bool = False, resend: bool = True) -> Request:
    body = json.dumps({"Item": SECRET}).encode()
    return Request("PutItem", body, {"TableName": SECRET}, attempts, is_write=write, may_resend=resend)


# --- one attempt


def test_answer_is_read_and_returned(slept):
    script = Script(answer('{"a": 1}'))
    assert send(script) == {"a": 1}
    assert (script.attempts, slept) == ([1], [])


def test_checksum_is_optional():
    assert send(Script(Response(200, {}, b'{"a": 1}'))) == {"a": 1}


# --- what is tried again

TRANSIENT, THROTTLED = 0.025, 1.0
RETRIED = [
    *((lost(sent=sent), TRANSIENT) for sent in (True, False)),
    *((refusal("InternalServerError", status), TRANSIENT) for status in (500, 502, 503, 504)),
    *((html(status), TRANSIENT) for status in (500, 502, 503, 504, 403, 404, 301)),
    *((answer(body, 400), TRANSIENT) for body in ("", "[]", "5", '"text"', "null", "{}", '{"__type": 5}', "{")),
    *(
        (refusal(code), TRANSIENT)
        for code in (
            "ReplicatedWriteConflictException",
            "TransactionConflictException",
            "TransactionInProgressException",
        )
    ),
    *(
        (refusal(code), THROTTLED)
        for code in (
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "ThrottlingException",
            "Throttling",
            "LimitExceededException",
        )
    ),
    (refusal("ThrottlingException", 500), THROTTLED),
    (refusal("Whatever", 429), THROTTLED),
    (html(429), THROTTLED),
    (damaged(answer()), TRANSIENT),
    (damaged(refusal("ValidationException")), TRANSIENT),
    (damaged(refusal("InternalServerError", 500)), TRANSIENT),
    (answer("{"), TRANSIENT),
    (answer(b"\xff"), TRANSIENT),
    (answer("[" * 100_000), TRANSIENT),
    (answer("[" * 100_000, 400), TRANSIENT),
]


def show(value: Any) -> str:
    if isinstance(value, Response):
        return f"{value.status} {value.body[:60]!r}"
    return repr(value)[:60]


@pytest.mark.parametrize(("outcome", "base_s"), RETRIED, ids=show)
def test_what_may_pass_is_tried_again_after_growing_delays(outcome, base_s, slept):
    script = Script(outcome, outcome, outcome, answer('{"a": 1}'))
    assert send(script) == {"a": 1}
    assert script.attempts == [1, 2, 3, 4]
    assert slept == pytest.approx([base_s, 2 * base_s, 4 * base_s])
    assert len(set(script.bodies)) == 1


@pytest.mark.parametrize("outcome", [outcome for outcome, _ in RETRIED], ids=show)
def test_attempts_are_bounded(outcome, slept):
    script = Script(*[outcome] * 4)
    with pytest.raises((TransportError, RefusalError)):
        send(script)
    assert script.attempts == [1, 2, 3, 4]
    script = Script(outcome)
    slept.clear()
    with pytest.raises((TransportError, RefusalError)):
        send(script, attempts=1)
    assert (script.attempts, slept) == ([1], [])


@pytest.mark.parametrize(
    "outcome",
    [
        *(
            refusal(code)
            for code in (
                "AccessDeniedException",
                "ConditionalCheckFailedException",
                "ItemCollectionSizeLimitExceededException",
                "ResourceNotFoundException",
                "TransactionCanceledException",
                "ValidationException",
            )
        ),
        refusal("SomethingNew", 413),
        refusal("NotImplemented", 501),
    ],
    ids=show,
)
@pytest.mark.parametrize("write", [True, False])
def test_what_cannot_pass_is_not_tried_again(outcome, write, slept):
    script = Script(outcome)
    with pytest.raises((RefusalError, AmbiguousWriteError)) as caught:
        send(script, write=write)
    assert (script.attempts, slept) == ([1], [])
    assert isinstance(caught.value, RefusalError) == (outcome.status < 500 or not write)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_refused_credentials_are_a_setting(code, slept):
    with pytest.raises(
        ConfigurationError, match=rf"does not accept the credentials \({code}: the words\)\. Renew them"
    ):
        send(Script(refusal(code)), write=True)
    assert slept == []


def test_wall_is_not_run_into_again(slept):
    message = r"^PutItem failed and was not applied: the connection broke \(attempt 1 of 4\)\.$"
    with pytest.raises(TransportError, match=message):
        send(Script(lost(sent=False, retryable=False)), write=True)
    assert slept == []


# --- delays


@given(st.integers(1, 60), st.sampled_from([TRANSIENT, THROTTLED]), st.binary(min_size=4, max_size=4))
def test_delay_is_drawn_below_a_bound_that_doubles(attempt, base_s, octets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_policy, "urandom", lambda count: octets[:count])
        drawn = delay_s(attempt, base_s=base_s)
    bound = min(20.0, base_s * 2 ** (attempt - 1))
    assert 0 <= drawn < bound
    assert drawn == pytest.approx(bound * int.from_bytes(octets, "big") / 2**32)


def test_delays_differ(monkeypatch):
    monkeypatch.undo()
    drawn = {delay_s(1, base_s=1.0) for _ in range(100)}
    assert len(drawn) > 90
    assert min(drawn) < 0.5 < max(drawn)


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        ("0", 0),
        ("250", 0.25),
        ("20000", 20.0),
        ("99999999", 20.0),
        ("", TRANSIENT),
        ("-5", TRANSIENT),
        ("1.5", TRANSIENT),
        ("soon", TRANSIENT),
        ("٣", TRANSIENT),
    ],
)
def test_service_may_ask_for_a_delay(header, delay, slept):
    send(Script(refusal("InternalServerError", 500, x_amz_retry_after=header), answer()))
    assert slept == pytest.approx([delay])


# --- the error that comes out


def test_refusal_carries_what_dynamodb_said():
    item = {"id": {"S": "1"}}
    script = Script(html(503), refusal("ConditionalCheckFailedException", extra={"Item": item}))
    with pytest.raises(RefusalError) as caught:
        send(script)
    error = caught.value
    assert (error.operation, error.code, error.message) == ("PutItem", "ConditionalCheckFailedException", "the words")
    assert error.answer["Item"] == item
    assert error.attempts == 2
    assert error.response.status == 400
    assert str(error) == "PutItem: ConditionalCheckFailedException: the words"
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"__type": "x#Code", "message": "words"}, "Code", "words"),
        ({"__type": "x#Code", "Message": "words"}, "Code", "words"),
        ({"__type": "Code"}, "Code", ""),
        ({"__type": "a#b#Code", "message": None, "Message": None}, "Code", ""),
        ({"__type": "x#Code", "message": 5}, "Code", "5"),
    ],
)
def test_code_and_message_are_found(body, code, message):
    with pytest.raises(RefusalError) as caught:
        send(Script(answer(json.dumps(body), 400)))
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize("status", [301, 403, 404, 429, 500, 503])
def test_foreign_answer_is_a_transport_error_that_says_so(status):
    script = Script(*[html(status)] * 4)
    message = f"PutItem failed: HTTP status {status} came back without an error of DynamoDB's. Is the endpoint DynamoDB"
    with pytest.raises(TransportError, match=message) as caught:
        send(script)
    assert type(caught.value) is TransportError
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (damaged(answer()), "its x-amz-crc32 does not match its body"),
        (damaged(refusal("ValidationException")), "its x-amz-crc32 does not match its body"),
        (answer("{"), "Expecting property name"),
    ],
)
def test_corrupt_answer_is_a_transport_error_that_says_so(outcome, reason):
    with pytest.raises(TransportError, match=f"PutItem failed: the answer is corrupt: {reason}") as caught:
        send(Script(*[outcome] * 4))
    assert type(caught.value) is TransportError
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("fault", [ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError])
def test_answer_of_another_shape_is_corrupt(fault):
    def read(_body: bytes) -> Any:
        raise fault("Count")

    script = Script(*[answer()] * 4)
    with pytest.raises(TransportError, match=r"PutItem failed: the answer is corrupt: .*Count") as caught:
        send(script, read=read)
    assert type(caught.value.__cause__) is fault
    assert len(script.attempts) == 4


def test_interruption_passes():
    with pytest.raises(KeyboardInterrupt):
        send(Script(KeyboardInterrupt()), write=True)


def test_lost_connection_is_a_transport_error_with_its_cause():
    failures = [lost() for _ in range(4)]
    with pytest.raises(
        TransportError, match=r"^PutItem failed: the connection broke \(attempt 4 of 4\)\.( Is the endpoint right|$)"
    ) as caught:
        send(Script(*failures))
    assert type(caught.value) is TransportError
    assert caught.value.__cause__ is failures[-1]


# --- doubt: a write was sent, and nothing that can be trusted came back

DOUBTFUL = [
    lost(),
    refusal("InternalServerError", 500),
    refusal("ServiceUnavailable", 503),
    refusal("NotImplemented", 501),
    html(502),
    answer("{"),
    damaged(answer()),
    damaged(refusal("ConditionalCheckFailedException")),
    damaged(refusal("ProvisionedThroughputExceededException")),
]
CERTAIN = [
    lost(sent=False),
    refusal("ProvisionedThroughputExceededException"),
    refusal("TransactionConflictException"),
    html(403),
    html(429),
]


@pytest.mark.parametrize("outcome", DOUBTFUL, ids=show)
def test_doubtful_write_that_must_not_be_doubled_is_not_resent(outcome, slept):
    script, request = Script(outcome), make_request(write=True, resend=False)
    with pytest.raises(AmbiguousWriteError) as caught:
        call(script, request, read=json.loads, quota=Quota())
    assert (script.attempts, slept) == ([1], [])
    assert request.doubt
    assert str(caught.value).startswith("PutItem was sent and may or may not have been applied: ")
    assert str(caught.value).endswith("(attempt 1 of 4). Read the item before writing it again.")
    assert caught.value.existing is None
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("outcome", [outcome for outcome in DOUBTFUL if show(outcome)[:3] != "501"], ids=show)
def test_doubtful_write_that_may_be_doubled_is_resent(outcome):
    script, request = Script(outcome, answer('{"a": 1}')), make_request(write=True)
    assert call(script, request, read=json.loads, quota=Quota()) == {"a": 1}
    assert request.doubt


@pytest.mark.parametrize("outcome", CERTAIN, ids=show)
@pytest.mark.parametrize("resend", [True, False])
def test_write_that_surely_did_not_happen_is_sent_again(outcome, resend):
    script, request = Script(outcome, answer('{"a": 1}')), make_request(write=True, resend=resend)
    assert call(script, request, read=json.loads, quota=Quota()) == {"a": 1}
    assert not request.doubt


@pytest.mark.parametrize("outcome", CERTAIN, ids=show)
@pytest.mark.parametrize("resend", [True, False])
def test_write_that_surely_did_not_happen_is_called_so(outcome, resend):
    with pytest.raises((TransportError, RefusalError)) as caught:
        send(Script(*[outcome] * 4), write=True, resend=resend)
    assert not isinstance(caught.value, AmbiguousWriteError)


@pytest.mark.parametrize(
    "later",
    [
        *DOUBTFUL,
        *CERTAIN,
        lost(sent=False, retryable=False),
        refusal("ConditionalCheckFailedException"),
        refusal("ValidationException"),
        refusal("AccessDeniedException"),
        ConfigurationError("Unable to locate credentials"),
    ],
    ids=show,
)
@pytest.mark.parametrize("first", DOUBTFUL[:1] + DOUBTFUL[4:7], ids=show)
def test_nothing_that_follows_undoes_the_doubt(first, later):
    with pytest.raises(AmbiguousWriteError, match="may or may not have been applied"):
        send(Script(first, later, later, later), write=True)


@pytest.mark.parametrize("outcome", DOUBTFUL, ids=show)
def test_reads_are_never_in_doubt(outcome):
    request = make_request(1)
    with pytest.raises((TransportError, RefusalError)) as caught:
        call(Script(outcome), request, read=json.loads, quota=Quota())
    assert not isinstance(caught.value, AmbiguousWriteError)
    assert not request.doubt


@pytest.mark.parametrize("before", [[], [lost(sent=False)], [refusal("ThrottlingException")]], ids=["first", "a", "b"])
def test_wrong_settings_are_told_as_they_are_where_nothing_was_written(before):
    wrong = ConfigurationError("Unable to locate credentials")
    with pytest.raises(ConfigurationError) as caught:
        send(Script(*before, wrong), write=True)
    assert caught.value is wrong


# --- botocore's error


@pytest.mark.parametrize("spelling", ["message", "Message"])
def test_client_error_is_botocores(spelling):
    body = {
        "__type": NAMESPACE + "TransactionCanceledException",
        spelling: "the words",
        "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": {"id": {"S": "1"}}}],
    }
    script = Script(html(503), answer(json.dumps(body), 400, x_amzn_requestid="RID", server="Server"))
    with pytest.raises(RefusalError) as caught:
        send(script)
    error = client_error(caught.value)
    assert type(error) is ClientError
    assert (
        str(error) == "An error occurred (TransactionCanceledException) when calling the PutItem operation: the words"
    )
    assert error.operation_name == "PutItem"
    assert error.response["Error"] == {"Code": "TransactionCanceledException", "Message": "the words"}
    assert error.response["CancellationReasons"] == body["CancellationReasons"]
    assert "__type" not in error.response
    metadata = error.response["ResponseMetadata"]
    assert (metadata["RequestId"], metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == ("RID", 400, 1)
    assert metadata["HTTPHeaders"]["server"] == "Server"


def test_client_error_with_a_hint_keeps_dynamodbs_words():
    with pytest.raises(RefusalError) as caught:
        send(Script(answer('{"__type": "ResourceNotFoundException", "message": "not found"}', 400)))
    error = client_error(caught.value, hint=" (look here)")
    assert error.response["Error"]["Message"] == "not found (look here)"
    assert error.response["ResponseMetadata"]["RequestId"] == ""


# --- logging


def test_log_tells_each_attempt_and_shows_nothing(caplog):
    caplog.set_level(logging.DEBUG, logger="jaypie_dynamo")
    shown = refusal(
        "InternalServerError", 500, message=SECRET, extra={"Item": {"id": {"S": SECRET}}}, authorization=SECRET
    )
    with pytest.raises(AmbiguousWriteError):
        send(Script(lost(sent=False), shown, shown, answer(json.dumps(SECRET)[:-1])), write=True)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" ms=")[0] for line in lines] == [
        "PutItem attempt=1 outcome=the connection broke",
        "PutItem attempt=2 outcome=500",
        "PutItem attempt=3 outcome=500",
        "PutItem attempt=4 outcome=200",
    ]
    assert [line.split("request_id=")[1] for line in lines] == ["-", "RID", "RID", "-"]
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert SECRET not in caplog.text


def test_log_is_silent_by_default(caplog):
    caplog.set_level(logging.INFO, logger="jaypie_dynamo")
    send(Script(lost(sent=False), html(503), answer()))
    assert caplog.records == []
