"""How long a call may take: the limit of the present context. Imports nothing but the error tree.

Everything that waits asks here: attempts, delays between them, loops over batches.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic

from .._errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Protocol

    class LambdaContext(Protocol):
        """What AWS Lambda hands to a function beside the event."""

        def get_remaining_time_in_millis(self) -> int:
            """Tell how long the function may still run."""


# What is kept of a Lambda function's time, so that it can answer before it is stopped.
LAMBDA_RESERVE_S = 0.2

_expiry: ContextVar[float | None] = ContextVar("jaypie_dynamo_deadline", default=None)


class deadline:  # noqa: N801 - a context manager reads like a function
    """Bound the time of everything inside a `with` block: attempts, the delays between them, pages, batches.

        with deadline(2.5):
            query_by_scope(model="record", scope=APEX)

        def handler(event, context):
            with deadline(context):
                ...

    A call that does not get its answer in time raises `TransportError`, or `AmbiguousWriteError` for a write that was
    already sent. Blocks inside each other: the nearest end counts. The `botocore` transport cannot interrupt an attempt
    under way: there an attempt may last as long as its timeouts allow.

    Args:
        limit: seconds from now; or the context of a Lambda function, whose remaining time counts but for 0.2 seconds.

    Raises:
        ValidationError: neither seconds nor a Lambda context.
    """

    __slots__ = ("_limit", "_tokens")

    def __init__(self, limit: float | LambdaContext) -> None:
        if hasattr(limit, "get_remaining_time_in_millis"):
            self._limit: Any = limit
        elif isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit != limit:
            raise ValidationError(
                f"deadline takes seconds or a Lambda context, not a {type(limit).__name__}", path="limit"
            )
        else:
            self._limit = limit
        self._tokens: list[Any] = []

    def __enter__(self) -> deadline:
        limit = self._limit
        if hasattr(limit, "get_remaining_time_in_millis"):
            limit = limit.get_remaining_time_in_millis() / 1000 - LAMBDA_RESERVE_S
        expiry = monotonic() + limit
        outer = _expiry.get()
        self._tokens.append(_expiry.set(expiry if outer is None else min(expiry, outer)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _expiry.reset(self._tokens.pop())


def remaining_s() -> float | None:
    """Tell the seconds that are left in this context, 0 or less when it is over; None without a deadline."""
    expiry = _expiry.get()
    return None if expiry is None else expiry - monotonic()


def is_over() -> bool:
    """Tell whether the deadline of this context has passed."""
    left_s = remaining_s()
    return left_s is not None and left_s <= 0
