"""What one warm operation costs, everybody side by side, in CPU time.

Contestants run one after the other here; for ratios that the machine's drift cannot bend see `warm.py`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from bench.warm import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.benchmark(timer=time.process_time, max_time=0.5)
def test_operation(benchmark: BenchmarkFixture, operation: str, operations: dict[str, Callable[..., Any]]) -> None:
    benchmark.group = operation
    function, sizes = OPERATIONS[operation]
    benchmark(operations[function], *sizes)
