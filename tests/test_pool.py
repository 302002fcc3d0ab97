"""The pool with stand-ins for connections: order, bound, age, closing, threads."""

from __future__ import annotations

import gc
import threading
from time import monotonic
from typing import Any

import pytest

from jaypie_dynamo._transport import _pool
from jaypie_dynamo._transport._attempt import AttemptError
from jaypie_dynamo._transport._pool import Pool


class FakeConnection:
    def __init__(self) -> None:
        self.reusable = True
        self.fresh = True
        self.idle_since = 0.0
        self.closed = 0

    def is_fresh(self) -> bool:
        return self.fresh

    def close(self) -> None:
        self.closed += 1


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(_pool, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def make_pool(most: int = 3) -> Pool:
    return Pool(max_connections=most, idle_limit_s=60)


def fill(pool: Pool, count: int) -> list[Any]:
    connections = [FakeConnection() for _ in range(count)]
    for _ in connections:
        assert pool.acquire(wait_s=0) is None
    for connection in connections:
        pool.release(connection)  # type: ignore[arg-type]
    return connections


def test_the_last_one_in_is_the_first_one_out() -> None:
    pool = make_pool()
    first, second = fill(pool, 2)
    assert pool.acquire(wait_s=0) is second
    assert pool.acquire(wait_s=0) is first
    assert pool.acquire(wait_s=0) is None


def test_what_is_not_reusable_is_closed() -> None:
    pool = make_pool()
    pool.acquire(wait_s=0)
    spent: Any = FakeConnection()
    spent.reusable = False
    pool.release(spent)
    assert spent.closed == 1
    assert pool.acquire(wait_s=0) is None


def test_what_went_stale_is_closed_and_the_next_one_taken() -> None:
    pool = make_pool()
    first, second, third = fill(pool, 3)
    second.fresh = third.fresh = False
    assert pool.acquire(wait_s=0) is first
    assert (first.closed, second.closed, third.closed) == (0, 1, 1)


def test_what_was_idle_too_long_is_closed(clock: Clock) -> None:
    pool = make_pool()
    (old,) = fill(pool, 1)
    clock.now += 60
    assert pool.acquire(wait_s=0) is old
    pool.release(old)
    clock.now += 60.1
    assert pool.acquire(wait_s=0) is None
    assert old.closed == 1


def test_a_clock_set_back_makes_an_age_unknown(clock: Clock) -> None:
    pool = make_pool()
    (connection,) = fill(pool, 1)
    clock.now -= 1
    assert pool.acquire(wait_s=0) is None
    assert connection.closed == 1


def test_the_bottom_of_the_stack_ages_out_while_the_top_is_in_use(clock: Clock) -> None:
    pool = make_pool()
    bottom, middle, top = fill(pool, 3)
    for _ in range(3):
        clock.now += 25
        assert pool.acquire(wait_s=0) is top
        pool.release(top)
    assert (bottom.closed, middle.closed, top.closed) == (1, 1, 0)


def test_beyond_the_bound_the_wait_ends_in_time() -> None:
    pool = make_pool(2)
    pool.acquire(wait_s=0)
    pool.acquire(wait_s=0)
    started = monotonic()
    with pytest.raises(AttemptError, match="All 2 connections are in use") as caught:
        pool.acquire(wait_s=0.1)
    assert 0.05 < monotonic() - started < 1
    assert (caught.value.sent, caught.value.retryable) == (False, True)


@pytest.mark.parametrize("opened", [True, False], ids=["a connection", "a place"])
def test_what_is_given_back_goes_to_the_one_who_waits(opened: bool) -> None:
    pool = make_pool(1)
    pool.acquire(wait_s=0)
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.append(pool.acquire(wait_s=5)))
    waiter.start()
    while not pool._waiters:
        assert waiter.is_alive()
    given: Any = FakeConnection() if opened else None
    pool.release(given)
    waiter.join(5)
    assert got == [given]
    with pytest.raises(AttemptError):
        pool.acquire(wait_s=0)


