"""The error tree. Imports nothing, so that any module may raise.

Who is at fault tells which branch an error is on: the settings (`ConfigurationError`), the arguments
(`ValidationError`), another writer (`ConflictError`, `NotFoundError`), or the road to DynamoDB (`TransportError`).
What DynamoDB itself refuses is a `botocore.exceptions.ClientError` and not part of this tree.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class DynamoError(Exception):
    """Root of every error this library raises itself."""


class ConfigurationError(DynamoError):
    """The client cannot work as it is set up: not initialised, no table name, no credentials, no region."""


class ValidationError(DynamoError, ValueError):
    """An argument is wrong; nothing was sent.

    Attributes:
        path: the place of the bad value (`"state.items[3].price"`), or `None` where the text alone names it.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], {"path": self.path})


class ConflictError(DynamoError):
    """A condition was false: somebody else's write, or the state of the item, stood against this one.

    Attributes:
        existing: the item as it is stored, where DynamoDB told it, else `None`.
        reasons: for a transaction, one entry an operation, in the order of the operations; else empty.
    """

    def __init__(
        self,
        message: str,
        *,
        existing: Mapping[str, Any] | None = None,
        reasons: Sequence[Any] = (),
    ) -> None:
        super().__init__(message)
        self.existing = existing
        self.reasons = reasons

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], {"existing": self.existing, "reasons": self.reasons})


class NotFoundError(DynamoError):
    """The item to change is not in the table; nothing was stored."""


class BatchIncompleteError(DynamoError):
    """A batch stopped before its end.

    Attributes:
        unprocessed: what was taken from the input but not confirmed, ready to be passed again.
    """

    def __init__(self, message: str, *, unprocessed: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.unprocessed = unprocessed

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], {"unprocessed": self.unprocessed})


class TransportError(DynamoError):
    """No usable answer came back: connection, timeout, corrupt answer, deadline. A write did not happen."""


class AmbiguousWriteError(TransportError):
    """A write may or may not have happened: it was sent, and no trustworthy answer came back.

    Attributes:
        existing: the item as it was seen stored afterwards, where known, else `None`.
    """

    def __init__(self, message: str, *, existing: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.existing = existing

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], {"existing": self.existing})


def _rebuild(kind: type[Any], message: str, attributes: dict[str, Any]) -> Any:
    # Pickling (multiprocessing, result back ends) calls an exception with its args alone; ours take keywords.
    return kind(message, **attributes)
