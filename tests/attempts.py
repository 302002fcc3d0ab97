"""A transport that answers from a script, a clock that moves only when told, and the answers to put into both."""

from __future__ import annotations

import json
from binascii import crc32
from typing import Any

from jaypie_dynamo._transport._attempt import AttemptError, Request, Response
from jaypie_dynamo._transport._policy import Quota, call

NAMESPACE = "com.amazonaws.dynamodb.v20120810#"

# A draw of `urandom` this high is the bound itself, to nine digits.
HIGHEST = b"\xff\xff\xff\xff"


class Clock:
    """Both clocks of a machine. Sleeping moves them; a frozen function's wall clock moves alone."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = 1_700_000_000.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.pass_s(seconds)

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def freeze(self, seconds: float) -> None:
        self.wall += seconds


class Script:
    """A transport that gives each outcome in turn, the last one for ever, and remembers what it was sent.

    An outcome is a response, an exception, or a function of the request that gives one of these.
    """

    name = "script"

    def __init__(self, *outcomes: Any, has_other_credentials: bool = False, clock_is_off: bool = False) -> None:
        self.outcomes = list(outcomes)
        self.attempts: list[int] = []
        self.bodies: list[bytes] = []
        self.timeouts: list[float | None] = []
        self.remedies: list[str] = []
        self._has_other_credentials = has_other_credentials
        self._clock_is_off = clock_is_off

    def send(self, request: Request, timeout_s: float | None = None) -> Response:
        self.attempts.append(request.attempt)
        self.bodies.append(request.body)
        self.timeouts.append(timeout_s)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if callable(outcome):
            outcome = outcome(request)
        if isinstance(outcome, BaseException):
            raise outcome
        response: Response = outcome
        return response

    def refresh_credentials(self) -> bool:
        self.remedies.append("credentials")
        return self._has_other_credentials

    def correct_clock(self, server_date: str) -> bool:
        self.remedies.append(f"clock {server_date}")
        return self._clock_is_off


def make_request(*, write: bool = False, resend: bool = True, attempts: int = 4, until: float | None = None) -> Request:
    return Request("PutItem", b"{}", {}, attempts, is_write=write, may_resend=resend, resend_until=until)


def send(script: Script, request: Request | None = None, *, quota: Quota | None = None, read: Any = json.loads) -> Any:
    return call(script, request or make_request(), read=read, quota=quota or Quota())


def answer(body: Any = "{}", status: int = 200, **headers: str) -> Response:
    """Make an answer whose checksum is right."""
    raw = body if isinstance(body, bytes) else body.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"x-amz-crc32": str(crc32(raw)), **named}, raw)


def refusal(code: str, status: int = 400, message: str = "the words", extra: Any = None, **headers: str) -> Response:
    body = {"__type": NAMESPACE + code, "message": message, **(extra or {})}
    return answer(json.dumps(body), status, x_amzn_requestid="RID", **headers)


def cancelled(*codes: Any) -> Response:
    return refusal("TransactionCanceledException", extra={"CancellationReasons": [{"Code": code} for code in codes]})


def damaged(response: Response) -> Response:
    """Change a byte of the body that its checksum was made for."""
    return Response(response.status, response.headers, b"[" + response.body[1:])


def html(status: int) -> Response:
    return Response(status, {"content-type": "text/html"}, b"<html>Service Unavailable</html>")


def lost(*, sent: bool = True, retryable: bool = True) -> AttemptError:
    return AttemptError("the connection broke", sent=sent, retryable=retryable)


def show(value: Any) -> str:
    if isinstance(value, Response):
        return f"{value.status} {value.body[:70]!r}"
    return repr(value)[:60]
