"""What was asked of DynamoDB: counts the requests the library logs, by operation."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_log = logging.getLogger("jaypie_dynamo")


class RequestCount(logging.Handler):
    """Counts requests while it is entered: `with RequestCount() as count: …; count.operations`."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.operations: Counter[str] = Counter()
        self._level = logging.NOTSET

    def emit(self, record: logging.LogRecord) -> None:
        """Count one attempt; its line starts with the operation."""
        self.operations[record.getMessage().partition(" ")[0]] += 1

    def __enter__(self) -> RequestCount:
        self._level = _log.level
        _log.setLevel(logging.DEBUG)
        _log.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _log.removeHandler(self)
        _log.setLevel(self._level)

    def __str__(self) -> str:
        return ", ".join(
            operation if count == 1 else f"{count} {operation}" for operation, count in self.operations.items()
        )
