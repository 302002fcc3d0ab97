"""What we write, DynamoDB Local stores and gives back; what we refuse, it refuses too."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import pytest
import values
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from jaypie_dynamo import (
    ValidationError,
    get_client,
    get_doc_client,
    get_entity,
    get_table_name,
    marshal,
    marshal_item,
    put_entity,
)
from jaypie_dynamo._marshal import MAX_DEPTH

# moto accepts numbers, sets and depths that DynamoDB refuses.
pytestmark = [
    pytest.mark.parametrize("engine", ["dynamodb_local"], indirect=True),
    pytest.mark.usefixtures("client"),
]

KEY = {"model": "m", "id": "1"}


@settings(max_examples=40)
@given(st.lists(values.storable, min_size=5, max_size=12), st.dictionaries(values.names, values.storable, max_size=3))
def test_storable_values_come_back_as_documented(stored, named):
    put_entity(entity={**KEY, "scope": "@", "list": stored, "map": named})
    back = get_entity(**KEY, consistent=True)
    assert back is not None
    values.assert_back(stored, back["list"])
    values.assert_back(named, back["map"])


@settings(max_examples=30)
@given(st.lists(values.numbers, min_size=30, max_size=60))
def test_no_digit_of_a_number_is_lost(numbers):
    put_entity(entity={**KEY, "scope": "@", "list": numbers, "set": set(numbers[:1])})
    back = get_entity(**KEY, consistent=True)
    assert back is not None
    assert list(map(values.exact, back["list"])) == list(map(values.exact, numbers))
    values.assert_back(numbers, back["list"])
    values.assert_back(set(numbers[:1]), back["set"])


@settings(max_examples=15)
@given(st.lists(values.storable, min_size=5, max_size=12))
def test_document_client_writes_the_same(stored):
    documents = get_doc_client()
    documents.call("PutItem", Item={**KEY, "list": stored})
    values.assert_back(stored, documents.call("GetItem", Key=KEY, ConsistentRead=True)["Item"]["list"])


class Octet(enum.Enum):
    X = b"x"


def nested(levels: int, *, inner: Any, name: str | None = None) -> Any:
    for _ in range(levels):
        inner = [inner] if name is None else {name: inner}
    return inner


def typed(value: Any) -> Any:
    """Put lists, maps and text into typed form without looking at how deep they are."""
    if isinstance(value, list):
        return {"L": [typed(element) for element in value]}
    return {"M": {name: typed(element) for name, element in value.items()}} if isinstance(value, dict) else {"S": value}


NINES = "9." + "9" * 37

ACCEPTED = {
    "38 digits": 10**38 - 1,
    "38 digits and zeros": (10**38 - 1) * 10**87,
    "38 decimal digits": Decimal("-0." + "1" * 38),
    "smallest float": 1e-130,
    "smallest decimal": Decimal("-1E-130"),
    "smallest with more digits": Decimal(NINES + "E-130"),
    "largest": Decimal(NINES + "E+125"),
    "largest float": 9.999999999999998e125,
    "zero with an exponent": Decimal("0E-500"),
    "negative zero": -0.0,
    "trailing zeros": Decimal("1." + "0" * 60),
    "empty text": "",
    "empty binary": b"",
    "empty list": [],
    "empty map": {},
    "set of the empty text": {""},
    "set of the empty binary": {b""},
    "NUL and controls": "\x00\x1f\x7f\ufffe\u2028",
    "odd names": {" ": 1, "\x00": 2, "a.b[0]#:": 3, "😀": 4},
    "deep lists": nested(MAX_DEPTH - 1, inner="x"),
    "deep maps": nested(MAX_DEPTH - 1, inner=Decimal("1.5"), name="a"),
    "deep empty list": nested(MAX_DEPTH - 2, inner=[]),
    "deep set": nested(MAX_DEPTH - 1, inner={"x"}),
}

# what → (a value for us, the same in typed form for DynamoDB)
REFUSED: dict[str, tuple[Any, Any]] = {
    "39 digits": (10**39 - 1, {"N": "9" * 39}),
    "39 decimal digits": (Decimal("1." + "0" * 37 + "1"), {"N": "1." + "0" * 37 + "1"}),
    "too small": (Decimal("9.9E-131"), {"N": "9.9E-131"}),
    "float too small": (9.9e-131, {"N": "9.9e-131"}),
    "too large": (Decimal("1E+126"), {"N": "1E+126"}),
    "int too large": (-(10**126), {"N": "-1E126"}),
    "float too large": (1e126, {"N": "1e+126"}),
    "not a number": (float("nan"), {"N": "NaN"}),
    "infinity": (Decimal("Infinity"), {"N": "Infinity"}),
    "empty string set": (set(), {"SS": []}),
    "empty number set": (set(), {"NS": []}),
    "empty binary set": (frozenset(), {"BS": []}),
    "number twice": ({0.1, Decimal("0.1")}, {"NS": ["0.1", "0.10"]}),
    "text twice": ({dt.date(2026, 1, 7), "2026-01-07"}, {"SS": ["2026-01-07", "2026-01-07"]}),
    "binary twice": ({Octet.X, b"x"}, {"BS": [b"x", b"x"]}),
    "empty name": ({"": "x"}, {"M": {"": {"S": "x"}}}),
    "lists too deep": (nested(MAX_DEPTH, inner="x"), typed(nested(MAX_DEPTH, inner="x"))),
    "maps too deep": (nested(MAX_DEPTH, inner="x", name="a"), typed(nested(MAX_DEPTH, inner="x", name="a"))),
    "empty list too deep": (nested(MAX_DEPTH - 1, inner=[]), typed(nested(MAX_DEPTH - 1, inner=[]))),
}


def test_what_we_accept_dynamodb_accepts():
    for name, value in ACCEPTED.items():
        put_entity(entity={**KEY, "scope": "@", "value": value})
        back = get_entity(**KEY, consistent=True)
        assert back is not None, name
        values.assert_back(value, back["value"])


def test_what_we_refuse_dynamodb_refuses():
    for ours, _ in REFUSED.values():
        with pytest.raises(ValidationError, match="value"):
            marshal(ours)
    outcomes = {name: put_typed(theirs) for name, (_, theirs) in REFUSED.items()}
    assert outcomes == dict.fromkeys(REFUSED, "ValidationException")


def put_typed(typed: Any) -> str:
    try:
        get_client().put_item(TableName=get_table_name(), Item={**marshal_item(KEY), "value": typed})
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "stored"


def test_attribute_without_a_name_is_refused_by_both():
    with pytest.raises(ValidationError, match="an attribute name must not be empty"):
        put_entity(entity={**KEY, "scope": "@", "": 1})
    with pytest.raises(ClientError, match="Empty attribute name"):
        get_client().put_item(TableName=get_table_name(), Item={**marshal_item(KEY), "": {"S": "x"}})
