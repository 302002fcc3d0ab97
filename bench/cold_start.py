"""Cold start: fresh processes, from the import to the first put and the first get.

    python -m bench.cold_start [--quick] [--wire http tls tls-full] [--bytecode warm stale unchecked-hash]

Everybody runs once a round, in an order that changes from round to round.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contestants import BASELINE, CONTESTANTS, FLOOR, PYDYNOX, Contestant, split_missing
from bench.processes import BYTECODE, Child, ChildError, age_cache
from bench.report import add_options, circumstances, describe, finish, median, ratio_cell, spread, table
from bench.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 15
RATIOS_TO = (BASELINE, PYDYNOX, FLOOR)

WIRES = {
    "http": "plain HTTP",
    "tls": "TLS, one trusted root",
    "tls-full": "TLS, the machine's whole bundle of roots plus that one",
}
SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@contextlib.contextmanager
def open_wire(wire: str) -> Iterator[tuple[Server, str | None]]:
    """A server for this kind of wire, and the bundle of roots its clients are told to trust."""
    with serve(tls=wire != "http") as server:
        if wire != "tls-full":
            yield server, server.ca_path
            return
        assert server.ca_path is not None
        system = next(path for path in map(Path, SYSTEM_BUNDLES) if path.exists())
        full = Path(server.ca_path).with_name("full.pem")
        full.write_bytes(system.read_bytes() + Path(server.ca_path).read_bytes())
        yield server, str(full)


def measure(
    contestants: Sequence[Contestant], *, wire: str, bytecode: str, rounds: int
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """The cold starts of every contestant that could run, and why the others could not."""
    present, absent = split_missing(contestants)
    order = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as folder, open_wire(wire) as (server, bundle):
        cache = Path(folder)
        starts: dict[str, list[dict[str, Any]]] = {}

        def start(contestant: Contestant, *, write_cache: bool) -> dict[str, Any]:
            child = Child(contestant, server, cache, bundle=bundle, write_cache=write_cache)
            child.close()
            return child.cold_start

        for contestant in [*present]:  # not measured: fills the byte-code cache, and the system's of files
            try:
                start(contestant, write_cache=True)
                starts[contestant.name] = []
            except ChildError as error:  # noqa: PERF203 - a failure must cost its contestant alone
                absent[contestant.name] = f"failed: {error}"
                present.remove(contestant)
        age_cache(cache, bytecode)
        for _ in range(rounds):
            order.shuffle(present)
            for contestant in present:
                starts[contestant.name].append(start(contestant, write_cache=False))
    return starts, absent


def tabulate(starts: dict[str, list[dict[str, Any]]], absent: dict[str, str]) -> str:
    head = [
        "", "CPU ms", "spread", "of boto3", "of pydynox", "of floor",
        "import", "client", "put", "get", "wall ms", "peak MB", "added MB", "modules",
    ]  # fmt: skip

    def seconds(name: str, step: str, unit: str = "cpu_s") -> list[float]:
        return [start["steps"][step][unit] for start in starts[name]]

    rows = []
    for contestant in CONTESTANTS:
        name = contestant.name
        if name in absent:
            rows.append([name, absent[name].partition(":")[0], *["–"] * (len(head) - 2)])
        elif name in starts:
            cold = seconds(name, "cold")
            rows.append(
                [
                    name,
                    f"{median(cold) * 1e3:.1f}",
                    f"{spread(cold):.0%}",
                    *(ratio_cell(cold, seconds(to, "cold") if to in starts else None) for to in RATIOS_TO),
                    *(f"{median(seconds(name, step)) * 1e3:.1f}" for step in ("import", "connect", "put", "get")),
                    f"{median(seconds(name, 'cold', 'wall_s')) * 1e3:.1f}",
                    *(
                        f"{median([start[size] for start in starts[name]]) / 1024:.1f}"
                        for size in ("peak_kb", "added_kb")
                    ),
                    str(len(starts[name][0]["modules"])),
                ]
            )
    return "\n".join([table(head, rows), *(f"{name}: {why}" for name, why in absent.items())])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__.split("\n")[0])
    add_options(parser, rounds=ROUNDS)
    parser.add_argument("--wire", nargs="+", choices=WIRES, default=["http", "tls"], help=str(WIRES))
    parser.add_argument("--bytecode", nargs="+", choices=BYTECODE, default=["warm"], help=str(BYTECODE))
    arguments = parser.parse_args()
    contestants = [c for c in CONTESTANTS if c.name in arguments.only]
    rounds = 2 if arguments.quick else arguments.rounds
    where = circumstances()
    print(f"Cold start: import → client → first put, CPU medians of {rounds} rounds\n{describe(where)}")
    results: dict[str, Any] = {"circumstances": where, "rounds": rounds, "cold_start": {}, "absent": {}}
    for wire in arguments.wire:
        for bytecode in arguments.bytecode:
            title = f"{wire}, {bytecode}"
            starts, absent = measure(contestants, wire=wire, bytecode=bytecode, rounds=rounds)
            results["cold_start"][title] = starts
            results["absent"][title] = absent
            print(f"\n{WIRES[wire]}; byte code {bytecode}: {BYTECODE[bytecode]}\n")
            print(tabulate(starts, absent), flush=True)
    finish(results, arguments.json)


if __name__ == "__main__":
    main()
