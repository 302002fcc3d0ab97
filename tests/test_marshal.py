"""Values to typed form and wire text, and back."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import json
import sys
import uuid
from collections import OrderedDict, defaultdict
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Any, NamedTuple

import boto3.dynamodb.types
import pytest
import values
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from jaypie_dynamo import ValidationError, _marshal, marshal, marshal_item, unmarshal, unmarshal_item
from jaypie_dynamo._marshal import MAX_DEPTH, Reader, write_item, write_value


class Colour(enum.Enum):
    RED = "red"
    NUMBER = 7
    NESTED = ("a", 1)


class Name(str, enum.Enum):
    FIRST = "first"


class Level(enum.IntEnum):
    HIGH = 9


class Point(NamedTuple):
    x: int
    y: int


class Euro(Decimal):
    pass


class Money(float):
    def __repr__(self):
        return f"{float(self)} €"


def zone(hours: float) -> dt.timezone:
    return dt.timezone(dt.timedelta(hours=hours))


def released_view() -> memoryview:
    with memoryview(b"ab") as view:
        return view


# --- writing -----------------------------------------------------------------------------------------------------


WRITTEN = [
    ("", {"S": ""}),
    ("text", {"S": "text"}),
    ('"\\\x00\x1f\n\u2028é日😀', {"S": '"\\\x00\x1f\n\u2028é日😀'}),
    (True, {"BOOL": True}),
    (False, {"BOOL": False}),
    (None, {"NULL": True}),
    (0, {"N": "0"}),
    (-5, {"N": "-5"}),
    (10**38 - 1, {"N": "9" * 38}),
    (-(10**38) + 1, {"N": "-" + "9" * 38}),
    (10**38, {"N": "1E+38"}),
    (-(10**125), {"N": "-1E+125"}),
    (int("9" * 38) * 10**87, {"N": "9" * 38 + "E+87"}),
    (0.0, {"N": "0.0"}),
    (0.1, {"N": "0.1"}),
    (5.0, {"N": "5.0"}),
    (-1.5e-7, {"N": "-1.5e-07"}),
    (1e-130, {"N": "1e-130"}),
    (9.999999999999998e125, {"N": "9.999999999999998e+125"}),  # the greatest float below 1E+126
    (Decimal("0.10"), {"N": "0.10"}),
    (Decimal("-0"), {"N": "0"}),
    (Decimal("0E-500"), {"N": "0"}),
    (Decimal("1E-130"), {"N": "1E-130"}),
    (Decimal("-1.5E-130"), {"N": "-1.5E-130"}),
    (Decimal("9." + "9" * 37 + "E+125"), {"N": "9." + "9" * 37 + "E+125"}),
    (Decimal("1" * 38 + "0" * 30), {"N": "1" * 38 + "E30"}),
    (Decimal("-1." + "0" * 60), {"N": "-1E0"}),
    (b"\x00\xff", {"B": b"\x00\xff"}),
    (b"", {"B": b""}),
    (bytearray(b"ab"), {"B": b"ab"}),
    (memoryview(b"ab"), {"B": b"ab"}),
    (memoryview(b"abcd")[::2], {"B": b"ac"}),
    ([], {"L": []}),
    ([1, "a", None], {"L": [{"N": "1"}, {"S": "a"}, {"NULL": True}]}),
    ((1, (2,)), {"L": [{"N": "1"}, {"L": [{"N": "2"}]}]}),
    ([b"x", {b"y"}], {"L": [{"B": b"x"}, {"BS": [b"y"]}]}),
    ({}, {"M": {}}),
    ({"a": {"b": "c"}, "日": b"x"}, {"M": {"a": {"M": {"b": {"S": "c"}}}, "日": {"B": b"x"}}}),
    ({"b", "a"}, {"SS": ["a", "b"]}),
    (frozenset({""}), {"SS": [""]}),
    ({3, 1, 2.5, Decimal(4)}, {"NS": ["1", "2.5", "3", "4"]}),
    ({b"b", b"a"}, {"BS": [b"a", b"b"]}),
    ({dt.date(2026, 1, 7), "a"}, {"SS": ["2026-01-07", "a"]}),
    # subclasses, by their characters and digits
    (Name.FIRST, {"S": "first"}),
    (Level.HIGH, {"N": "9"}),
    (Colour.RED, {"S": "red"}),
    (Colour.NUMBER, {"N": "7"}),
    (Colour.NESTED, {"L": [{"S": "a"}, {"N": "1"}]}),
    ({Colour.RED, "blue"}, {"SS": ["blue", "red"]}),
    (Money(1.5), {"N": "1.5"}),
    (Euro("9.99"), {"N": "9.99"}),
    (Point(1, 2), {"L": [{"N": "1"}, {"N": "2"}]}),
    (OrderedDict(a=1), {"M": {"a": {"N": "1"}}}),
    (defaultdict(list, a=[1]), {"M": {"a": {"L": [{"N": "1"}]}}}),
    # times
    (dt.datetime(2026, 1, 7, tzinfo=dt.timezone.utc), {"S": "2026-01-07T00:00:00.000Z"}),
    (dt.datetime(2026, 1, 7, 1, 2, 3, 456000, tzinfo=zone(5.5)), {"S": "2026-01-06T19:32:03.456Z"}),
    (dt.datetime(2026, 1, 7, 1, 2, 3, 456001, tzinfo=dt.timezone.utc), {"S": "2026-01-07T01:02:03.456001Z"}),
    (dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc), {"S": "0001-01-01T00:00:00.000Z"}),
    (dt.date(2026, 1, 7), {"S": "2026-01-07"}),
    (uuid.UUID(int=5), {"S": "00000000-0000-0000-0000-000000000005"}),
]


@pytest.mark.parametrize(("value", "typed"), WRITTEN)
def test_value_is_marshalled(value, typed):
    assert marshal(value) == typed
    assert marshal_item({"a": value}) == {"a": typed}


def test_item_may_be_any_mapping():
    assert marshal_item(MappingProxyType({"id": "1"})) == {"id": {"S": "1"}}
    assert marshal_item({}) == {}


def test_wire_text_is_json_without_spaces():
    assert write_item({"id": "1", "set": {2, 10}}) == '{"id":{"S":"1"},"set":{"NS":["10","2"]}}'


PRICES = {
    "nan": (float("nan"), "NaN and infinity are no DynamoDB numbers"),
    "inf": (float("-inf"), "NaN and infinity"),
    "decimal nan": (Decimal("NaN"), "NaN and infinity"),
    "signaling nan": (Decimal("sNaN"), "NaN and infinity"),
    "decimal inf": (Decimal("Infinity"), "NaN and infinity"),
    "39 digits": (10**39 - 1, "more than 38 significant digits"),
    "39 digits and zeros": (int("1" * 39) * 10**20, "more than 38 significant digits"),
    "int over the range": (10**126, r"above 9.99E\+125"),
    "very long int": (10**5000, "more than 38 significant digits"),
    "39 decimal digits": (Decimal("1." + "0" * 37 + "1"), "39 significant digits; DynamoDB holds 38"),
    "small float": (9e-131, "a float outside 1E-130"),
    "large float": (1e126, "a float outside"),
    "small decimal": (Decimal("9.99E-131"), "a Decimal outside 1E-130"),
    "large decimal": (Decimal("1E+126"), "a Decimal outside"),
    "empty set": (set(), "an empty set cannot be stored; leave the attribute out"),
    "empty frozenset": (frozenset(), "an empty set"),
    "mixed set": ({1, "1"}, "one kind of value"),
    "set of booleans": ({True}, "a set holds strings, numbers or bytes, not bool"),
    "set of None": ({None}, "not NoneType"),
    "set of tuples": ({(1,)}, "not tuple"),
    "nan in a set": ({float("nan")}, "NaN and infinity"),
    "two numbers stored as one": ({0.1, Decimal("0.1")}, "stored as the same value"),
    "two strings stored as one": ({dt.date(2026, 1, 7), "2026-01-07"}, "stored as the same value"),
    "key that is no str": ({1: "a"}, "a map key must be a str, not int"),
    "empty key": ({"": "a"}, "an attribute name must not be empty"),
    "surrogate": ("a\ud800", "lone surrogate"),
    "surrogate in a set": ({"\udfff"}, "lone surrogate"),
    "object": (object(), "a builtins.object cannot be stored; convert it first"),
    "complex": (1j, "a builtins.complex"),
    "class": (int, "a builtins.type"),
    "generator": ((x for x in "a"), "a builtins.generator"),
    "mapping": (MappingProxyType({}), "a builtins.mappingproxy"),
    "time": (dt.time(1), "a datetime.time"),
    "timedelta": (dt.timedelta(1), "a datetime.timedelta"),
    "naive datetime": (dt.datetime(2026, 1, 7), "a naive datetime names no moment"),
    "datetime before year 1": (dt.datetime(1, 1, 1, tzinfo=zone(1)), "out of range"),
    "datetime after year 9999": (dt.datetime(9999, 12, 31, 23, tzinfo=zone(-5)), "out of range"),
    "released view": (released_view(), "released"),
}
PATHS = {"key that is no str": "state.items[2].price.1", "empty key": "state.items[2].price."}


@pytest.mark.parametrize("case", PRICES)
def test_refused_value_is_named(case):
    price, reason = PRICES[case]
    path = PATHS.get(case, "state.items[2].price")
    item = {"id": "1", "state": {"name": "x", "items": ["a", {"price": 1}, {"sku": b"", "price": price}]}}
    with pytest.raises(ValidationError, match=reason) as caught:
        marshal_item(item)
    assert caught.value.path == path
    assert str(caught.value).startswith(path + ": ")
    with pytest.raises(ValidationError, match=reason) as caught:
        marshal(item)
    assert caught.value.path == "value." + path


@pytest.mark.parametrize(
    ("item", "path", "message"),
    [
        ({"": 1}, "", "item: an attribute name must not be empty"),
        ({1: 1}, "1", "1: a map key must be a str, not int"),
        ({None: 1}, "None", "None: a map key must be a str, not NoneType"),
        ({"a\ud800": 1}, "a\\ud800", "a\\ud800: text with a lone surrogate is no UTF-8; clean it, or store bytes"),
        ({"a": [[1, (2, {3, "x"})]]}, "a[0][1][1]", "a[0][1][1]: a set must hold one kind of value"),
        (MappingProxyType({"a": [1j]}), "a[0]", "a[0]: a builtins.complex cannot be stored"),
        (5, None, "item must be a mapping of attribute names to values, not a int"),
        ([("a", 1)], None, "item must be a mapping of attribute names to values, not a list"),
    ],
)
def test_refused_item_is_named(item, path, message):
    with pytest.raises(ValidationError) as caught:
        marshal_item(item)
    assert caught.value.path == path
    assert str(caught.value).startswith(message)


def test_places_start_where_the_caller_says():
    with pytest.raises(ValidationError) as caught:
        write_item({"a": {1j}}, path="Item")
    assert caught.value.path == "Item.a"
    with pytest.raises(ValidationError) as caught:
        write_item(None, path="Item")
    assert caught.value.path == "Item"
    with pytest.raises(ValidationError) as caught:
        write_value([1j], path="where('x')")
    assert caught.value.path == "where('x')[0]"


def test_first_bad_value_is_the_one_named():
    with pytest.raises(ValidationError) as caught:
        marshal_item({"a": 1, "b": {"c": [1j]}, "d": {1j}})
    assert caught.value.path == "b.c[0]"


class Mended(dict):
    """A value that somebody else puts right while it is being written."""

    def items(self):
        pairs = list(super().items())
        self["a"] = 1
        return pairs


def test_value_mended_after_it_was_refused_stays_refused():
    with pytest.raises(ValidationError, match=r"value: a builtins.complex cannot be stored"):
        marshal(Mended(a=1j))


@given(st.data())
def test_place_of_a_bad_value_is_its_path(data):
    bad = data.draw(st.sampled_from([float("nan"), 1j, set(), "\ud800", 10**200, {1, "1"}]))
    steps = data.draw(st.lists(st.integers(0, 3) | st.text("abc", min_size=1, max_size=3), max_size=8))
    node = bad
    for step in reversed(steps):
        sibling = data.draw(st.sampled_from(["x", [[5]], {"x": {"y"}}, {2}]))
        node = [*[sibling] * step, node, sibling] if isinstance(step, int) else {"x": sibling, step: node}
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    with pytest.raises(ValidationError) as caught:
        marshal_item({"id": "1", "a": node})
    assert caught.value.path == "a" + path
    assert str(caught.value).startswith(f"a{path}: ")


# --- depth, measured on DynamoDB Local: 31 containers below the item are accepted, 32 refused


def _nested(levels: int, *, wrap: Any, inner: Any = "x") -> Any:
    for _ in range(levels):
        inner = wrap(inner)
    return inner


WRAPS = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "map": lambda inner: {"a": inner},
    "subclass": lambda inner: OrderedDict(a=inner),
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("inner", ["x", {"x"}], ids=["scalar", "set"])
def test_depth_is_dynamodbs(wrap, inner):
    deepest = _nested(MAX_DEPTH - 1, wrap=WRAPS[wrap], inner=inner)
    assert unmarshal(marshal(deepest)) == _nested(
        MAX_DEPTH - 1, wrap=WRAPS["map" if wrap in ("map", "subclass") else "list"], inner=inner
    )
    with pytest.raises(ValidationError, match=r"a.*: nested deeper than 32 levels, DynamoDB's limit") as caught:
        marshal_item({"a": WRAPS[wrap](deepest)})
    step = ".a" if wrap in ("map", "subclass") else "[0]"
    assert caught.value.path == "a" + step * (MAX_DEPTH - 1)
    with pytest.raises(ValidationError, match="nested deeper"):
        marshal(WRAPS[wrap](deepest))


def test_enum_member_counts_as_its_value_in_depth():
    class Deep(enum.Enum):
        VALUE = _nested(MAX_DEPTH - 1, wrap=WRAPS["tuple"])

    assert marshal(Deep.VALUE) == marshal(Deep.VALUE.value)
    with pytest.raises(ValidationError, match=r"value\[0\]: nested deeper"):
        marshal([Deep.VALUE])


def test_value_that_contains_itself_is_refused():
    cycle: dict[str, Any] = {}
    cycle["a"] = [cycle]
    with pytest.raises(ValidationError, match="or the value contains itself"):
        marshal(cycle)
    with pytest.raises(ValidationError, match="or the value contains itself"):
        marshal_item(cycle)


# --- attribute names


def test_quote_writes_a_json_string():
    assert json.loads(_marshal.quote('a "b"\\\n日')) == 'a "b"\\\n日'


@pytest.fixture
def quoted_names(monkeypatch):
    monkeypatch.setattr(_marshal, "_QUOTED_NAMES", _marshal._QuotedNames())
    return _marshal._QUOTED_NAMES


def test_quoted_names_are_kept_within_bounds(quoted_names):
    item = {f'name "{n}"': n for n in range(_marshal._MAX_QUOTED_NAMES + 100)}
    assert unmarshal_item(json.loads(write_item(item))) == item
    assert len(quoted_names) == _marshal._MAX_QUOTED_NAMES
    assert unmarshal_item(json.loads(write_item(item))) == item


def test_bad_names_are_not_kept(quoted_names):
    for name in ("", 1, None):
        with pytest.raises(ValidationError):
            marshal_item({name: 1})
    assert quoted_names == {}


def test_enum_as_name_stands_for_its_text_and_renames_nothing(quoted_names):
    assert marshal_item({Name.FIRST: 1}) == {"first": {"N": "1"}}
    assert marshal_item({"Name.FIRST": 1}) == {"Name.FIRST": {"N": "1"}}
    assert {type(name) for name in quoted_names} == {str}


# --- modules that are imported only by those who use them


@pytest.mark.parametrize("module", ["decimal", "datetime", "enum", "uuid"])
def test_unknown_type_is_refused_where_a_module_was_never_loaded(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValidationError, match=r"a builtins.object cannot be stored"):
        marshal(object())


# --- boto3 agrees

_boto3 = boto3.dynamodb.types.TypeSerializer()


@given(values.storable)
def test_typed_form_is_boto3s(value):
    value = _without_floats(value)
    try:
        theirs = _boto3.serialize(value)
    except (TypeError, ArithmeticError):
        reject()
    assert _comparable(marshal(value)) == _comparable(theirs)


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_without_floats, value))
    if isinstance(value, dict):
        return {name: _without_floats(element) for name, element in value.items()}
    if isinstance(value, (set, frozenset)):
        return type(value)(map(_without_floats, value))
    return value


def _comparable(typed: Any) -> Any:
    [(tag, value)] = typed.items()
    if tag == "N":
        return tag, Decimal(value)
    if tag == "NS":
        return tag, sorted(map(Decimal, value))
    if tag == "L":
        return tag, list(map(_comparable, value))
    if tag == "M":
        return tag, {name: _comparable(element) for name, element in value.items()}
    return tag, sorted(value) if tag in ("SS", "BS") else value


# --- reading -----------------------------------------------------------------------------------------------------

READ = [
    ({"S": "x"}, "x"),
    ({"S": "5"}, "5"),
    ({"BOOL": True}, True),
    ({"BOOL": False}, False),
    ({"NULL": True}, None),
    ({"B": b"\x00\xff"}, b"\x00\xff"),
    ({"B": bytearray(b"ab")}, b"ab"),
    ({"B": "AP8="}, b"\x00\xff"),
    ({"B": ""}, b""),
    ({"SS": ["a", "b"]}, {"a", "b"}),
    ({"SS": {"a"}}, {"a"}),
    ({"NS": ["1", "2.5", "1E+2"]}, {1, 2.5, 100}),
    ({"BS": [b"a", "Yg=="]}, {b"a", b"b"}),
    ({"L": []}, []),
    ({"M": {}}, {}),
    ({"L": [{"S": "x"}, {"L": [{"N": "1"}]}, {"M": {"a": {"B": "AA=="}}}]}, ["x", [1], {"a": b"\0"}]),
    # names that look like type tags
    (
        {"M": {"S": {"S": "x"}, "N": {"N": "1"}, "L": {"M": {"M": {"NULL": True}}}}},
        {"S": "x", "N": 1, "L": {"M": None}},
    ),
    ({"M": {"S": {"M": {"S": {"S": "x"}}}}}, {"S": {"S": "x"}}),
    # numbers
    ({"N": "0"}, 0),
    ({"N": "-0"}, 0),
    ({"N": "-0.0"}, 0),
    ({"N": "5"}, 5),
    ({"N": "-5"}, -5),
    ({"N": "5.0"}, 5),
    ({"N": "5.00E-0"}, 5),
    ({"N": "1E+3"}, 1000),
    ({"N": "1e21"}, 10**21),
    ({"N": "9" * 38}, 10**38 - 1),
    ({"N": "9" * 38 + "E+87"}, (10**38 - 1) * 10**87),
    ({"N": "9007199254740993.0"}, 2**53 + 1),
    ({"N": "0.1"}, 0.1),
    ({"N": "0.10"}, 0.1),
    ({"N": "-1.5E-7"}, -1.5e-7),
    ({"N": "1E-130"}, 1e-130),
    ({"N": "0." + "0" * 129 + "1"}, 1e-130),
    ({"N": "9007199254740993.5"}, Decimal("9007199254740993.5")),
    ({"N": "123456789012345678.5"}, Decimal("123456789012345678.5")),
    ({"N": "0.12345678901234567890"}, Decimal("0.1234567890123456789")),
    ({"N": "3." + "1" * 37}, Decimal("3." + "1" * 37)),
    ({"N": "1." + "1" * 37 + "E-130"}, Decimal("1." + "1" * 37 + "E-130")),
]


@pytest.mark.parametrize(("typed", "value"), READ)
def test_typed_form_is_unmarshalled(typed, value):
    before = copy.deepcopy(typed)
    back = unmarshal(typed)
    assert back == value
    assert type(back) is type(value)
    assert unmarshal_item({"a": typed, "b": {"N": "1"}}) == {"a": value, "b": 1}
    assert typed == before


def test_nothing_of_the_argument_is_shared_with_the_result():
    image = {"tags": {"L": [{"M": {"a": {"SS": ["x"]}}}]}}
    item = unmarshal_item(image)
    item["tags"][0]["a"].add("y")
    item["tags"].append(1)
    assert image == {"tags": {"L": [{"M": {"a": {"SS": ["x"]}}}]}}


def test_argument_may_be_read_only():
    assert unmarshal_item(MappingProxyType({"a": MappingProxyType({"L": ({"S": "x"},)})})) == {"a": ["x"]}


def test_streams_image_as_lambda_receives_it():
    image = json.loads(
        '{"id":{"S":"1"},"photo":{"B":"AAECAw=="},"parts":{"BS":["AQ==","Ag=="]},'
        '"meta":{"M":{"raw":{"B":"/w=="},"list":{"L":[{"B":""}]}}},"score":{"N":"3.50"}}'
    )
    assert unmarshal_item(image) == {
        "id": "1",
        "photo": b"\x00\x01\x02\x03",
        "parts": {b"\x01", b"\x02"},
        "meta": {"raw": b"\xff", "list": [b""]},
        "score": 3.5,
    }


@pytest.mark.parametrize(
    "typed",
    [
        5,
        None,
        "S",
        [],
        {},
        {"S": "x", "N": "1"},
        {"X": "x"},
        {"s": "x"},
        {"S": 5},
        {"S": None},
        {"S": b"x"},
        {"N": 5},
        {"N": ""},
        {"N": "five"},
        {"N": "0x5"},
        {"BOOL": "true"},
        {"NULL": None},
        {"B": 5},
        {"B": [1]},
        {"B": "A"},
        {"BS": ["A"]},
        {"SS": "abc"},
        {"SS": 5},
        {"SS": ["a", 1]},
        {"NS": "12"},
        {"NS": [1]},
        {"NS": ["x"]},
        {"BS": b"ab"},
        {"BS": [1]},
        {"L": 5},
        {"L": "abc"},
        {"L": ["abc"]},
        {"L": {"S": "x"}},
        {"M": 5},
        {"M": [1]},
        {"M": {"a": "x"}},
        {"M": {"a": {"L": [{"X": 1}]}}},
        _nested(5000, wrap=lambda inner: {"L": [inner]}, inner={"S": "x"}),
    ],
)
def test_what_is_no_typed_form_is_refused(typed):
    with pytest.raises(ValidationError, match="not an item in DynamoDB's typed form"):
        unmarshal(typed)
    with pytest.raises(ValidationError, match="not an item in DynamoDB's typed form"):
        unmarshal_item({"a": {"S": "x"}, "b": typed})


@pytest.mark.parametrize("typed", [5, None, "abc", [("a", {"S": "x"})]])
def test_what_is_no_item_is_refused(typed):
    with pytest.raises(ValidationError, match="not an item in DynamoDB's typed form"):
        unmarshal_item(typed)


_tags = st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "X"])
_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_tags | st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)


@given(_junk)
def test_reading_anything_gives_a_value_or_our_error(typed):
    try:
        back = unmarshal(typed)
    except ValidationError:
        return
    assert type(back) in {str, int, float, Decimal, bool, type(None), bytes, set, list, dict}


def test_answer_is_converted_in_place():
    answer = {"list": {"L": [{"N": "1"}]}, "map": {"M": {"a": {"S": "x"}}}}
    inner = answer["map"]["M"]
    assert Reader().convert(answer) is answer
    assert answer == {"list": [1], "map": {"a": "x"}}
    assert answer["map"] is inner


@pytest.mark.parametrize("answer", [{"a": "S"}, {"a": 5}, {"a": {"X": 1}}, {"a": {"N": 1}}, {"a": {}}, ["a"], 5])
def test_answer_in_another_form_is_a_value_error(answer):
    with pytest.raises(ValueError, match=r"typed form|not enough values|a map of attributes was expected"):
        Reader().convert(answer)


# --- numbers, both ways


@pytest.mark.parametrize(
    ("text", "back"),
    [("5", 5), ("-5", -5), ("5.0", 5), ("1E+2", 100), ("0.1", Decimal("0.1")), ("-2.50", Decimal("-2.50"))],
)
def test_parse_float_takes_every_fraction_and_no_integer(text, back):
    for typed, unpacked in (
        ({"N": text}, lambda value: value),
        ({"L": [{"N": text}]}, lambda value: value[0]),
        ({"M": {"a": {"N": text}}}, lambda value: value["a"]),
        ({"NS": [text]}, lambda value: next(iter(value))),
    ):
        value = unpacked(unmarshal(typed, parse_float=Decimal))
        assert (type(value), str(value)) == (type(back), str(back))
    assert unmarshal_item({"a": {"N": text}}, parse_float=Decimal) == {"a": back}


def test_parse_float_is_given_the_text():
    assert unmarshal({"N": "1.50"}, parse_float="<{}>".format) == "<1.50>"


def test_numbers_that_differ_only_as_decimals_stay_two():
    # 2 ** -54 exactly, and the shortest text that reads as the same float: equal in Python, not in DynamoDB.
    texts = ["5.5511151231257827021181583404541015625E-17", "5.551115123125783E-17"]
    assert float(texts[0]) == float(texts[1])
    assert unmarshal({"N": texts[0]}) == unmarshal({"N": texts[1]})
    back = unmarshal({"NS": texts})
    assert back == {Decimal(text) for text in texts}
    assert len(back) == 2
    assert sorted(map(Decimal, marshal(back)["NS"])) == sorted(map(Decimal, texts))


def test_reading_and_writing_do_not_depend_on_the_decimal_context():
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 3, 5, -5
        context.traps = dict.fromkeys(context.traps, True)
        assert unmarshal({"N": "123456.5"}) == 123456.5
        assert unmarshal({"N": "1234567890123456789.5"}) == Decimal("1234567890123456789.5")
        assert unmarshal({"N": "9" * 38 + "E+80"}) == (10**38 - 1) * 10**80
        assert marshal(Decimal("1234567890123456789.5")) == {"N": "1234567890123456789.5"}
        assert marshal({Decimal("0.1234567890123456789"), 1}) == {"NS": ["0.1234567890123456789", "1"]}


@given(values.storable)
def test_storable_value_comes_back(value):
    values.assert_back(value, unmarshal(marshal(value)))
    assert json.loads(write_value(value).encode()) == json.loads(write_value(value))


@settings(max_examples=40)
@given(st.dictionaries(values.names, values.storable, max_size=3))
def test_storable_item_comes_back_and_is_not_changed(item):
    before = copy.deepcopy({name: _without_views(value) for name, value in item.items()})
    values.assert_back(item, unmarshal_item(marshal_item(item)))
    values.assert_back(item, Reader().convert(json.loads(write_item(item))))
    assert {name: _without_views(value) for name, value in item.items()} == before


def _without_views(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return list(map(_without_views, value))
    if isinstance(value, dict):
        return {name: _without_views(element) for name, element in value.items()}
    return bytes(value) if isinstance(value, memoryview) else value


@given(values.storable)
def test_parse_float_decimal_reads_no_float(value):
    def numbers(back: Any) -> Any:
        if isinstance(back, (list, set)):
            return [number for element in back for number in numbers(element)]
        return numbers(list(back.values())) if isinstance(back, dict) else [back]

    back = unmarshal(marshal(value), parse_float=Decimal)
    assert float not in {type(number) for number in numbers(back)}
