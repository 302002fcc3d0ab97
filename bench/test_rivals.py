"""Everybody stores and reads the same: without that no ratio means anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bench.contestants import PYDYNOX, Contestant
from bench.items import INDEX_KEY, QUERY_SIZES, key_of, typed_item
from bench.processes import Child, ChildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.server import Server

# The rivals' own deprecations are not ours to fail on.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["http", "tls"])
def child(
    request: pytest.FixtureRequest, contestant: Contestant, server: Server, tls_server: Server, cache: Path
) -> Iterator[tuple[Child, Server]]:
    chosen = server if request.param == "http" else tls_server
    started = Child(contestant, chosen, cache, bundle=chosen.ca_path, write_cache=True)
    yield started, chosen
    started.close()


def with_numbers(value: Any) -> Any:
    """Numbers as numbers: `5` and `5.0` are the same value in DynamoDB."""
    if isinstance(value, dict):
        return {name: float(v) if name == "N" else with_numbers(v) for name, v in value.items()}
    return [with_numbers(v) for v in value] if isinstance(value, list) else value


def test_same_requests(child: tuple[Child, Server]) -> None:
    process, server = child
    process.repeat("put", 1)
    assert with_numbers(json.loads(server.stats()["last_body"])["Item"]) == with_numbers(typed_item())
    process.repeat("get", 1)
    assert json.loads(server.stats()["last_body"])["Key"] == key_of(typed_item())
    for size in QUERY_SIZES:
        process.repeat("query", 1, size)
        query = json.loads(server.stats()["last_body"])
        assert (query["IndexName"], query["Limit"], query["ScanIndexForward"]) == ("indexScope", size, False)
        assert list(query["ExpressionAttributeValues"].values()) == [{"S": INDEX_KEY}]


def test_one_request_an_operation_on_one_connection(child: tuple[Child, Server], contestant: Contestant) -> None:
    process, server = child
    before = server.totals()
    process.repeat("put", 3)
    process.repeat("get", 3)
    process.repeat("query", 3, 100)
    after = server.totals()
    assert after["requests"] - before["requests"] == 9
    # pydynox hands a connection back in the background and may open another one before that is done.
    assert after["connections"] - before["connections"] <= (2 if contestant.name == PYDYNOX else 0)


def test_cold_start_is_complete(child: tuple[Child, Server]) -> None:
    result = child[0].cold_start
    steps = result["steps"]
    assert steps["cold"]["cpu_s"] == pytest.approx(sum(steps[s]["cpu_s"] for s in ("import", "connect", "put")))
    assert all(step["cpu_s"] > 0 for step in steps.values())
    assert result["modules"] == sorted(set(result["modules"]))
    assert not any(name.startswith("bench.") for name in result["modules"])


def test_verifies_the_certificate(contestant: Contestant, tls_server: Server, cache: Path) -> None:
    def refused() -> int:
        return sum("alert" in c["error"] or "EOF" in c["error"] for c in tls_server.stats()["connections"])

    before, refused_before = tls_server.totals(), refused()
    with pytest.raises(ChildError):  # the limit: aiodynamo goes on trying for more than a minute
        Child(contestant, tls_server, cache, bundle=None, write_cache=True, time_limit_s=4)
    assert tls_server.totals()["requests"] == before["requests"]
    assert contestant.module in ("floor", "echo") or refused() > refused_before


def test_results(operations: dict[str, Callable[..., Any]], contestant: Contestant) -> None:
    operations["put"]()
    if contestant.name == "echo":
        pytest.skip("echo parses nothing")
    item = operations["get"]()
    name = item["name"] if isinstance(item, dict) else item.name
    assert name in ("Daily log of the observatory", {"S": "Daily log of the observatory"})
    for size in QUERY_SIZES:
        assert len(operations["query"](size)) == size
