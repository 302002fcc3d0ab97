"""Types for checkers. The core never imports this module; a user may, by `from jaypie_dynamo import Entity`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

if TYPE_CHECKING:
    from ._transport._attempt import Request, Response

#: Anything DynamoDB can store; see `marshal`.
Value: TypeAlias = Any

#: Where to go on reading: JSON-serialisable, opaque.
Cursor: TypeAlias = Mapping[str, Any]


class Transport(Protocol):
    """One attempt to DynamoDB per `send`."""

    name: str

    def send(self, request: Request, timeout_s: float | None = None) -> Response:
        """Make exactly one attempt; AttemptError where no complete answer came back."""

    def warm_up(self) -> None:
        """Do ahead of the first request what it would have to wait for."""

    def refresh_credentials(self) -> bool:
        """Forget cached credentials; True if the next ones may differ."""

    def correct_clock(self, server_date: str) -> bool:
        """Sign with the server's clock from now on; True if that changes anything."""

    def close(self) -> None:
        """Close every connection."""


# The functional syntax, because `class` is a key.
_OptionalFields = TypedDict(
    "_OptionalFields",
    {
        "name": str,
        "sequence": float,
        "createdAt": str,
        "updatedAt": str,
        "archivedAt": "str | None",
        "deletedAt": "str | None",
        "alias": "str | int | None",
        "class": "str | int | None",
        "type": "str | int | None",
        "xid": "str | int | None",
    },
    total=False,
)


class Entity(_OptionalFields):
    """What every entity has. Extend it with the attributes of a model of your own."""

    model: str
    id: str
    scope: str
