from __future__ import annotations

import pytest

from bench.report import median, ratio_cell, ratios, spread, table


def test_ratios_cancel_what_slows_a_whole_round() -> None:
    assert median(ratios([1, 10, 2], [2, 20, 4])) == 0.5


def test_ratios_need_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 2], [1])


@pytest.mark.parametrize(
    ("values", "expected"), [([5], 0), ([0, 0, 0], 0), ([4, 4, 4], 0), ([1, 2, 3, 4, 5], 2 / 3), ([10, 12], 1 / 11)]
)
def test_spread(values: list[float], expected: float) -> None:
    assert spread(values) == pytest.approx(expected)


def test_ratio_cell() -> None:
    assert ratio_cell([1, 2, 3, 4, 5], [10, 10, 10, 10, 10]) == "0.300 ±33%"
    assert ratio_cell([1, 2], None) == "–"


def test_table() -> None:
    assert table(["", "CPU"], [["a", "1.5"], ["long", "20"]]).splitlines() == [
        "|      | CPU |",
        "| ---- | --: |",
        "| a    | 1.5 |",
        "| long |  20 |",
    ]
