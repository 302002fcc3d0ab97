"""One contestant in a process of its own: measures its cold start, then repeats operations on demand.

Started by path (`python bench/child.py MODULE ENDPOINT OPTIONS`), never with `-m`: that would load `runpy` and more.
Prints one JSON line for the cold start; then answers each line `OPERATION COUNT [LIMIT]` on standard input with one
JSON line, until that closes.

CPU time is the process's own, all threads, user and system (`CLOCK_PROCESS_CPUTIME_ID`: `os.times()` ticks in 10 ms).
Memory is read from /proc, because `ru_maxrss` starts at the size of the process that forked.
"""

# ruff: noqa: E402, F401, I001, PTH100, PTH120, PTH123, RUF007
# The order of the imports is what is measured; pathlib and itertools would be gifts to whoever imports them too.

from __future__ import annotations

import sys

# What AWS's Lambda runtime client has loaded before it imports a handler costs the handler nothing.
# https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py
import decimal
import enum
import json
import logging
import os
import re
import threading
import time
import traceback

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
import bench.items
import bench.rivals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def memory_kb(field: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field))
    except FileNotFoundError:
        return 0


def measure_cold_start(
    module: str, endpoint: str, options: dict[str, Any]
) -> tuple[dict[str, Callable[..., Any]], dict[str, Any]]:
    marks: list[tuple[str, float, float]] = []

    def mark(name: str) -> None:
        marks.append((name, time.process_time(), time.perf_counter()))

    modules_before = set(sys.modules)
    memory_before = memory_kb("VmRSS")
    mark("start")
    rival = __import__(f"bench.rivals.{module}", fromlist=["connect"])
    mark("import")
    operations: dict[str, Callable[..., Any]] = rival.connect(endpoint, **options)
    mark("connect")
    operations["put"]()
    mark("put")
    memory_at_put = memory_kb("VmHWM")
    modules = set(sys.modules) - modules_before
    mark("pause")
    item = operations["get"]()
    mark("get")

    steps: dict[str, dict[str, float]] = {}
    for (_, cpu_from, wall_from), (name, cpu_to, wall_to) in zip(marks, marks[1:], strict=False):
        steps[name] = {"cpu_s": cpu_to - cpu_from, "wall_s": wall_to - wall_from}
    del steps["pause"]
    parts = [steps[name] for name in ("import", "connect", "put")]
    steps["cold"] = {unit: sum(part[unit] for part in parts) for unit in ("cpu_s", "wall_s")}
    result = {
        "steps": steps,
        "peak_kb": memory_at_put,
        "added_kb": memory_at_put - memory_before,
        "modules": sorted(name for name in modules if not name.startswith("bench.")),
    }
    assert item, "the item was not found"
    return operations, result


def measure_repeated(operation: Callable[..., Any], count: int, arguments: Sequence[int]) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        operation(*arguments)
    return {"cpu_s": (time.process_time() - cpu) / count, "wall_s": (time.perf_counter() - wall) / count}


def main() -> None:
    module, endpoint, options = sys.argv[1:]
    operations, result = measure_cold_start(module, endpoint, json.loads(options))
    print(json.dumps(result), flush=True)
    for line in sys.stdin:
        name, count, *arguments = line.split()
        repeated = measure_repeated(operations[name], int(count), [int(argument) for argument in arguments])
        print(json.dumps(repeated), flush=True)
    operations["close"]()


main()
