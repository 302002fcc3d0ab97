"""What may be said after a write whose answer was lost, and what a refused signature is worth a second try."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from attempts import (
    Clock,
    Script,
    answer,
    cancelled,
    damaged,
    html,
    lost,
    make_request,
    refusal,
    send,
    show,
)
from botocore.exceptions import ClientError

from jaypie_dynamo import AmbiguousWriteError, ConfigurationError, TransportError
from jaypie_dynamo._transport import _deadline, _policy
from jaypie_dynamo._transport._attempt import RefusalError, Response
from jaypie_dynamo._transport._policy import client_error

FAILURES = (TransportError, RefusalError, ConfigurationError)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_policy, "time", made)
    monkeypatch.setattr(_deadline, "monotonic", made.monotonic)
    return made


DOUBTFUL = [
    lost(),
    refusal("InternalServerError", 500),
    refusal("ServiceUnavailable", 503),
    html(502),
    html(200),
    html(202),
    Response(204, {}, b""),
    answer("{"),
    answer("[" * 100_000),
    damaged(answer()),
    damaged(refusal("ConditionalCheckFailedException")),
    damaged(refusal("ProvisionedThroughputExceededException")),
]
CERTAIN = [
    lost(sent=False),
    refusal("ProvisionedThroughputExceededException"),
    refusal("TransactionConflictException"),
    cancelled("TransactionConflict", "None"),
    html(301),
    html(403),
    html(413),
    html(429),
    answer("", 400),
    answer("[]", 400),
    answer('{"__type": 5}', 400),
]


@pytest.mark.parametrize("outcome", DOUBTFUL, ids=show)
def test_doubtful_write_that_must_not_be_doubled_is_not_resent(outcome, clock):
    script, request = Script(outcome), make_request(write=True, resend=False)
    with pytest.raises(AmbiguousWriteError) as caught:
        send(script, request)
    assert (script.attempts, clock.sleeps) == ([1], [])
    assert request.doubt
    assert str(caught.value).startswith("PutItem was sent and may or may not have been applied: ")
    assert str(caught.value).endswith("(attempt 1 of 4). Read the item before writing it again.")
    assert caught.value.existing is None
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("outcome", DOUBTFUL, ids=show)
def test_doubtful_write_that_may_be_doubled_is_resent(outcome):
    script, request = Script(outcome, answer('{"a": 1}')), make_request(write=True)
    assert send(script, request) == {"a": 1}
    assert request.doubt
    assert len(set(script.bodies)) == 1


@pytest.mark.parametrize("outcome", CERTAIN, ids=show)
@pytest.mark.parametrize("resend", [True, False])
def test_write_that_surely_did_not_happen_is_sent_again(outcome, resend):
    request = make_request(write=True, resend=resend)
    assert send(Script(outcome, outcome, answer('{"a": 1}')), request) == {"a": 1}
    assert not request.doubt


@pytest.mark.parametrize("outcome", CERTAIN, ids=show)
@pytest.mark.parametrize("resend", [True, False])
def test_write_that_surely_did_not_happen_is_called_so(outcome, resend):
    with pytest.raises(FAILURES) as caught:
        send(Script(outcome), make_request(write=True, resend=resend))
    assert not isinstance(caught.value, AmbiguousWriteError)
    if isinstance(caught.value, TransportError):
        assert str(caught.value).startswith("PutItem failed and was not applied: ")


@pytest.mark.parametrize(
    "later",
    [
        *DOUBTFUL,
        *CERTAIN,
        lost(sent=False, retryable=False),
        refusal("ConditionalCheckFailedException"),
        refusal("ValidationException"),
        refusal("AccessDeniedException"),
        refusal("ExpiredTokenException"),
        refusal("InvalidSignatureException"),
        refusal("IdempotentParameterMismatchException"),
        cancelled("ConditionalCheckFailed"),
        ConfigurationError("Unable to locate credentials"),
    ],
    ids=show,
)
@pytest.mark.parametrize("first", [lost(), refusal("InternalServerError", 500), answer("{")], ids=show)
def test_nothing_that_follows_undoes_the_doubt(first, later):
    with pytest.raises(AmbiguousWriteError, match="may or may not have been applied"):
        send(Script(first, later), make_request(write=True))


def test_refusal_behind_the_doubt_can_be_looked_at():
    with pytest.raises(AmbiguousWriteError) as caught:
        send(Script(lost(), refusal("ConditionalCheckFailedException", extra={"Item": 1})), make_request(write=True))
    assert isinstance(caught.value.__cause__, RefusalError)
    assert caught.value.__cause__.answer["Item"] == 1


@pytest.mark.parametrize("outcome", DOUBTFUL, ids=show)
def test_reads_are_never_in_doubt(outcome):
    request = make_request(attempts=2)
    with pytest.raises(FAILURES) as caught:
        send(Script(outcome), request)
    assert not isinstance(caught.value, AmbiguousWriteError)
    assert "applied" not in str(caught.value)
    assert not request.doubt


def test_interruption_passes():
    with pytest.raises(KeyboardInterrupt):
        send(Script(KeyboardInterrupt()), make_request(write=True))


# --- a refused signature ----------------------------------------------------------------------------------------------

EXPIRED, UNKNOWN = refusal("ExpiredTokenException"), refusal("UnrecognizedClientException")
SKEWED = refusal("InvalidSignatureException", date="Tue, 07 Jan 2025 10:00:00 GMT")
TOO_SKEWED = refusal("RequestTimeTooSkewed")


@pytest.mark.parametrize("outcome", [EXPIRED, UNKNOWN], ids=show)
@pytest.mark.parametrize("write", [True, False])
def test_credentials_are_looked_for_anew_once(outcome, write, clock):
    script = Script(outcome, answer('{"a": 1}'), has_other_credentials=True)
    assert send(script, make_request(write=write, resend=False, attempts=1)) == {"a": 1}
    assert (script.remedies, script.attempts, clock.sleeps) == (["credentials"], [1, 2], [])
    script = Script(outcome, has_other_credentials=True)
    with pytest.raises(ConfigurationError, match="DynamoDB does not accept the credentials"):
        send(script, make_request(write=write))
    assert (script.remedies, script.attempts) == (["credentials"], [1, 2])


@pytest.mark.parametrize("outcome", [SKEWED, TOO_SKEWED], ids=show)
def test_clock_is_corrected_once(outcome, clock):
    script = Script(outcome, answer('{"a": 1}'), clock_is_off=True)
    assert send(script, make_request(write=True, resend=False, attempts=1)) == {"a": 1}
    date = outcome.headers.get("date", "")
    assert (script.remedies, script.attempts, clock.sleeps) == ([f"clock {date}"], [1, 2], [])
    script = Script(outcome, clock_is_off=True)
    with pytest.raises(RefusalError):
        send(script)
    assert script.attempts == [1, 2]


@pytest.mark.parametrize("first", [EXPIRED, SKEWED], ids=show)
def test_thawed_function_may_need_both(first):
    """Its clock is behind and its credentials have run out: each is told only after the other is mended."""
    second = SKEWED if first is EXPIRED else EXPIRED
    script = Script(first, second, answer('{"a": 1}'), has_other_credentials=True, clock_is_off=True)
    assert send(script) == {"a": 1}
    assert len(script.remedies) == 2
    script = Script(first, second, first, has_other_credentials=True, clock_is_off=True)
    with pytest.raises(FAILURES):
        send(script)
    assert script.attempts == [1, 2, 3]


def test_recovery_costs_no_attempt():
    script = Script(EXPIRED, SKEWED, html(503), answer("{"), html(503), answer('{"a": 1}'))
    script._has_other_credentials = script._clock_is_off = True
    assert send(script) == {"a": 1}
    assert script.attempts == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("outcome", "error"),
    [(EXPIRED, ConfigurationError), (UNKNOWN, ConfigurationError), (SKEWED, RefusalError), (TOO_SKEWED, RefusalError)],
    ids=show,
)
def test_signature_that_cannot_be_mended_is_not_sent_again(outcome, error):
    script = Script(outcome)
    with pytest.raises(error):
        send(script)
    assert len(script.remedies) == 1
    assert script.attempts == [1]


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "MissingAuthenticationTokenException", "ValidationException"]
)
def test_other_refusals_have_no_remedy(code):
    script = Script(refusal(code), has_other_credentials=True, clock_is_off=True)
    with pytest.raises(RefusalError):
        send(script)
    assert script.remedies == []


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_refusal_becomes_botocores_error():
    with pytest.raises(RefusalError) as caught:
        send(Script(html(503), refusal("ValidationException", extra={"Item": {"id": {"S": "1"}}}, date="D")))
    error: Any = client_error(caught.value, hint=" (hint)")
    assert isinstance(error, ClientError)
    assert error.operation_name == "PutItem"
    assert error.response["Error"] == {"Code": "ValidationException", "Message": "the words (hint)"}
    assert error.response["Item"] == {"id": {"S": "1"}}
    metadata = error.response["ResponseMetadata"]
    assert (metadata["RequestId"], metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == ("RID", 400, 1)
    assert metadata["HTTPHeaders"]["date"] == "D"


def test_log_tells_each_attempt_and_no_data(caplog):
    secret = "do-not-show"
    request = make_request()
    request.body = json.dumps({"Item": secret}).encode()
    request.params = {"TableName": secret}
    outcomes = [lost(), html(503), refusal("ThrottlingException", message=secret), answer(json.dumps({"a": secret}))]
    with caplog.at_level(logging.DEBUG, logger="jaypie_dynamo"):
        send(Script(*outcomes), request)
    assert [record.levelno for record in caplog.records] == [logging.DEBUG] * 4
    assert [record.getMessage().rpartition(" ms=")[0] for record in caplog.records] == [
        "PutItem attempt=1 outcome=the connection broke",
        "PutItem attempt=2 outcome=503",
        "PutItem attempt=3 outcome=400",
        "PutItem attempt=4 outcome=200",
    ]
    assert secret not in caplog.text
    assert "request_id=RID" in caplog.records[2].getMessage()
