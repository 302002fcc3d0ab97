"""Times as JavaScript writes them, and random ids."""

from __future__ import annotations

import datetime as dt
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaypie_dynamo import _stamps
from jaypie_dynamo._stamps import format_time, is_past, new_id, now_after, now_ms

NOW_MS = 1767744000123
NOW = "2026-01-07T00:00:00.123Z"


@pytest.fixture
def _clock(monkeypatch):
    monkeypatch.setattr(_stamps, "time_ns", lambda: NOW_MS * 1_000_000 + 999_999)


@pytest.mark.usefixtures("_clock")
def test_now_is_whole_milliseconds():
    assert now_ms() == NOW_MS


def test_now_is_the_systems_time():
    before = dt.datetime.now(dt.timezone.utc).timestamp() * 1000
    now = now_ms()
    after = dt.datetime.now(dt.timezone.utc).timestamp() * 1000
    assert before - 1 <= now <= after + 1


@pytest.mark.parametrize(
    ("epoch_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (NOW_MS, NOW),
        (1709209845999, "2024-02-29T12:30:45.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (253402300799999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_time_is_written_as_by_javascript(epoch_ms, text):
    assert format_time(epoch_ms) == text


@given(st.datetimes(dt.datetime(1000, 1, 1), timezones=st.just(dt.timezone.utc)))
def test_time_is_what_datetime_writes(moment):
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    epoch_ms = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)) // dt.timedelta(milliseconds=1)
    assert format_time(epoch_ms) == moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@given(st.integers(0, 253402300799999), st.integers(0, 253402300799999))
def test_written_times_sort_as_times(first, second):
    assert (format_time(first) < format_time(second)) == (first < second)


@pytest.mark.parametrize(
    ("previous", "after"),
    [
        (None, NOW),
        ("", NOW),
        (5, NOW),
        ("2026-01-07T00:00:00.122Z", NOW),
        (NOW, "2026-01-07T00:00:00.124Z"),
        ("2026-01-07T00:00:05.999Z", "2026-01-07T00:00:06.000Z"),
        ("2027-12-31T23:59:59.999Z", "2028-01-01T00:00:00.000Z"),
        # no time of ours, however it sorts
        ("z", NOW),
        ("2027-01-07T00:00:00Z", NOW),
        ("2027-01-07 00:00:00.000Z", NOW),
        ("2027-01-07T00:00:00.000+", NOW),
        # looks like one, and is none that has a successor
        ("2027-99-07T00:00:00.000Z", NOW),
        ("9999-12-31T23:59:59.999Z", NOW),
    ],
)
@pytest.mark.usefixtures("_clock")
def test_a_write_is_later_than_the_one_before(previous, after):
    assert now_after(previous) == after


@given(st.integers(NOW_MS, 253402300799998))
def test_one_millisecond_is_added_to_a_time_ahead(epoch_ms):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stamps, "time_ns", lambda: NOW_MS * 1_000_000)
        assert now_after(format_time(epoch_ms)) == format_time(epoch_ms + 1)


def test_id_is_a_random_uuid():
    ids = {new_id() for _ in range(200)}
    assert len(ids) == 200
    for text in ids:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
        assert uuid.UUID(text).version == 4
        assert str(uuid.UUID(text)) == text


@pytest.mark.parametrize("octet", [0x00, 0xFF, 0x5A])
def test_id_is_the_one_uuid_makes_of_the_same_octets(octet, monkeypatch):
    monkeypatch.setattr(_stamps, "urandom", lambda count: bytes([octet]) * count)
    assert new_id() == str(uuid.UUID(bytes=bytes([octet]) * 16, version=4))


@pytest.mark.usefixtures("_clock")
@pytest.mark.parametrize(
    ("time", "past"),
    [
        ("2026-01-07T00:00:00.122Z", True),
        (NOW, False),
        ("2026-01-07T00:00:00.124Z", False),
        ("2099", False),
        (None, True),
        (5, True),
    ],
)
def test_time_that_follows_a_past_one_is_this_moments(time, past):
    assert is_past(time) is past
    if past:
        assert now_after(time) == NOW
