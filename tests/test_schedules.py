"""The schedules themselves: all of them, each once, and nothing left running."""

from __future__ import annotations

import itertools
import threading

import pytest
from schedules import every_schedule, run_schedule


class Log:
    """A transport that keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, request: str) -> str:
        self.sent.append(request)
        return request


def sender(transport, letter, count):
    def act():
        for _ in range(count):
            transport.send(letter)
        return count

    return act


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (3, 2), (0, 2), (2, 1, 2)])
def test_every_order_is_run_once(counts):
    transport = Log()
    operations = {letter: sender(transport, letter, count) for letter, count in zip("ABC", counts, strict=False)}
    letters = "".join(letter * count for letter, count in zip("ABC", counts, strict=False))
    seen = []
    for run in every_schedule(transport, operations, before=transport.sent.clear):
        assert "".join(transport.sent) == run.schedule
        assert run.told == dict(zip("ABC", counts, strict=False))
        seen.append(run.schedule)
    assert sorted(seen) == sorted({"".join(order) for order in itertools.permutations(letters)})


def test_what_an_operation_sends_may_depend_on_the_order():
    transport = Log()

    def retry():
        transport.send("A")
        if "B" in transport.sent:
            transport.send("A")

    operations = {"A": retry, "B": sender(transport, "B", 1)}
    runs = every_schedule(transport, operations, before=transport.sent.clear)
    # The look at what was sent still belongs to the turn of A.
    assert sorted(run.schedule for run in runs) == ["AB", "BAA"]


def test_an_operation_that_raises_is_told_and_ends():
    transport = Log()

    def fail():
        transport.send("A")
        raise LookupError("no")

    run = run_schedule(transport, {"A": fail, "B": sender(transport, "B", 2)}, "BAB")
    assert run.schedule == "BAB"
    assert isinstance(run.told["A"], LookupError)


def test_a_schedule_that_cannot_be_kept_is_an_error_and_leaves_no_thread():
    transport = Log()
    before = threading.active_count()
    with pytest.raises(AssertionError, match="B sends nothing after B in BB"):
        run_schedule(transport, {"A": sender(transport, "A", 2), "B": sender(transport, "B", 1)}, "BB")
    assert transport.sent == ["B"]
    assert threading.active_count() == before
    assert transport.send("C") == "C"
