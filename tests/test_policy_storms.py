"""When the service is sick: how long is waited, how often is tried, and what a deadline does to both."""

from __future__ import annotations

import random

import pytest
from attempts import HIGHEST, Clock, Script, answer, cancelled, html, lost, make_request, refusal, send, show
from hypothesis import given
from hypothesis import strategies as st

from jaypie_dynamo import AmbiguousWriteError, TransportError, ValidationError, deadline
from jaypie_dynamo._transport import _deadline, _policy
from jaypie_dynamo._transport._attempt import RefusalError
from jaypie_dynamo._transport._policy import Quota, delay_s

TRANSIENT, THROTTLED, CAP = 0.025, 1.0, 20.0

THROTTLE = refusal("ProvisionedThroughputExceededException")
FAILURES = (TransportError, RefusalError)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Let no time pass but what is slept, and let every draw be the highest."""
    made = Clock()
    monkeypatch.setattr(_policy, "time", made)
    monkeypatch.setattr(_deadline, "monotonic", made.monotonic)
    monkeypatch.setattr(_policy, "urandom", lambda count: HIGHEST[:count])
    return made


# --- how long is waited -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "base_s"),
    [
        (lost(sent=True), TRANSIENT),
        (lost(sent=False), TRANSIENT),
        *((refusal("InternalServerError", status), TRANSIENT) for status in (500, 502, 503, 504)),
        *((html(status), TRANSIENT) for status in (503, 403, 301)),
        (answer("{"), TRANSIENT),
        *(
            (refusal(code), TRANSIENT)
            for code in (
                "ReplicatedWriteConflictException",
                "TransactionConflictException",
                "TransactionInProgressException",
            )
        ),
        (cancelled("None", "TransactionConflict"), TRANSIENT),
        *((refusal(code), THROTTLED) for code in sorted(_policy.THROTTLING_CODES)),
        (refusal("LimitExceededException", message="Subscriber limit exceeded: 50 tables at once"), THROTTLED),
        (refusal("Whatever", 429), THROTTLED),
        (html(429), THROTTLED),
    ],
    ids=show,
)
def test_delays_double_from_the_base_of_what_went_wrong(outcome, base_s, clock):
    script = Script(outcome)
    with pytest.raises(FAILURES):
        send(script, make_request(attempts=12))
    assert script.attempts == list(range(1, 13))
    assert clock.sleeps == pytest.approx([min(CAP, base_s * 2**retry) for retry in range(11)], rel=1e-6)


@given(st.integers(1, 100), st.sampled_from([TRANSIENT, THROTTLED]), st.binary(min_size=4, max_size=4))
def test_delay_is_what_is_drawn_of_its_bound(attempt, base_s, octets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_policy, "urandom", lambda count: octets[:count])
        drawn = delay_s(attempt, base_s=base_s)
    bound = min(CAP, base_s * 2 ** (attempt - 1))
    assert 0 <= drawn < bound
    assert drawn == pytest.approx(bound * int.from_bytes(octets, "big") / 2**32)


@pytest.mark.parametrize("attempt", [1, 4, 12])
@pytest.mark.parametrize("base_s", [TRANSIENT, THROTTLED])
def test_delays_are_spread_evenly_over_the_whole_bound(attempt, base_s, monkeypatch):
    """Full jitter: callers that were refused together do not come back together."""
    octets = random.Random(20240101)
    monkeypatch.setattr(_policy, "urandom", octets.randbytes)
    bound = min(CAP, base_s * 2 ** (attempt - 1))
    drawn = [delay_s(attempt, base_s=base_s) / bound for _ in range(4000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.5, abs=0.02)
    tenths = [sum(tenth <= 10 * share < tenth + 1 for share in drawn) for tenth in range(10)]
    assert all(300 < count < 500 for count in tenths)


def test_draws_come_from_the_system(monkeypatch):
    """Not from `random`, whose state every copy of a restored snapshot shares."""
    monkeypatch.undo()
    random.seed(1)
    first = [delay_s(1, base_s=1.0) for _ in range(8)]
    random.seed(1)
    assert [delay_s(1, base_s=1.0) for _ in range(8)] != first


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        ("0", 0),
        ("250", 0.25),
        ("20000", CAP),
        ("99999999", CAP),
        *((header, TRANSIENT) for header in ("", "-5", "1.5", "soon", "٣", "1e3", " 5")),
    ],
)
def test_service_may_ask_for_a_delay(header, delay, clock):
    send(Script(refusal("InternalServerError", 500, x_amz_retry_after=header), answer()))
    assert clock.sleeps == pytest.approx([delay])


@pytest.mark.parametrize("outcome", [THROTTLE, cancelled("ThrottlingError"), html(503)], ids=show)
def test_delay_asked_for_replaces_every_base(outcome, clock):
    asking = type(outcome)(outcome.status, {**outcome.headers, "x-amz-retry-after": "70"}, outcome.body)
    send(Script(asking, asking, answer()))
    assert clock.sleeps == [0.07, 0.07]


# --- how often is tried -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 2, 4, 9])
@pytest.mark.parametrize("outcome", [THROTTLE, lost(sent=False), html(503)], ids=show)
def test_attempts_are_bounded(attempts, outcome, clock):
    script = Script(outcome)
    with pytest.raises(FAILURES, match=f"attempt {attempts} of {attempts}|the words"):
        send(script, make_request(attempts=attempts))
    assert script.attempts == list(range(1, attempts + 1))
    assert len(clock.sleeps) == attempts - 1


@pytest.mark.parametrize(
    "outcome",
    [
        *(
            refusal(code)
            for code in (
                "AccessDeniedException",
                "ConditionalCheckFailedException",
                "IdempotentParameterMismatchException",
                "ItemCollectionSizeLimitExceededException",
                "ResourceNotFoundException",
                "ValidationException",
            )
        ),
        refusal("LimitExceededException", message="Table count exceeds the account's quota of 2500"),
        refusal("TransactionCanceledException"),
        cancelled("None", "ConditionalCheckFailed"),
        cancelled("ThrottlingError", "ItemCollectionSizeLimitExceeded"),
        cancelled("TransactionConflict", "ValidationError"),
        cancelled("Unheard"),
        cancelled(),
        refusal("TransactionCanceledException", extra={"CancellationReasons": "None"}),
        refusal("TransactionCanceledException", extra={"CancellationReasons": ["None"]}),
        refusal("NotImplemented", 501),
        lost(sent=False, retryable=False),
    ],
    ids=show,
)
def test_what_cannot_pass_is_not_tried_again(outcome, clock):
    script = Script(outcome)
    with pytest.raises(FAILURES):
        send(script, make_request(write=True) if not show(outcome).startswith("501") else None)
    assert (script.attempts, clock.sleeps) == ([1], [])


@pytest.mark.parametrize(
    "codes",
    [
        ("TransactionConflict",),
        ("None", "ThrottlingError", "None"),
        ("ProvisionedThroughputExceeded", "TransactionConflict"),
        ("None", "None"),
    ],
)
def test_transaction_cancelled_for_what_passes_is_sent_again_as_it_is(codes):
    script = Script(cancelled(*codes), cancelled(*codes), answer('{"a": 1}'))
    request = make_request(write=True, resend=False)
    assert send(script, request) == {"a": 1}
    assert script.attempts == [1, 2, 3]
    assert len(set(script.bodies)) == 1
    assert not request.doubt


def test_reasons_of_no_shape_are_a_corrupt_answer():
    """Such an answer is nobody's word: a write it answers is in doubt."""
    with pytest.raises(AmbiguousWriteError):
        send(Script(cancelled(["TransactionConflict"])), make_request(write=True))
    with pytest.raises(TransportError, match="the answer is corrupt"):
        send(Script(cancelled({})))


