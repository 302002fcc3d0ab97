"""Idle connections to one endpoint, last in first out, shared by threads. Opens none, speaks no HTTP.

At most `max_connections` exist at a time, idle ones included; further threads wait. A connection is in
exactly one hand: the pool's while it is idle, the borrower's between `acquire` and `release`.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from time import time

from ._attempt import AttemptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._http import Connection


class _Waiter:
    """A thread in the queue: a lock that is released when it is served, and what it is served with."""

    __slots__ = ("connection", "served")

    def __init__(self) -> None:
        self.served = Lock()
        self.served.acquire()
        self.connection: Connection | None = None


class Pool:
    """A bounded stack of connections. Once closed it keeps nothing: what comes back is closed."""

    __slots__ = ("_borrowed", "_closed", "_idle", "_idle_limit_s", "_lock", "_max", "_waiters")

    def __init__(self, *, max_connections: int, idle_limit_s: float) -> None:
        self._max = max_connections
        self._idle_limit_s = idle_limit_s
        self._lock = Lock()
        self._idle: list[Connection] = []
        self._borrowed = 0
        # Only ever filled while nothing is idle and everything is lent out.
        self._waiters: deque[_Waiter] = deque()
        self._closed = False

    def __del__(self) -> None:
        # A client that is dropped without `close` leaks nothing.
        for connection in self._idle:
            connection.close()

    def acquire(self, *, wait_s: float) -> Connection | None:
        """Borrow a live connection or, with `None`, the leave to open one; wait for either at most `wait_s`.

        Every return is answered by one `release`.
        """
        waiter = None
        with self._lock:
            if self._idle:
                connection: Connection | None = self._idle.pop()
                self._borrowed += 1
            elif self._borrowed < self._max:
                connection = None
                self._borrowed += 1
            else:
                waiter = _Waiter()
                self._waiters.append(waiter)
        if waiter is not None:
            connection = self._wait(waiter, wait_s)
        while connection is not None and not self._is_fresh(connection):
            connection.close()
            with self._lock:
                connection = self._idle.pop() if self._idle else None
        return connection

    def release(self, connection: Connection | None) -> None:
        """Take back what `acquire` lent, or the connection opened in its place; keep it if it is reusable."""
        now = time()
        surplus = []
        with self._lock:
            if connection is not None:
                connection.idle_since = now
                if not connection.reusable or self._closed:
                    surplus.append(connection)
                    connection = None
            if self._waiters:
                # To the one who has waited longest, past all who come later: else a few threads keep everything
                # among themselves and the others starve (seen: 17 s with 32 threads and 4 connections).
                waiter = self._waiters.popleft()
                waiter.connection = connection
                waiter.served.release()
            else:
                self._borrowed -= 1
                if connection is not None:
                    self._idle.append(connection)
            # While one connection is enough for the traffic, nobody else would reach the bottom of the stack.
            while self._idle and now - self._idle[0].idle_since > self._idle_limit_s:
                surplus.append(self._idle.pop(0))
        for connection in surplus:
            connection.close()

    def close(self) -> None:
        """Close what is idle now, and the rest as it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close_in_child(self) -> None:
        """Close a forked child's copies. The lock may be held by a thread that does not exist here."""
        self._closed = True
        for connection in self._idle:
            connection.close()

    def _wait(self, waiter: _Waiter, wait_s: float) -> Connection | None:
        served = False
        try:
            served = waiter.served.acquire(timeout=max(wait_s, 0))
        finally:
            if not served:
                with self._lock:
                    # It may have been served between the end of the wait and here.
                    served = waiter not in self._waiters
                    if not served:
                        self._waiters.remove(waiter)
        if not served:
            message = f"All {self._max} connections are in use and none became free in time."
            raise AttemptError(message, sent=False)
        return waiter.connection

    def _is_fresh(self, connection: Connection) -> bool:
        # Wall clock: the monotonic clock of a frozen Lambda may stand still while the other end gives up.
        idle_s = time() - connection.idle_since
        return 0 <= idle_s <= self._idle_limit_s and connection.is_fresh()
