"""Warm operations: CPU time of one put, get and query of 1, 100 and 1000 items, and of conversions alone.

    python -m bench.warm [--quick] [--wire http tls]

Every contestant lives in a process of its own on one server; in each round each of them repeats each operation for
about the same time, in an order that changes from round to round. Conversions take turns inside this process.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cold_start import WIRES, open_wire
from bench.contestants import BASELINE, CONTESTANTS, FLOOR, PYDYNOX, Contestant, split_missing
from bench.conversions import MARSHAL, PAGE, UNMARSHAL
from bench.items import QUERY_SIZES
from bench.processes import Child, ChildError
from bench.report import add_options, circumstances, describe, finish, median, ratio_cell, spread, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.conversions import Conversion

# Many short turns: on a busy machine two halves of one run differ by 4 % in their ratios with 60 rounds of 10 ms, and
# by 11 % with 15 rounds of 50 ms.
ROUNDS = 60
TURN_S = 0.01  # CPU time of one contestant's turn at one operation

OPERATIONS: dict[str, tuple[str, tuple[int, ...]]] = {
    "put": ("put", ()),
    "get": ("get", ()),
    **{f"query of {size}": ("query", (size,)) for size in QUERY_SIZES},
}
ON_THE_WIRE = ("packets_in", "packets_out", "bytes_in", "bytes_out")


def measure(
    contestants: Sequence[Contestant], *, wire: str, rounds: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, dict[str, dict[str, float]]], dict[str, str]]:
    """CPU seconds by operation, contestant and round; traffic of one call likewise; why others did not run."""
    present, absent = split_missing(contestants)
    children: dict[str, Child] = {}
    times: dict[str, dict[str, list[float]]] = {operation: {} for operation in OPERATIONS}
    traffic: dict[str, dict[str, dict[str, float]]] = {operation: {} for operation in OPERATIONS}
    counts: dict[tuple[str, str], int] = {}
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache, open_wire(wire) as (server, bundle):
        try:
            for contestant in present:
                name = contestant.name
                try:
                    children[name] = Child(contestant, server, Path(cache), bundle=bundle, write_cache=True)
                except ChildError as error:
                    absent[name] = f"failed: {error}"
                    continue
                for operation, (function, sizes) in OPERATIONS.items():
                    children[name].repeat(function, 2, *sizes)
                    before = server.totals()
                    once = children[name].repeat(function, 4, *sizes)["cpu_s"]
                    after = server.totals()
                    counts[operation, name] = max(1, round(TURN_S / once))
                    times[operation][name] = []
                    traffic[operation][name] = {key: (after[key] - before[key]) / 4 for key in after}
            order, names = random.Random(0), [*children]
            for _ in range(rounds):
                for operation, (function, sizes) in OPERATIONS.items():
                    order.shuffle(names)
                    for name in names:
                        turn = children[name].repeat(function, counts[operation, name], *sizes)
                        times[operation][name].append(turn["cpu_s"])
        finally:
            for child in children.values():
                child.close()
    return times, traffic, absent


def measure_conversions(
    conversions: Mapping[str, Callable[[], Conversion]], *, rounds: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """CPU seconds of one call by conversion and round, and why others did not run."""
    calls: dict[str, Conversion] = {}
    absent: dict[str, str] = {}
    for name, make in conversions.items():
        try:
            calls[name] = make()
        except ImportError as error:  # noqa: PERF203 - a library that is missing must cost its row alone
            absent[name] = f"missing: {error}"
    counts = {name: max(1, round(TURN_S / _time(call, 3))) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, names = random.Random(0), [*calls]
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            times[name].append(_time(calls[name], counts[name]))
    return times, absent


def _time(call: Conversion, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count


def tabulate_operations(
    times: dict[str, dict[str, list[float]]],
    traffic: dict[str, dict[str, dict[str, float]]],
    absent: dict[str, str],
) -> str:
    tables = []
    for operation, by_name in times.items():
        rows = []
        for contestant in CONTESTANTS:
            name = contestant.name
            if name in absent:
                rows.append([name, absent[name].partition(":")[0], *["–"] * 8])
            elif name in by_name:
                sent = traffic[operation][name]
                rows.append(
                    [
                        *_time_cells(name, by_name, (BASELINE, PYDYNOX, FLOOR), unit=1e6),
                        *(f"{sent[key]:g}" for key in ON_THE_WIRE),
                    ]
                )
        head = [operation, "CPU µs", "spread", "of boto3", "of pydynox", "of floor"]
        tables.append(table([*head, "packets out", "in", "bytes out", "in"], rows))
    return "\n\n".join(tables) + "\n" + "\n".join(f"{name}: {why}" for name, why in absent.items())


def tabulate_conversions(title: str, times: dict[str, list[float]], absent: dict[str, str], *, items: int) -> str:
    baselines = [name for name in times if name.startswith(("json", "boto3"))]
    rows = [_time_cells(name, times, baselines, unit=1e6 / items) for name in times]
    rows += [[name, why.partition(":")[0], *["–"] * (len(baselines) + 1)] for name, why in absent.items()]
    return table([title, "CPU µs", "spread", *(f"of {name.partition(':')[0]}" for name in baselines)], rows)


def _time_cells(name: str, times: dict[str, list[float]], baselines: Sequence[str], *, unit: float) -> list[str]:
    mine = times[name]
    of = [ratio_cell(mine, times.get(base)) for base in baselines]
    return [name, f"{median(mine) * unit:.1f}", f"{spread(mine):.0%}", *of]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.warm", description=__doc__.split("\n")[0])
    add_options(parser, rounds=ROUNDS)
    parser.add_argument("--wire", nargs="+", choices=WIRES, default=["http"], help=str(WIRES))
    arguments = parser.parse_args()
    contestants = [c for c in CONTESTANTS if c.name in arguments.only]
    rounds = 2 if arguments.quick else arguments.rounds
    where = circumstances()
    print(f"Warm: CPU medians of {rounds} rounds\n{describe(where)}")
    results: dict[str, Any] = {"circumstances": where, "rounds": rounds, "warm": {}, "absent": {}}
    for wire in arguments.wire:
        times, traffic, absent = measure(contestants, wire=wire, rounds=rounds)
        results["warm"][wire] = {"cpu_s": times, "traffic": traffic}
        results["absent"][wire] = absent
        print(f"\n{WIRES[wire]}\n\n{tabulate_operations(times, traffic, absent)}", flush=True)
    for title, conversions, items in (("marshal, per item", MARSHAL, 1), ("unmarshal, per item", UNMARSHAL, PAGE)):
        converted, absent = measure_conversions(conversions, rounds=rounds)
        results["warm"][title] = {"cpu_s": converted, "items": items}
        results["absent"][title] = absent
        print(f"\n{tabulate_conversions(title, converted, absent, items=items)}", flush=True)
    finish(results, arguments.json)


if __name__ == "__main__":
    main()
