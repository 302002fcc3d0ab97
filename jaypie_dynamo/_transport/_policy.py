"""What is tried again, when, and what may be said afterwards. The same above every transport.

Never claims more than is known: once a write was sent and no trustworthy answer came back, nothing that happens later
makes it "not written".

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html and
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import json
import logging
import time
from binascii import crc32
from os import urandom

from .._errors import AmbiguousWriteError, ConfigurationError, DynamoError, TransportError
from ._attempt import AttemptError, RefusalError
from ._deadline import remaining_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .._types import Transport
    from ._attempt import Request, Response

    Answer = TypeVar("Answer")

TRANSIENT_BASE_S = 0.025
THROTTLED_BASE_S = 1.0
MAX_DELAY_S = 20.0

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html#Programming.Errors.MessagesAndCodes
THROTTLING_CODES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
CONTENTION_CODES = frozenset(
    {"ReplicatedWriteConflictException", "TransactionConflictException", "TransactionInProgressException"}
)
TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})

# A cancelled transaction with no other reasons than these wrote nothing and may be sent again as it is.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
CANCELLED = "TransactionCanceledException"
PASSING_REASONS = frozenset({"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})

# Too many table operations at once; where the message names a quota, waiting does not help.
TABLE_LIMIT = "LimitExceededException"

CREDENTIAL_CODES = frozenset({"ExpiredTokenException", "UnrecognizedClientException"})
CLOCK_CODES = frozenset({"InvalidSignatureException", "RequestTimeTooSkewed"})

# What reading a body raises that is no JSON, or JSON of another shape.
_CORRUPT = (ValueError, LookupError, TypeError, AttributeError, RecursionError)

_log = logging.getLogger("jaypie_dynamo")


class Quota:
    """How much trying again a client may still do, so that a service that is down is not hammered.

    The figures are those of the AWS SDKs' standard mode. Counting is not exact between threads, and need not be.
    """

    __slots__ = ("tokens",)

    CAPACITY = 500
    RETRY_COST = 5
    TIMEOUT_COST = 10

    def __init__(self) -> None:
        self.tokens = self.CAPACITY

    def take(self, cost: int) -> bool:
        """Pay for a retry; False where the quota does not allow it."""
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def give_back(self, paid: int) -> None:
        """Give back, after a service's answer, what the last retry cost; a call without a retry earns one token."""
        if self.tokens < self.CAPACITY:
            self.tokens = min(self.CAPACITY, self.tokens + (paid or 1))


class _Verdict:
    """What one failed attempt means: whether it may be tried again, and after which delay."""

    __slots__ = ("base_s", "failure", "hint_s", "is_repeatable")

    def __init__(
        self,
        failure: Exception,
        *,
        is_repeatable: bool,
        base_s: float = TRANSIENT_BASE_S,
        hint_s: float | None = None,
    ) -> None:
        self.failure = failure
        self.is_repeatable = is_repeatable
        self.base_s = base_s
        self.hint_s = hint_s