# --- the quota: a client that meets nothing but failures stops trying again ------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "cost"),
    [(THROTTLE, 5), (html(503), 5), (answer("{"), 5), (lost(sent=False), 10), (lost(), 10)],
    ids=show,
)
def test_quota_runs_out_in_a_storm(outcome, cost):
    quota, attempts = Quota(), 0
    for _ in range(400):
        script = Script(outcome)
        with pytest.raises(FAILURES):
            send(script, quota=quota)
        attempts += len(script.attempts)
    # One attempt for each call, and retries until 500 tokens are spent.
    assert attempts == 400 + 500 // cost
    assert script.attempts == [1]
    assert quota.tokens == 0


def test_quota_comes_back_with_success():
    quota = Quota()
    quota.tokens = 0
    for _ in range(4):
        send(Script(answer()), quota=quota)
    assert quota.tokens == 4
    with pytest.raises(RefusalError):
        send(Script(THROTTLE, answer()), quota=quota)
    send(Script(answer()), quota=quota)
    send(Script(THROTTLE, answer()), quota=quota)
    assert quota.tokens == 5  # the retry's price is given back
    for _ in range(600):
        send(Script(answer()), quota=quota)
    assert quota.tokens == 500


def test_retry_that_recovers_costs_nothing_in_the_end():
    quota = Quota()
    send(Script(lost(), answer()), quota=quota)
    assert quota.tokens == 500
    send(Script(lost(), THROTTLE, answer()), quota=quota)
    assert quota.tokens == 490  # of two retries (10 and 5) the last is given back