def test_who_waits_longest_is_served_first_and_nobody_overtakes() -> None:
    pool = make_pool(1)
    pool.acquire(wait_s=0)
    served: list[int] = []
    release = threading.Semaphore(0)

    def work(number: int) -> None:
        connection = pool.acquire(wait_s=10)
        served.append(number)
        release.acquire()
        pool.release(connection)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(pool._waiters) <= number:
            assert thread.is_alive()
    only: Any = FakeConnection()
    pool.release(only)
    with pytest.raises(AttemptError):
        pool.acquire(wait_s=0)
    for _ in threads:
        release.release()
    for thread in threads:
        thread.join(10)
    assert served == [0, 1, 2, 3, 4]
    assert pool.acquire(wait_s=0) is only


def test_a_wait_that_ended_leaves_no_place_behind() -> None:
    pool = make_pool(1)
    pool.acquire(wait_s=0)
    with pytest.raises(AttemptError):
        pool.acquire(wait_s=0.01)
    only: Any = FakeConnection()
    pool.release(only)
    assert pool.acquire(wait_s=0) is only


def test_an_interrupted_wait_leaves_no_place_behind() -> None:
    pool = make_pool(1)
    pool.acquire(wait_s=0)

    class Interrupted:
        def __init__(self) -> None:
            self.connection = None
            self.served = self

        def acquire(self, timeout: float) -> bool:  # noqa: ARG002
            raise KeyboardInterrupt

    interrupted: Any = Interrupted()
    pool._waiters.append(interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool._wait(interrupted, 1)
    assert not pool._waiters


def test_who_is_served_in_the_moment_of_giving_up_is_served() -> None:
    pool = make_pool(1)
    pool.acquire(wait_s=0)
    only: Any = FakeConnection()

    class Late:
        """The wait ends without success, and only then comes the connection."""

        def __init__(self) -> None:
            self.connection = None
            self.served = self

        def acquire(self, timeout: float) -> bool:  # noqa: ARG002
            pool.release(only)
            return False

        def release(self) -> None:
            pass

    late: Any = Late()
    pool._waiters.append(late)
    assert pool._wait(late, 0) is only


def test_closing_takes_the_idle_now_and_the_rest_as_it_comes_back() -> None:
    pool = make_pool()
    idle, busy = fill(pool, 2)
    assert pool.acquire(wait_s=0) is busy
    pool.close()
    assert (idle.closed, busy.closed) == (1, 0)
    pool.release(busy)
    assert busy.closed == 1
    pool.close()
    assert (idle.closed, busy.closed) == (1, 1)


def test_a_pool_that_is_dropped_closes_what_it_holds() -> None:
    pool = make_pool()
    (connection,) = fill(pool, 1)
    del pool
    gc.collect()
    assert connection.closed == 1


def test_a_childs_copies_are_closed_even_where_the_lock_was_held() -> None:
    pool = make_pool()
    (connection,) = fill(pool, 1)
    with pool._lock:
        pool.close_in_child()
    assert connection.closed == 1


def test_many_threads_share_few_connections() -> None:
    pool = make_pool(4)
    lock = threading.Lock()
    held: set[int] = set()
    made: list[Any] = []
    most = 0
    wrong: list[str] = []

    def work() -> None:
        nonlocal most
        for turn in range(200):
            connection: Any = pool.acquire(wait_s=20)
            with lock:
                if connection is None:
                    connection = FakeConnection()
                    made.append(connection)
                if id(connection) in held:
                    wrong.append("one connection in two hands")
                held.add(id(connection))
                most = max(most, len(held))
            connection.reusable = turn % 7 != 0
            with lock:
                held.discard(id(connection))
            pool.release(connection)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert most <= 4
    pool.close()
    assert all(connection.closed == 1 for connection in made)
    assert len(made) > 16 * 200 / 7 - 4
