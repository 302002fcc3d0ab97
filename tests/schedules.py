"""Operations at the same time, with the order of their requests chosen.

Each operation runs in a thread of its own and is named by a letter. A thread about to send a request stops; a
schedule, a string such as "ABAB", says whose request goes through next. A request is over for the schedule when its
operation stands before the next one or has ended, so what lies between two schedules is the order of the requests and
nothing else: a red schedule is red again.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long a request may take before the run is given up.
PATIENCE_S = 60


class Run(NamedTuple):
    """What came of one schedule.

    Attributes:
        schedule: whose request went through, in order.
        choices: for each request, whose could have gone through instead.
        told: letter → what the operation returned or raised.
    """

    schedule: str
    choices: list[str]
    told: dict[str, Any]


def every_schedule(
    transport: Any, operations: dict[str, Callable[[], object]], *, before: Callable[[], object]
) -> Iterator[Run]:
    """Run operations under every schedule there is, each once.

    Args:
        transport: its `send` is replaced while a schedule runs.
        operations: letter → what to call.
        before: called before each run, to prepare the table.
    """
    pending = [""]
    while pending:
        prefix = pending.pop()
        before()
        run = run_schedule(transport, operations, prefix)
        for place in range(len(prefix), len(run.schedule)):
            pending += [run.schedule[:place] + other for other in run.choices[place]]
        yield run


def run_schedule(transport: Any, operations: dict[str, Callable[[], object]], schedule: str) -> Run:
    """Run operations under one schedule; where it ends, the first letter that waits goes on."""
    turnstile = _Turnstile(transport.send)
    transport.send = turnstile.send
    try:
        return turnstile.run(operations, schedule)
    finally:
        del transport.send


class _Turnstile:
    """Stops the threads it has started before each request, until it is their turn."""

    def __init__(self, send: Callable[..., Any]) -> None:
        self._send = send
        self._moved = threading.Condition()
        self._letter = threading.local()
        self._running: set[str] = set()
        self._waiting: set[str] = set()
        self._is_over = False

    def run(self, operations: dict[str, Callable[[], object]], schedule: str) -> Run:
        went, choices = "", []
        self._running = set(operations)
        with ThreadPoolExecutor(len(operations)) as pool:
            futures = {letter: pool.submit(self._operate, letter, act) for letter, act in operations.items()}
            try:
                while waiting := self._await_all():
                    letter = schedule[len(went)] if len(went) < len(schedule) else waiting[0]
                    assert letter in waiting, f"{letter} sends nothing after {went} in {schedule}"
                    went += letter
                    choices.append(waiting.replace(letter, ""))
                    self._let_through(letter)
            finally:
                self._release()
        return Run(went, choices, {letter: future.result() for letter, future in futures.items()})

    def send(self, request: Any, *rest: Any) -> Any:
        letter = getattr(self._letter, "value", None)
        if letter is not None:
            with self._moved:
                self._running.discard(letter)
                self._waiting.add(letter)
                self._moved.notify_all()
                self._moved.wait_for(lambda: letter in self._running or self._is_over)
                if self._is_over:
                    raise RuntimeError("the run was given up")
        return self._send(request, *rest)

    def _operate(self, letter: str, act: Callable[[], object]) -> object:
        self._letter.value = letter
        try:
            return act()
        except Exception as error:
            return error
        finally:
            with self._moved:
                self._running.discard(letter)
                self._moved.notify_all()

    def _await_all(self) -> str:
        """Wait until every operation stands before a request or has ended; tell who stands."""
        with self._moved:
            assert self._moved.wait_for(lambda: not self._running, PATIENCE_S), "a request takes for ever"
            return "".join(sorted(self._waiting))

    def _let_through(self, letter: str) -> None:
        with self._moved:
            self._waiting.discard(letter)
            self._running.add(letter)
            self._moved.notify_all()

    def _release(self) -> None:
        with self._moved:
            self._is_over = True
            self._moved.notify_all()