def call(transport: Transport, request: Request, *, read: Callable[[bytes], Answer], quota: Quota) -> Answer:
    """Send a request until there is an answer that can be trusted, or no point in trying.

    Args:
        transport: makes one attempt per `send`.
        request: what to send; its `attempt` is counted up, its `doubt` set.
        read: turns the body of a 200 answer into the result; raises where the body is not what it should be.
        quota: pays for retries.

    Raises:
        RefusalError: DynamoDB said no, and it is certain that nothing was written.
        TransportError: no answer came back, and it is certain that nothing was written.
        AmbiguousWriteError: the write may have happened; raised from the last failure.
        ConfigurationError: the credentials are expired or unknown, and it is certain that nothing was written.
    """
    paid = 0
    tried: tuple[str, ...] = ()
    while True:
        left_s = remaining_s()
        if left_s is not None and left_s <= 0:
            raise conclude(request, TransportError("the deadline is over"))
        if request.doubt and is_forgotten(request):
            raise conclude(request, TransportError("too late to send it again under the same token"))
        started = time.monotonic()
        try:
            response = transport.send(request, left_s)
        except AttemptError as error:
            _log_attempt(request, started, outcome=str(error))
            request.doubt |= request.is_write and error.sent
            verdict = _Verdict(error, is_repeatable=error.retryable)
        except DynamoError as error:
            if not request.doubt:
                raise
            # Credentials that ran out, say: they do not undo the attempts before.
            verdict = _Verdict(error, is_repeatable=False)
        else:
            if _log.isEnabledFor(logging.DEBUG):
                _log_attempt(request, started, outcome=str(response.status), response=response)
            try:
                check_crc32(response)
                if response.status == 200:
                    answer = read(response.body)
                    quota.give_back(paid)
                    return answer
                verdict = judge(request, response)
            except _CORRUPT as error:
                request.doubt |= request.is_write
                failure = TransportError(f"the answer is corrupt: {error}")
                failure.__cause__ = error
                verdict = _Verdict(failure, is_repeatable=True)
            else:
                # DynamoDB's refusals are below 500. A success that is not 200 is somebody else's, who may have passed
                # the write on.
                request.doubt |= request.is_write and not 300 <= response.status < 500
                remedy = find_remedy(verdict.failure)
                if remedy and remedy not in tried:
                    tried += (remedy,)
                    if apply_remedy(transport, remedy, response):
                        # Signed anew and sent at once, beyond the attempts of a request that was healthy.
                        request.attempt += 1
                        request.max_attempts += 1
                        continue
        if not may_repeat(request, verdict):
            if isinstance(verdict.failure, RefusalError) and not verdict.is_repeatable:
                # Whoever says no is not sick: a false condition, say, by which a resent write recognises its own work.
                quota.give_back(paid)
            break
        pause_s = verdict.hint_s
        if pause_s is None:
            pause_s = delay_s(request.attempt, base_s=verdict.base_s)
        left_s = remaining_s()
        if left_s is not None and pause_s >= left_s:
            break
        cost = Quota.TIMEOUT_COST if isinstance(verdict.failure, AttemptError) else Quota.RETRY_COST
        if not quota.take(cost):
            break
        paid = cost
        time.sleep(pause_s)
        request.attempt += 1
    conclusion = conclude(request, verdict.failure)
    if conclusion is verdict.failure:
        raise conclusion
    # What broke is of more use below the error than the words it was first put in.
    raise conclusion from verdict.failure.__cause__ or verdict.failure


def may_repeat(request: Request, verdict: _Verdict) -> bool:
    """Tell whether another attempt is allowed, time and quota aside."""
    if not verdict.is_repeatable or request.attempt >= request.max_attempts:
        return False
    return request.may_resend or not request.doubt


def is_forgotten(request: Request) -> bool:
    """Tell whether DynamoDB may have forgotten the token, so that the same request would be applied again."""
    # The wall clock, and asked after each delay: a function may be frozen for an hour in the middle of one, and its
    # monotonic clock stands still.
    return request.resend_until is not None and time.time() >= request.resend_until


def judge(request: Request, response: Response) -> _Verdict:
    """Tell what an error answer means."""
    failure = read_refusal(request, response)
    code = failure.code if isinstance(failure, RefusalError) else ""
    hint_s = retry_after_s(response)
    if code in CONTENTION_CODES or (code == CANCELLED and _is_passing(failure)):
        return _Verdict(failure, is_repeatable=True, hint_s=hint_s)
    if code in THROTTLING_CODES or response.status == 429 or (code == TABLE_LIMIT and "quota" not in str(failure)):
        return _Verdict(failure, is_repeatable=True, base_s=THROTTLED_BASE_S, hint_s=hint_s)
    # Without a code it was not DynamoDB that answered, but something in between.
    return _Verdict(failure, is_repeatable=not code or response.status in TRANSIENT_STATUSES, hint_s=hint_s)


def find_remedy(failure: Exception) -> str:
    """Name what to mend where a signature was refused; nothing for any other failure."""
    code = failure.code if isinstance(failure, RefusalError) else ""
    return "credentials" if code in CREDENTIAL_CODES else "clock" if code in CLOCK_CODES else ""


def apply_remedy(transport: Transport, remedy: str, response: Response) -> bool:
    """Mend what a refused signature may be due to; True if signing anew may help."""
    if remedy == "credentials":
        return transport.refresh_credentials()
    return transport.correct_clock(response.headers.get("date", ""))


