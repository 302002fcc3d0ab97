"""Values that DynamoDB can store, as hypothesis strategies, and what they are to come back as."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

# A lone surrogate is no UTF-8 text; everything else is allowed, control characters and NUL too.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def _decimals(draw: st.DrawFn) -> Decimal:
    digits = draw(st.integers(1, 10**38 - 1).map(str) | st.integers(1, 9999).map(str))
    magnitude = draw(st.integers(-130, 125) | st.integers(-5, 40))  # the exponent of the first digit
    zeros = draw(st.sampled_from(["", "0", "0" * 60]))
    number = Decimal(f"{digits}{zeros}E{magnitude - len(digits) - len(zeros) + 1}")
    return number if draw(st.booleans()) else number.copy_negate()


_in_range = st.floats(1e-130, 9.9e125) | st.floats(-9.9e125, -1e-130) | st.sampled_from([0.0, -0.0])
numbers = (
    st.integers(-(10**38) + 1, 10**38 - 1)
    | st.builds(lambda digits, zeros: digits * 10**zeros, st.integers(-999, 999), st.integers(0, 123))
    | _in_range
    | st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-130)
    | _decimals()
)
binaries = st.binary(max_size=20)

scalars = st.none() | st.booleans() | texts | numbers | binaries | binaries.map(bytearray) | binaries.map(memoryview)


def _sets(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    # Unique by what is stored: 0.1 and Decimal("0.1") are two in Python and one in DynamoDB.
    listed = st.lists(elements, min_size=1, max_size=6, unique_by=exact)
    return listed.map(set) | listed.map(frozenset)


def exact(value: Any) -> Any:
    """Return the number that is stored for a number; anything else as it is."""
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


sets = _sets(texts) | _sets(numbers) | _sets(binaries)

storable = st.recursive(
    scalars | sets,
    lambda inner: (
        st.lists(inner, max_size=5) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(names, inner, max_size=5)
    ),
    max_leaves=8,
)


def assert_back(value: Any, back: Any) -> None:
    """Assert that `back` is what a stored `value` is to be read as."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        assert type(back) is bytes
        assert back == bytes(value)
    elif isinstance(value, (list, tuple)):
        assert type(back) is list
        assert len(back) == len(value)
        for element, element_back in zip(value, back, strict=True):
            assert_back(element, element_back)
    elif isinstance(value, dict):
        assert type(back) is dict
        assert back.keys() == value.keys()
        for name, element in value.items():
            assert_back(element, back[name])
    elif isinstance(value, (set, frozenset)):
        assert type(back) is set
        assert {exact(element) for element in back} == {exact(element) for element in value}
        wanted = [read_as(element) for element in value]
        if len(set(wanted)) == len(wanted):
            assert sorted(map(_shown, back)) == sorted(map(_shown, wanted))
        else:  # two stored numbers that Python calls equal: only as Decimals are both kept
            assert {type(element) for element in back} == {Decimal}
    else:
        assert _shown(back) == _shown(read_as(value))


def read_as(value: Any) -> Any:
    """Return what a stored scalar is read as, by the rule of the documentation."""
    number = exact(value)
    if not isinstance(number, Decimal):
        return value
    if number == number.to_integral_value():
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else number


def _shown(value: Any) -> tuple[str, Any]:
    # 1 == 1.0 == True in Python; here they differ.
    return type(value).__name__, value
