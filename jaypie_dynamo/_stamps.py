"""What a write makes up itself: the time and new ids. Imports nothing outside the standard library's C modules.

`datetime` and `uuid` would cost a cold start 2 and 3 ms; the few lines here do without.
"""

from __future__ import annotations

from os import urandom
from time import gmtime, time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def now_ms() -> int:
    """Tell the time in epoch milliseconds."""
    return time_ns() // 1_000_000


def format_time(epoch_ms: int) -> str:
    """Write a time as JavaScript's `toISOString` does: `2026-01-07T00:00:00.000Z`."""
    seconds, milliseconds = divmod(epoch_ms, 1000)
    year, month, day, hour, minute, second = gmtime(seconds)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}Z"


def now_after(previous: Any) -> str:
    """Write the present time, but later than `previous` (a time as `format_time` writes it, or anything else).

    Clocks of two machines differ: without this an update could carry an older `updatedAt` than the one it replaces.
    """
    now = format_time(now_ms())
    if isinstance(previous, str) and previous >= now:
        return _following(previous) or now
    return now


def is_past(time: Any) -> bool:
    """Tell whether a time lies behind, so that what `now_after` makes of it is this moment's, and not anybody's."""
    return not (isinstance(time, str) and time >= format_time(now_ms()))


def new_id() -> str:
    """Make a random UUID (version 4, RFC 9562)."""
    octets = bytearray(urandom(16))
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _following(text: str) -> str | None:
    """Add one millisecond to a time; None for text that is none, and for the last time that can be written."""
    from datetime import datetime, timedelta, timezone

    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        following = moment + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return following.strftime("%Y-%m-%dT%H:%M:%S.") + f"{following.microsecond // 1000:03d}Z"