@pytest.mark.parametrize("paid_for", [[], [lost()], [THROTTLE]], ids=["none", "lost", "throttled"])
def test_quota_comes_back_with_a_refusal_too(paid_for):
    """Resent writes end in a false condition as a rule: they must not use the quota up on a service that is well."""
    quota = Quota()
    for _ in range(200):
        with pytest.raises(RefusalError):
            send(Script(*paid_for, refusal("ConditionalCheckFailedException")), quota=quota)
    assert quota.tokens == 500
    with pytest.raises(RefusalError):
        send(Script(*paid_for, refusal("NotImplemented", 501)), quota=quota)
    assert quota.tokens == 500


def test_quota_is_not_asked_by_what_is_not_tried_again(clock):
    quota = Quota()
    quota.tokens = 0
    with pytest.raises(RefusalError):
        send(Script(refusal("ValidationException")), quota=quota)
    assert send(Script(answer('{"a": 1}')), quota=quota) == {"a": 1}
    assert clock.sleeps == []


def test_doubt_is_told_where_the_quota_ends_the_call():
    quota = Quota()
    quota.tokens = 0
    with pytest.raises(AmbiguousWriteError):
        send(Script(lost()), make_request(write=True), quota=quota)


# --- deadlines --------------------------------------------------------------------------------------------------------