def conclude(request: Request, failure: Exception) -> Exception:
    """Make the error that says what is known after the last attempt."""
    story = f"{describe(failure)} (attempt {request.attempt} of {request.max_attempts})"
    if request.doubt:
        return AmbiguousWriteError(
            f"{request.operation} was sent and may or may not have been applied: {story}. "
            "Read the item before writing it again."
        )
    if isinstance(failure, (AttemptError, TransportError)):
        is_unreachable = isinstance(failure, AttemptError) and failure.retryable and not failure.sent
        return TransportError(
            f"{request.operation} failed{' and was not applied' * request.is_write}: {story}."
            f"{' Is the endpoint right, and can this machine reach it?' * is_unreachable}"
        )
    if isinstance(failure, RefusalError) and failure.code in CREDENTIAL_CODES:
        return ConfigurationError(
            f"DynamoDB does not accept the credentials ({failure.code}: {failure.message.rstrip('.')}). "
            "Renew them, or check that they belong to this account and region."
        )
    return failure


def describe(failure: Exception) -> str:
    """Say what happened in a few words."""
    return str(failure).rstrip(".")


def read_refusal(request: Request, response: Response) -> Exception:
    """Read an error answer: a `RefusalError` if it is DynamoDB's, a `TransportError` if something else answered."""
    try:
        answer = json.loads(response.body)
        code = answer["__type"].rpartition("#")[2]
        message = answer.get("message") or answer.get("Message") or ""
    except _CORRUPT as error:
        failure = TransportError(
            f"HTTP status {response.status} came back without an error of DynamoDB's. "
            "Is the endpoint DynamoDB, and is there a proxy in between?"
        )
        failure.__cause__ = error
        return failure
    return RefusalError(
        request.operation, code, str(message), answer=answer, response=response, attempts=request.attempt
    )


def check_crc32(response: Response) -> None:
    """Raise ValueError where the body is not what DynamoDB sent."""
    expected = response.headers.get("x-amz-crc32")
    if expected is not None and str(crc32(response.body)) != expected:
        raise ValueError("its x-amz-crc32 does not match its body")


def retry_after_s(response: Response) -> float | None:
    """Read how long the service asks to wait, in seconds; None where it does not."""
    text = response.headers.get("x-amz-retry-after", "")
    if text.isascii() and text.isdigit():
        return min(int(text) / 1000, MAX_DELAY_S)
    return None


def delay_s(attempt: int, *, base_s: float) -> float:
    """Draw the delay after an attempt: uniform from zero to an exponentially growing bound ("full jitter")."""
    bound_s = min(MAX_DELAY_S, base_s * 2.0 ** (attempt - 1))
    return bound_s * int.from_bytes(urandom(4), "big") / 2**32


def client_error(refusal: RefusalError, *, hint: str = "") -> Exception:
    """Turn a refusal into botocore's `ClientError`, as botocore itself would have raised it."""
    from botocore.exceptions import ClientError

    headers = refusal.response.headers
    response: Any = {name: value for name, value in refusal.answer.items() if name != "__type"}
    response["Error"] = {"Message": refusal.message + hint, "Code": refusal.code}
    response["ResponseMetadata"] = {
        "RequestId": headers.get("x-amzn-requestid", ""),
        "HTTPStatusCode": refusal.response.status,
        "HTTPHeaders": dict(headers),
        "RetryAttempts": refusal.attempts - 1,
    }
    return ClientError(response, refusal.operation)


def _is_passing(failure: Exception) -> bool:
    reasons = failure.answer.get("CancellationReasons") if isinstance(failure, RefusalError) else None
    if not isinstance(reasons, list) or not reasons:
        return False
    return all(isinstance(reason, dict) and reason.get("Code", "None") in PASSING_REASONS for reason in reasons)


def _log_attempt(request: Request, started: float, *, outcome: str, response: Response | None = None) -> None:
    # Never a key, an item, a header or a credential.
    _log.debug(
        "%s attempt=%d outcome=%s ms=%.1f request_id=%s",
        request.operation,
        request.attempt,
        outcome,
        (time.monotonic() - started) * 1000,
        response.headers.get("x-amzn-requestid", "-") if response is not None else "-",
    )
