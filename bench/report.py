"""Figures to text: medians, spread, ratios, tables; and where and when they were measured.

A ratio is taken within each round, between processes that ran one after the other, and the median of those ratios
is reported: the machine's drift cancels. Spread is the distance between the quartiles in percent of the median, and
half of that is what follows a ratio as ±.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contestants import CONTESTANTS, package_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> float:
    """Distance between the quartiles over the median."""
    if len(values) < 2 or not (middle := statistics.median(values)):
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def ratios(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The ratio of each round."""
    return [value / base for value, base in zip(values, baseline, strict=True)]


def ratio_cell(values: Sequence[float], baseline: Sequence[float] | None) -> str:
    """The median ratio and half its spread: `0.180 ±6%`."""
    if baseline is None:
        return "–"
    of_rounds = ratios(values, baseline)
    return f"{median(of_rounds):.3f} ±{spread(of_rounds) / 2:.0%}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def circumstances() -> dict[str, Any]:
    """When, where and with what was measured."""
    packages = sorted({package for contestant in CONTESTANTS for package in contestant.packages})
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {package: package_version(package) for package in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def describe(where: Mapping[str, Any]) -> str:
    installed = ", ".join(f"{name} {number or 'missing'}" for name, number in where["versions"].items())
    return f"{where['date']}; {where['machine']}; load {where['load'][0]}; Python {where['python']}; {installed}"


# ---------------------------------------------------------------------------------------------- the command lines


def add_options(parser: argparse.ArgumentParser, *, rounds: int) -> None:
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--quick", action="store_true", help="two rounds: proves that it runs, measures little")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often everybody's turn comes ({rounds})")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=str(names))
    parser.add_argument("--json", type=Path, help="also write the results to this file")


def finish(results: dict[str, Any], path: Path | None) -> None:
    """Write the results if asked to; a contestant that failed (missing is no failure) is a failed run."""
    if path:
        path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if any(failure.startswith("failed") for wire in results["absent"].values() for failure in wire.values()):
        sys.exit(1)