@given(st.data())
def test_no_sleep_goes_past_the_deadline_and_no_attempt_starts_after_it(data):
    outcomes = [THROTTLE, lost(), lost(sent=False), html(503), refusal("TransactionConflictException"), answer("{")]
    made = Clock()
    limit_s = data.draw(st.floats(0.001, 60))
    started: list[float] = []

    def attempt(_request):
        started.append(made.now)
        made.pass_s(data.draw(st.floats(0, 5)))
        return data.draw(st.sampled_from(outcomes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_policy, "time", made)
        patch.setattr(_deadline, "monotonic", made.monotonic)
        patch.setattr(_policy, "urandom", lambda count: data.draw(st.binary(min_size=count, max_size=count)))
        sleep, slept_until = made.sleep, [0.0]
        patch.setattr(made, "sleep", lambda seconds: (sleep(seconds), slept_until.append(made.now)))
        end = made.now + limit_s
        script = Script(attempt)
        with deadline(limit_s), pytest.raises(FAILURES):
            send(script, make_request(attempts=data.draw(st.integers(1, 20))))
    assert max(slept_until) < end
    assert all(start < end for start in started)
    assert [end - start for start in started] == pytest.approx(script.timeouts)


def test_attempt_is_told_what_is_left(clock):
    script = Script(lambda _: (clock.pass_s(0.2), THROTTLE)[1], answer())
    with deadline(3):
        send(script)
    assert script.timeouts == pytest.approx([3, 1.8])


def test_without_a_deadline_an_attempt_is_told_nothing():
    script = Script(answer())
    send(script)
    assert script.timeouts == [None]


@pytest.mark.parametrize(
    ("write", "first", "error"),
    [
        (False, THROTTLE, RefusalError),
        (True, THROTTLE, RefusalError),
        (False, lost(), TransportError),
        (True, lost(sent=False), TransportError),
        (True, lost(), AmbiguousWriteError),
        (True, refusal("InternalServerError", 500), AmbiguousWriteError),
    ],
)
def test_call_ends_before_a_delay_that_would_end_too_late(write, first, error, clock):
    script = Script(first)
    with deadline(0.01), pytest.raises(FAILURES) as caught:
        send(script, make_request(write=write))
    assert type(caught.value) is error
    assert (script.attempts, clock.sleeps) == ([1], [])


@pytest.mark.parametrize("limit", [0, -1, 0.0, -float("inf")])
def test_nothing_is_sent_after_the_deadline(limit):
    script = Script(answer())
    with deadline(limit), pytest.raises(TransportError, match=r"and was not applied: the deadline is over") as caught:
        send(script, make_request(write=True))
    assert type(caught.value) is TransportError
    assert script.attempts == []


def test_delay_asked_for_that_is_too_long_ends_the_call_at_once(clock):
    with deadline(5), pytest.raises(RefusalError):
        send(Script(refusal("ThrottlingException", x_amz_retry_after="5000")))
    assert clock.sleeps == []


def test_attempt_that_overruns_the_deadline_still_counts():
    """An answer is an answer, though it came late."""
    made = Clock()
    assert send(Script(lambda _: (made.pass_s(9), answer('{"a": 1}'))[1])) == {"a": 1}


def test_nearest_of_nested_deadlines_counts(clock):
    script = Script(answer())
    with deadline(10), deadline(20):
        send(script)
        with deadline(3):
            send(script)
        clock.pass_s(1)
        send(script)
    send(script)
    assert script.timeouts == pytest.approx([10, 3, 9, None])


def test_deadline_object_can_be_entered_again(clock):
    limit, script = deadline(2), Script(answer())
    for _ in range(2):
        with limit:
            clock.pass_s(1.5)
            send(script)
    with limit, limit:
        send(script)
    send(script)
    assert script.timeouts == pytest.approx([0.5, 0.5, 2, None])


class LambdaContext:
    def __init__(self, remaining_ms: int) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def test_lambda_context_leaves_a_reserve_to_answer_in():
    script = Script(answer())
    context = LambdaContext(3000)
    limit = deadline(context)
    context.remaining_ms = 1000  # what counts is what is left on entering
    with limit:
        send(script)
    assert script.timeouts == pytest.approx([0.8])
    with deadline(LambdaContext(150)), pytest.raises(TransportError, match="the deadline is over"):
        send(script)
    assert len(script.attempts) == 1


@pytest.mark.parametrize("limit", [None, "5", True, float("nan"), [], object()])
def test_deadline_of_no_time_is_refused(limit):
    with pytest.raises(ValidationError, match="deadline takes seconds or a Lambda context, not a "):
        deadline(limit)


# --- a token that DynamoDB may have forgotten -------------------------------------------------------------------------


def test_doubtful_transaction_is_not_resent_after_its_token_may_be_forgotten(clock):
    script = Script(lost(), answer())
    with pytest.raises(AmbiguousWriteError, match="too late to send it again under the same token"):
        send(script, make_request(write=True, until=clock.wall))
    assert script.attempts == [1]


def test_function_frozen_in_the_middle_of_a_delay_does_not_resend(clock, monkeypatch):
    """The monotonic clock of a frozen function stands still while DynamoDB forgets the token."""
    monkeypatch.setattr(clock, "sleep", lambda _: clock.freeze(3600))
    script = Script(lost(), answer())
    with pytest.raises(AmbiguousWriteError, match="too late"):
        send(script, make_request(write=True, until=clock.wall + 540))
    assert script.attempts == [1]


def test_late_transaction_is_sent_again_where_nothing_was_written(clock):
    request = make_request(write=True, until=clock.wall - 1)
    assert send(Script(THROTTLE, lost(sent=False), answer('{"a": 1}')), request) == {"a": 1}
