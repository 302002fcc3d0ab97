"""The vocabulary of one attempt: what goes in, what comes out, how it fails. Imports nothing.

A transport is any object with the methods of `Transport` in `_types`. It makes exactly one attempt per `send`; it
never sleeps, never repeats, never judges a status code. All of that belongs to `_policy`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Request:
    """One logical call; the same object travels through all its attempts.

    Attributes:
        operation: DynamoDB's operation name, such as `"PutItem"`.
        body: the complete JSON request body, UTF-8.
        params: the least valid parameters that name the real table and index (`{"TableName": "t", "Key": {}}`):
            what the `botocore` transport shows to validation and tracing. Never sent.
        is_write: it changes data, so that an attempt without a trustworthy answer leaves doubt.
        may_resend: sending the same write twice is as good as sending it once.
        resend_until: the `time.time()` after which, in doubt, it must not be sent again; None for no such time.
        invocation_id: the same for every attempt of the call, `""` until a transport needs it.
        attempt: 1 for the first.
        max_attempts: the bound the policy works with.
        doubt: True once an attempt may have written without a trustworthy answer.
    """

    __slots__ = (
        "attempt",
        "body",
        "doubt",
        "invocation_id",
        "is_write",
        "max_attempts",
        "may_resend",
        "operation",
        "params",
        "resend_until",
    )

    def __init__(
        self,
        operation: str,
        body: bytes,
        params: Mapping[str, Any],
        max_attempts: int,
        *,
        is_write: bool = False,
        may_resend: bool = True,
        resend_until: float | None = None,
    ) -> None:
        self.operation = operation
        self.body = body
        self.params = params
        self.is_write = is_write
        self.may_resend = may_resend
        self.resend_until = resend_until
        self.invocation_id = ""
        self.attempt = 1
        self.max_attempts = max_attempts
        self.doubt = False


class Response:
    """A complete HTTP answer: status, headers (names in lower case), raw body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class AttemptError(Exception):
    """One attempt failed without a complete answer.

    Attributes:
        sent: True if any byte of the request may have left: a write may then have happened.
        retryable: False where another attempt would meet the same wall (a certificate that is not trusted).
    """

    def __init__(self, message: str, *, sent: bool, retryable: bool = True) -> None:
        super().__init__(message)
        self.sent = sent
        self.retryable = retryable


class RefusalError(Exception):
    """DynamoDB answered, and the answer is no. Becomes a `ClientError` or one of our errors before it reaches a user.

    Attributes:
        operation: the operation that was refused.
        code: DynamoDB's error code, without its namespace.
        message: DynamoDB's own words.
        answer: the decoded error body: its `Item` or `CancellationReasons` are still in typed form.
        response: the HTTP answer.
        attempts: how many attempts were made.
    """

    def __init__(
        self, operation: str, code: str, message: str, *, answer: dict[str, Any], response: Response, attempts: int
    ) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.code = code
        self.message = message
        self.answer = answer
        self.response = response
        self.attempts = attempts
