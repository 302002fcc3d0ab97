"""What converting costs alone, and that everybody's conversion gives the same values."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from bench.conversions import MARSHAL, PAGE, UNMARSHAL
from bench.items import plain_item, typed_item

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.mark.parametrize("name", MARSHAL)
@pytest.mark.benchmark(group="marshal an item", timer=time.process_time, max_time=0.5)
def test_marshal(benchmark: BenchmarkFixture, name: str) -> None:
    try:
        convert = MARSHAL[name]()
    except ImportError as error:
        pytest.skip(f"missing: {error}")
    written = benchmark(convert)
    expected = plain_item() if name.startswith("json") else typed_item()
    assert (json.loads(written) if isinstance(written, bytes) else written) == expected


@pytest.mark.parametrize("name", UNMARSHAL)
@pytest.mark.benchmark(group=f"unmarshal {PAGE} items", timer=time.process_time, max_time=0.5)
def test_unmarshal(benchmark: BenchmarkFixture, name: str) -> None:
    try:
        convert = UNMARSHAL[name]()
    except ImportError as error:
        pytest.skip(f"missing: {error}")
    page: list[Any] = benchmark(convert)
    make = typed_item if "typed" in name else plain_item
    for number, item in enumerate(page):
        expected = make(number)
        if isinstance(item, dict):
            state, expected_state = item.pop("state"), expected.pop("state")
            assert item == expected
            if "typed" not in name:
                state, expected_state = float(state["score"]), expected_state["score"]
            assert state == expected_state
        else:
            assert (item.id, item.alias, item.state.score) == (expected["id"], expected["alias"], 98.6)
    assert len(page) == PAGE
