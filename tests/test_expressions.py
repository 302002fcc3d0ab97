from __future__ import annotations

import base64
import copy
import functools
import json
import operator
import pickle
from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaypie_dynamo._errors import ValidationError
from jaypie_dynamo._expressions import (
    Placeholders,
    compile_condition,
    compile_projection,
    compile_update,
    condition_names,
    path_segments,
    where,
)


def write_value(value, path):
    """The marshaller's part, as small as these tables allow."""
    match value:
        case bool():
            return f'{{"BOOL":{json.dumps(value)}}}'
        case None:
            return '{"NULL":true}'
        case str():
            return f'{{"S":{json.dumps(value)}}}'
        case int() | float() | Decimal():
            return f'{{"N":"{value}"}}'
        case bytes() | bytearray():
            return f'{{"B":"{base64.b64encode(value).decode()}"}}'
        case list() | tuple():
            return f'{{"L":[{",".join([write_value(item, path) for item in value])}]}}'
        case set() | frozenset() if value:
            return f'{{"SS":{json.dumps(sorted(value))}}}'
    message = f"{path}: cannot be stored"
    raise ValidationError(message, path=path)


def compiled(condition):
    placeholders = Placeholders(write_value)
    text = compile_condition(condition, placeholders)
    return text, placeholders.names, placeholders.values


def text_of(condition):
    return compiled(condition)[0]


class Field(str, Enum):
    STATUS = "status"
    DOTTED = "state.count"


a, b, c, d = (where(name).eq(1) for name in "abcd")

# ---------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("status", ("status",)),
        ("a-b c", ("a-b c",)),
        ("#n0", ("#n0",)),
        ("état", ("état",)),
        ("a.b", ("a", "b")),
        ("lines[0]", ("lines", 0)),
        ("lines[0].sku", ("lines", 0, "sku")),
        ("a[0][12].b.c[3]", ("a", 0, 12, "b", "c", 3)),
        ("a[2147483647]", ("a", 2147483647)),
        (("a.b", "c[0]", 0), ("a.b", "c[0]", 0)),
        (["a", 1, "b"], ("a", 1, "b")),
        (("]",), ("]",)),
        (Field.STATUS, ("status",)),
        (Field.DOTTED, ("state", "count")),
        ((Field.DOTTED,), ("state.count",)),
        (".".join("a" * 32), ("a",) * 32),
        ("n" * 65535, ("n" * 65535,)),
        ("é" * 32767, ("é" * 32767,)),
    ],
)
def test_path_is_taken_apart(path, segments):
    assert path_segments(path) == segments
    assert all(type(segment) in (str, int) for segment in path_segments(path))


@pytest.mark.parametrize(
    ("path", "fact", "told_path"),
    [
        ("", "is empty", ""),
        ((), "does not begin with an attribute name", ""),
        (".a", "an empty name", ".a"),
        ("a.", "an empty name", "a."),
        ("a..b", "an empty name", "a..b"),
        ("[0]", "an empty name", "[0]"),
        ("a.[0]", "an empty name", "a.[0]"),
        (("a", ""), "an empty name", "a."),
        ("a[", "a bracket without its other half", "a["),
        ("a]", "a bracket without its other half", "a]"),
        ("a[0", "a bracket without its other half", "a[0"),
        ("a0]", "a bracket without its other half", "a0]"),
        ("a[0]b", "a bracket without its other half", "a[0]b"),
        ("a[]", "no whole number", "a[]"),
        ("a[x]", "no whole number", "a[x]"),
        ("a[-1]", "no whole number", "a[-1]"),
        ("a[01]", "no whole number", "a[01]"),
        ("a[ 1]", "no whole number", "a[ 1]"),
        ("a[1_0]", "no whole number", "a[1_0]"),
        ("a[1.0]", "a bracket without its other half", "a[1.0]"),
        ("a[²]", "no whole number", "a[²]"),
        ("a[٣]", "no whole number", "a[٣]"),
        ("a[[0]]", "no whole number", "a[[0]]"),
        ("a[0]b]", "no whole number", "a[0]b]"),
        ("a[2147483648]", "no whole number", "a[2147483648]"),
        (f"a[{'9' * 5000}]", "no whole number", f"a[{'9' * 5000}]"),
        (("a", -1), "no whole number", "a[-1]"),
        (("a", 2**31), "no whole number", "a[2147483648]"),
        (("a", True), "holds a bool", "a[True]"),
        (("a", 1.0), "holds a float", "a.1.0"),
        (("a", b"b"), "holds a bytes", "a.b'b'"),
        ((0, "a"), "does not begin with an attribute name", "[0].a"),
        (".".join("a" * 33), "has 33 names and indexes", ".".join("a" * 33)),
        (("a", *[0] * 32), "has 33 names and indexes", "a" + "[0]" * 32),
        ("n" * 65536, "a name of 65536 bytes", "n" * 65536),
        (("é" * 32768,), "a name of 65536 bytes", "é" * 32768),
        ("\ud800", "a lone surrogate", "\ud800"),
        (5, "a path is text", None),
        (None, "a path is text", None),
        (b"a", "a path is text", None),
        ({"a"}, "a path is text", None),
    ],
)
def test_bad_path_is_refused_by_name(path, fact, told_path):
    with pytest.raises(ValidationError, match=fact) as refusal:
        where(path)
    assert refusal.value.path == told_path
    assert len(str(refusal.value)) < 300


def test_bad_text_path_tells_how_to_take_it_literally():
    with pytest.raises(ValidationError, match=r"where\(\('a\.b', 'c', 0\)\)"):
        where("a..b")
    with pytest.raises(ValidationError) as refusal:
        where(("a", ""))
    assert "tuple takes" not in str(refusal.value)


@given(st.lists(st.text(min_size=1) | st.integers(0, 2**31 - 1), min_size=1, max_size=32))
def test_any_sequence_of_names_and_indexes_is_kept_as_it_is(segments):
    segments[0] = str(segments[0])
    placeholders = Placeholders(write_value)
    text = compile_condition(where(segments).exists(), placeholders)
    path = text.removeprefix("attribute_exists(").removesuffix(")")
    keys = path.replace("[", ".[").split(".")
    names = placeholders.names
    assert [names.get(key) or int(key.strip("[]")) for key in keys] == segments


# ---------------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("condition", "text", "names", "values"),
    [
        (where("a").eq("x"), "#n0 = :v0", ["a"], ['{"S":"x"}']),
        (where("a").ne("x"), "#n0 <> :v0", ["a"], ['{"S":"x"}']),
        (where("a").lt(1), "#n0 < :v0", ["a"], ['{"N":"1"}']),
        (where("a").le(1), "#n0 <= :v0", ["a"], ['{"N":"1"}']),
        (where("a").gt(1), "#n0 > :v0", ["a"], ['{"N":"1"}']),
        (where("a").ge(1), "#n0 >= :v0", ["a"], ['{"N":"1"}']),
        (where("a") == "x", "#n0 = :v0", ["a"], ['{"S":"x"}']),
        (where("a") != "x", "#n0 <> :v0", ["a"], ['{"S":"x"}']),
        (where("a") < 1, "#n0 < :v0", ["a"], ['{"N":"1"}']),
        (where("a") <= 1, "#n0 <= :v0", ["a"], ['{"N":"1"}']),
        (where("a") > 1, "#n0 > :v0", ["a"], ['{"N":"1"}']),
        (where("a") >= 1, "#n0 >= :v0", ["a"], ['{"N":"1"}']),
        # what Python makes of these on the way: the operator turned round
        (1 < where("a"), "#n0 > :v0", ["a"], ['{"N":"1"}']),  # noqa: SIM300
        (1 >= where("a"), "#n0 <= :v0", ["a"], ['{"N":"1"}']),  # noqa: SIM300
        ("x" == where("a"), "#n0 = :v0", ["a"], ['{"S":"x"}']),  # noqa: SIM300
        (where("a").eq(None), "#n0 = :v0", ["a"], ['{"NULL":true}']),
        (where("a").eq(True), "#n0 = :v0", ["a"], ['{"BOOL":true}']),
        (where("a").eq([1]), "#n0 = :v0", ["a"], ['{"L":[{"N":"1"}]}']),
        (where("a").between(1, 5), "#n0 BETWEEN :v0 AND :v1", ["a"], ['{"N":"1"}', '{"N":"5"}']),
        (
            where("a").between(b"\1", b"\2"),
            "#n0 BETWEEN :v0 AND :v1",
            ["a"],
            ['{"B":"AQ=="}', '{"B":"Ag=="}'],
        ),
        (where("a").between(where("b"), 5), "#n0 BETWEEN #n1 AND :v0", ["a", "b"], ['{"N":"5"}']),
        (where("a").between(5, where("b")), "#n0 BETWEEN :v0 AND #n1", ["a", "b"], ['{"N":"5"}']),
        (where("a").in_([1, "x"]), "#n0 IN (:v0, :v1)", ["a"], ['{"N":"1"}', '{"S":"x"}']),
        (where("a").in_({1}), "#n0 IN (:v0)", ["a"], ['{"N":"1"}']),
        (where("a").in_(x for x in (1, 1)), "#n0 IN (:v0, :v0)", ["a"], ['{"N":"1"}']),
        (where("a").in_((where("b"), 1)), "#n0 IN (#n1, :v0)", ["a", "b"], ['{"N":"1"}']),
        (where("a").exists(), "attribute_exists(#n0)", ["a"], []),
        (where("a").not_exists(), "attribute_not_exists(#n0)", ["a"], []),
        (where("a").begins_with("x"), "begins_with(#n0, :v0)", ["a"], ['{"S":"x"}']),
        (where("a").begins_with(b"x"), "begins_with(#n0, :v0)", ["a"], ['{"B":"eA=="}']),
        (where("a").begins_with(where("b")), "begins_with(#n0, #n1)", ["a", "b"], []),
        (where("a").contains("x"), "contains(#n0, :v0)", ["a"], ['{"S":"x"}']),
        (where("a").contains(where("b")), "contains(#n0, #n1)", ["a", "b"], []),
        (where("a").contains(where("b").size()), "contains(#n0, size(#n1))", ["a", "b"], []),
        (where("a").type_is("SS"), "attribute_type(#n0, :v0)", ["a"], ['{"S":"SS"}']),
        (where("a").size() > 3, "size(#n0) > :v0", ["a"], ['{"N":"3"}']),
        (where("a").size().between(1, 2), "size(#n0) BETWEEN :v0 AND :v1", ["a"], ['{"N":"1"}', '{"N":"2"}']),
        (where("a").size().in_([1]), "size(#n0) IN (:v0)", ["a"], ['{"N":"1"}']),
        (where("a").size() == where("a").size(), "size(#n0) = size(#n0)", ["a"], []),
        (where("a") == where("a").size(), "#n0 = size(#n0)", ["a"], []),
        (where("a").size() == where("a"), "size(#n0) = #n0", ["a"], []),
        (where("a.b") == where(("a.b",)), "#n0.#n1 = #n2", ["a", "b", "a.b"], []),
        (where("a").eq(where("b")), "#n0 = #n1", ["a", "b"], []),
        (where("a") != where("a.b"), "#n0 <> #n0.#n1", ["a", "b"], []),
        (where("a.b[0].a").eq(0), "#n0.#n1[0].#n0 = :v0", ["a", "b"], ['{"N":"0"}']),
        (where(("a.b", 3, "c")).eq(0), "#n0[3].#n1 = :v0", ["a.b", "c"], ['{"N":"0"}']),
    ],
)
def test_leaf(condition, text, names, values):
    assert compiled(condition) == (
        text,
        {f"#n{i}": name for i, name in enumerate(names)},
        {f":v{i}": value for i, value in enumerate(values)},
    )


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (a & b, "a AND b"),
        (a | b, "a OR b"),
        (~a, "NOT a"),
        (~~a, "a"),
        (~~~a, "NOT a"),
        ((a & b) & c, "a AND b AND c"),
        (a & (b & c), "a AND b AND c"),
        ((a & b) & (c & d), "a AND b AND c AND d"),
        (a | (b | c) | d, "a OR b OR c OR d"),
        (a & b | c & d, "a AND b OR c AND d"),
        ((a | b) & (c | d), "(a OR b) AND (c OR d)"),
        (a & (b | c & (a | d)), "a AND (b OR c AND (a OR d))"),
        (~(a & b), "NOT (a AND b)"),
        (~(a | b), "NOT (a OR b)"),
        (~a & ~b | ~c, "NOT a AND NOT b OR NOT c"),
        (~(~(a & b) | c) & d, "NOT (NOT (a AND b) OR c) AND d"),
        (~~(a | b) & c, "(a OR b) AND c"),
        (~(a & b) & (c & d), "NOT (a AND b) AND c AND d"),
    ],
)
def test_tree_has_just_the_parentheses_it_needs(condition, text):
    written, names, _ = compiled(condition)
    for key, name in names.items():
        written = written.replace(f"{key} = :v0", name)
    assert written == text


def test_joining_leaves_its_parts_alone():
    first, second = a & b, c | d
    joined = first & second & first
    assert text_of(first) == "#n0 = :v0 AND #n1 = :v0"
    assert text_of(second) == "#n0 = :v0 OR #n1 = :v0"
    assert text_of(joined).count("AND") == 4


def test_the_example_of_the_docstring():
    condition = where("status").eq("open") & (where("score") > 3) | ~where("tags").contains("x")
    assert compiled(condition) == (
        "#n0 = :v0 AND #n1 > :v1 OR NOT contains(#n2, :v2)",
        {"#n0": "status", "#n1": "score", "#n2": "tags"},
        {":v0": '{"S":"open"}', ":v1": '{"N":"3"}', ":v2": '{"S":"x"}'},
    )


@pytest.mark.parametrize("text", ["a = :v0 OR b", "#n0", ":v0", "') OR (x", '"', "\\", "\n", "%s", "{0}", "a\0b", "é"])
def test_names_and_values_never_reach_the_text(text):
    condition = where((text, text)).eq(text) & where((text,)).in_([text, [text]]) | where((text,)).exists()
    assert compiled(condition) == (
        "#n0.#n0 = :v0 AND #n0 IN (:v0, :v1) OR attribute_exists(#n0)",
        {"#n0": text},
        {":v0": write_value(text, ""), ":v1": write_value([text], "")},
    )


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ([1, True, 1.0, "1", b"1", None, [1]], 7),
        ([1, Decimal(1)], 1),
        ([1.0, Decimal("1.0")], 1),
        ([1, Decimal("1.0"), Decimal("1.00")], 3),
        (["x", "x"], 1),
        (["a", ["a"], ("a",), {"a"}], 3),
        ([False, 0, 0.0, ""], 4),
    ],
)
def test_values_are_shared_exactly_when_they_are_written_alike(values, keys):
    placeholders = Placeholders(write_value)
    assert len({placeholders.value(value, "p") for value in values}) == keys
    assert sorted(placeholders.values) == [f":v{i}" for i in range(keys)]
    assert set(placeholders.values.values()) == {write_value(value, "") for value in values}


def test_one_request_numbers_all_its_expressions_together():
    placeholders = Placeholders(write_value)
    assert placeholders.name("indexScope") == "#n0"
    assert placeholders.written('{"S":"@#m"}') == ":v0"
    assert compile_condition(where("a").eq("@#m"), placeholders) == "#n1 = :v0"
    assert compile_projection(["a", "b"], placeholders) == ("#n1, #n2", ())
    assert compile_update(placeholders, set={"b": 1}) == "SET #n2 = :v1"
    assert placeholders.names == {"#n0": "indexScope", "#n1": "a", "#n2": "b"}
    assert placeholders.values == {":v0": '{"S":"@#m"}', ":v1": '{"N":"1"}'}


def test_values_are_written_for_the_path_they_stand_at():
    asked = []

    def recording(value, path):
        asked.append((value, path))
        return write_value(value, path)

    placeholders = Placeholders(recording)
    compile_condition(where("a.b[0]").in_([1, 2]) & where(("x.y", "z")).size().eq(3), placeholders)
    compile_update(placeholders, set={"c.d": 4}, add={"e": 5}, append={"f[1]": [6]})
    assert asked == [
        (1, "a.b[0]"),
        (2, "a.b[0]"),
        (3, "x.y.z"),
        (4, "c.d"),
        (5, "e"),
        ([6], "f[1]"),
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda value, p: compile_condition(where("a.b").eq(value), p),
        lambda value, p: compile_update(p, set={"a.b": value}),
        lambda value, p: compile_update(p, add={"a.b": value}),
        lambda value, p: compile_update(p, append={"a.b": value}),
    ],
)
@pytest.mark.parametrize("value", [object(), set(), where("x").eq(1)])
def test_what_cannot_be_stored_is_the_writers_to_refuse(write, value):
    with pytest.raises(ValidationError, match=r"a\.b: cannot be stored"):
        write(value, Placeholders(write_value))


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (where("a").exists(), {"a"}),
        (where("a.b[0]").eq(where("c.d")), {"a", "c"}),
        (where(("a.b", "c")).eq(1), {"a.b"}),
        (~(a & (b | ~where("c").size().between(where("d").size(), 5))), {"a", "b", "c", "d"}),
        (where("a").in_(["b", where("c")]), {"a", "c"}),
    ],
)
def test_condition_names(condition, names):
    assert condition_names(condition) == names


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda: where("p").in_([]), "in_ of no values"),
        (lambda: where("p").in_(range(101)), "100 values at most"),
        (lambda: where("p").in_(iter(int, 1)), "100 values at most"),
        (lambda: where("p").in_("text"), "not str"),
        (lambda: where("p").in_(b"text"), "not bytes"),
        (lambda: where("p").in_(bytearray(b"text")), "not bytearray"),
        (lambda: where("p").in_(memoryview(b"text")), "not memoryview"),
        (lambda: where("p").in_({"a": 1}), "not dict"),
        (lambda: where("p").in_(5), "not int"),
        (lambda: where("p").in_(None), "not NoneType"),
        (lambda: where("p").in_(where("q")), "not Operand"),
        (lambda: where("p").between(2, 1), "lower value first"),
        (lambda: where("p").between("b", "a"), "lower value first"),
        (lambda: where("p").between(b"b", b"a"), "lower value first"),
        (lambda: where("p").between(0.2, 0.1), "lower value first"),
        (lambda: where("p").size().between(2, 1), "lower value first"),
        (lambda: where("p").type_is("str"), "'str' is no type of DynamoDB's: S, N, "),
        (lambda: where("p").type_is(str), "<class 'str'> is no type"),
        (lambda: where("p").type_is(where("q")), "is no type"),
        (lambda: where("p").begins_with(where("q").size()), "begins_with.* takes no size"),
        (lambda: where("p") == where("p"), "compared with itself"),
        (lambda: where(["p", 0]) == where("p[0]"), "compared with itself"),
        (lambda: where("p").in_([1, where(("p",))]), "compared with itself"),
        (lambda: where("p").contains(where("p")), "compared with itself"),
        (lambda: where("p").between(1, where("p")), "compared with itself"),
    ],
)
def test_bad_condition_is_refused_where_it_is_made(make, fact):
    with pytest.raises(ValidationError, match=fact) as refusal:
        make()
    assert refusal.value.path in ("p", "p[0]")


@pytest.mark.parametrize("value", [True, None, [1], {"x"}])
@pytest.mark.parametrize("method", ["lt", "le", "gt", "ge", "begins_with"])
def test_value_of_a_type_the_operator_does_not_take_is_refused(method, value):
    condition = getattr(where("p.q"), method)(value)
    with pytest.raises(ValidationError, match=r"^p\.q: .*….* takes a value of type S or .*, not ") as refusal:
        compiled(condition)
    assert refusal.value.path == "p.q"


@pytest.mark.parametrize(
    ("condition", "fact"),
    [
        (where("p").begins_with(5), "begins_with.*S or B, not N"),
        (where("p").between(True, True), "S or N or B, not BOOL"),
        (where("p").between(False, 5), "S or N or B, not BOOL"),
        (where("p").between(where("q"), None), "S or N or B, not NULL"),
        (where("p").between(1, "2"), "one type, not N and S"),
        (where("p").between(b"1", "2"), "one type, not B and S"),
        (where("p").between(Decimal(2), 1), "lower value first"),
        (where("p").between(2, 1.5), "lower value first"),
        (where("p").between(Decimal("1.00000000000000000001"), 1), "lower value first"),
        (where("p").between(Decimal("1E+2"), Decimal(99)), "lower value first"),
        (where("p").between(bytearray(b"b"), b"a"), "lower value first"),
        (where("p").between(Field.STATUS, "a"), "lower value first"),
        (where("p").between("\U00010000", Field.STATUS), "lower value first"),
    ],
)
def test_bad_values_are_refused_when_they_are_written(condition, fact):
    with pytest.raises(ValidationError, match=fact) as refusal:
        compiled(condition)
    assert refusal.value.path == "p"


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1, 1),
        (0.1, Decimal("0.1")),  # in Python the float is greater
        (Decimal("0.1"), 0.1),
        (1e23, 10**23),  # in Python the float is less, on the wire they are equal
        (10**23, 1e23),
        (1, Decimal("1.0")),
        ("", "a"),
        ("￿", "\U00010000"),  # by UTF-16, as JavaScript and Java sort, these were the other way round
        (Field.STATUS, "stb"),
        ('"', "\\"),
        (b"\x7f", b"\x80"),
        (bytearray(b"a"), b"ab"),
        (bytearray(b"\0"), b"\xff"),  # in base64 it is the other way round: AA==, /w==
    ],
)
def test_between_in_order_by_what_is_sent(low, high):
    assert text_of(where("p").between(low, high)).startswith("#n0 BETWEEN :v0 AND :v")


def test_refusals_name_the_place_and_not_the_value():
    with pytest.raises(ValidationError) as refusal:
        where("p").between("secret-b", "secret-a")
    assert "secret" not in str(refusal.value)
    with pytest.raises(ValidationError) as refusal:
        compiled(where("p").lt(["secret"]))
    assert "secret" not in str(refusal.value)


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("connective", [operator.and_, operator.or_])
@pytest.mark.parametrize(
    "leaf",
    [
        where("a").eq(1),
        where("a").exists(),
        where("a").contains("x"),
        where("a").type_is("S"),
        where("a").between(1, 2),
        where("a").in_([1, 2, 3]),
    ],
)
def test_300_operators_and_no_more(leaf, connective):
    largest = functools.reduce(connective, [leaf] * 149 + [~leaf])
    for make in (lambda: connective(largest, leaf), lambda: connective(leaf, largest), lambda: ~largest):
        with pytest.raises(ValidationError, match=r"a condition of 30[12] operators: DynamoDB takes 300"):
            make()


@pytest.mark.parametrize(
    ("leaf", "operators"),
    [
        (where("a").size().eq(1), 2),
        (where("a").eq(where("b").size()), 2),
        (where("a").size().eq(where("b").size()), 3),
        (where("a").in_([where("b").size(), 1, where("c").size()]), 3),
        (where("a").size().between(where("b").size(), where("c").size()), 4),
    ],
)
def test_each_size_is_an_operator(leaf, operators):
    fitting = 301 // (operators + 1)
    largest = functools.reduce(operator.or_, [leaf] * fitting)
    with pytest.raises(ValidationError, match="operators"):
        largest | leaf


def test_deepest_tree():
    condition = where("a").exists()
    for _ in range(99):
        condition = ~(condition & where("a").exists())
    assert text_of(condition).count("NOT (") == 99
    assert repr(condition).count("NOT (") == 99
    assert condition_names(condition) == {"a"}


def test_condition_of_4096_bytes_and_no_more():
    long_leaf = where(("a", *[0] * 31)).exists()
    rest = [where(("a", *[0] * 20, last)).exists() for last in (0, 10)]
    fitting, too_long = (functools.reduce(operator.or_, [long_leaf] * 34 + [leaf]) for leaf in rest)
    assert len(text_of(fitting)) == 4096
    with pytest.raises(ValidationError, match=r"a condition of 4097 bytes .* DynamoDB takes 4096"):
        text_of(too_long)


def test_projection_and_update_of_4096_bytes_and_no_more():
    paths = [f"a{i}" for i in range(602)]
    assert len(compile_projection(paths[:601], Placeholders(write_value))[0]) == 4095
    with pytest.raises(ValidationError, match="a projection of 4102 bytes"):
        compile_projection(paths, Placeholders(write_value))
    assert len(compile_update(Placeholders(write_value), remove=paths[:600])) == 4095
    with pytest.raises(ValidationError, match="an update of 4102 bytes"):
        compile_update(Placeholders(write_value), remove=paths[:601])


# ---------------------------------------------------------------------- as objects


@pytest.mark.parametrize(
    "use",
    [
        lambda: bool(a),
        lambda: a and b,
        lambda: a or b,
        lambda: not a,
        lambda: 1 < where("x") < 5,
        lambda: [x for x in (a, b) if x],
    ],
)
def test_a_condition_has_no_truth_value(use):
    with pytest.raises(TypeError, match=r"join conditions with &, \| and ~, each in parentheses"):
        use()


@pytest.mark.parametrize(
    "use",
    [
        lambda: a & 1,
        lambda: a | None,
        lambda: 1 & a,
        lambda: True | a,
        lambda: a & where("x"),
        lambda: where("x") & a,
        lambda: where("x") | True,
        lambda: ~where("x"),
        lambda: ~where("x").size(),
        lambda: where("x") == 1 & where("y") == 2,
        lambda: where("x") > 1 | a,
    ],
)
def test_joining_what_is_no_condition_tells_of_parentheses(use):
    with pytest.raises(TypeError, match=r"put each comparison in parentheses, \(where\('a'\) == 1\) & "):
        use()


@pytest.mark.parametrize(
    ("use", "fact"),
    [
        (lambda: bool(where("x")), r"where\('x'\) alone is no condition"),
        (lambda: where("x") and a, r"where\('x'\) alone is no condition"),
        (lambda: "y" in where("x"), r"use where\('x'\).contains"),
        (lambda: list(where("x")), "not iterable"),
        (lambda: where("x")["y"], "not subscriptable"),
        (lambda: {where("x"): 1}, "unhashable"),
    ],
)
def test_an_operand_does_not_act_as_a_value(use, fact):
    with pytest.raises(TypeError, match=fact):
        use()


def test_a_size_only_compares():
    methods = {name for name in dir(where("a").size()) if not name.startswith("_")}
    assert methods == {"eq", "ne", "lt", "le", "gt", "ge", "between", "in_"}


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: where("a.b[0]"), "<Operand a.b[0]>"),
        (lambda: where("a").size(), "<Size size(a)>"),
        (
            lambda: (where("a") == "secret") & ~(where("b.c").in_([1, None]) | where("d").size().lt(where("e"))),
            "<Condition a = <str> AND NOT (b.c IN (<int>, <NoneType>) OR size(d) < e)>",
        ),
    ],
)
def test_repr_shows_names_and_no_values(make, shown):
    assert repr(make()) == shown


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_conditions_can_be_copied_and_sent_elsewhere(duplicate):
    condition = ~(a & b) | where("c.d").size().between(1, 2) & c
    assert compiled(duplicate(condition)) == compiled(condition)
    assert text_of(~duplicate(~(a & b))) == text_of(a & b)
    assert text_of(duplicate(a & b) & c) == text_of(a & b & c)


@pytest.mark.parametrize("make", [lambda: "a = 1", lambda: None, lambda: where("a"), lambda: {"a": 1}, lambda: True])
@pytest.mark.parametrize("use", [condition_names, compiled])
def test_what_is_no_condition_is_refused(use, make):
    with pytest.raises(ValidationError, match=r'made as in where\("status"\).eq\("open"\), not of '):
        use(make())


# ---------------------------------------------------------------------- updates


@pytest.mark.parametrize(
    ("changes", "text", "names", "values"),
    [
        ({"set": {"a": 1}}, "SET #n0 = :v0", "a", ['{"N":"1"}']),
        ({"set": {"a": None}}, "SET #n0 = :v0", "a", ['{"NULL":true}']),
        ({"set": {"b": 1, "a": 1}}, "SET #n0 = :v0, #n1 = :v0", "ba", ['{"N":"1"}']),
        ({"set": {"a.b[1]": 1}}, "SET #n0.#n1[1] = :v0", "ab", ['{"N":"1"}']),
        ({"set": {("a.b",): 1}}, "SET #n0 = :v0", ["a.b"], ['{"N":"1"}']),
        ({"remove": ["a", "b[0]"]}, "REMOVE #n0, #n1[0]", "ab", []),
        ({"remove": (("a.b",), "c")}, "REMOVE #n0, #n1", ["a.b", "c"], []),
        ({"remove": {"a"}}, "REMOVE #n0", "a", []),
        ({"add": {"a": 1}}, "ADD #n0 :v0", "a", ['{"N":"1"}']),
        ({"add": {"a": {"x"}, "b": -1}}, "ADD #n0 :v0, #n1 :v1", "ab", ['{"SS":["x"]}', '{"N":"-1"}']),
        ({"add": {"a.b": {"x"}}}, "ADD #n0.#n1 :v0", "ab", ['{"SS":["x"]}']),
        (
            {"add": {"a.b": 1, "c[0]": 0}},
            "SET #n0.#n1 = if_not_exists(#n0.#n1, :v1) + :v0, #n2[0] = if_not_exists(#n2[0], :v1) + :v1",
            "abc",
            ['{"N":"1"}', '{"N":"0"}'],
        ),
        (
            {"append": {"a": [1], "b.c": (2,)}},
            (
                "SET #n0 = list_append(if_not_exists(#n0, :v0), :v1), "
                "#n1.#n2 = list_append(if_not_exists(#n1.#n2, :v0), :v2)"
            ),
            "abc",
            ['{"L":[]}', '{"L":[{"N":"1"}]}', '{"L":[{"N":"2"}]}'],
        ),
        ({"append": {"a": []}}, "SET #n0 = list_append(if_not_exists(#n0, :v0), :v0)", "a", ['{"L":[]}']),
        (
            {"append": {"d": [1]}, "add": {"c": 1}, "remove": ["b"], "set": {"a": 1}},
            "SET #n0 = :v0, #n3 = list_append(if_not_exists(#n3, :v1), :v2) REMOVE #n1 ADD #n2 :v0",
            "abcd",
            ['{"N":"1"}', '{"L":[]}', '{"L":[{"N":"1"}]}'],
        ),
        ({"set": {"a[0]": 1, "a[1]": 1, "b.c": 1, "b.d": 1}}, None, "abcd", ['{"N":"1"}']),
    ],
)
def test_update(changes, text, names, values):
    placeholders = Placeholders(write_value)
    written = compile_update(placeholders, **changes)
    assert text is None or written == text
    assert placeholders.names == {f"#n{i}": name for i, name in enumerate(names)}
    assert placeholders.values == {f":v{i}": value for i, value in enumerate(values)}


OVERLAPPING = [
    ("a", "a"),
    ("a", ("a",)),
    ("a", "a.b"),
    ("a.b", "a"),
    ("a", "a[0]"),
    ("a[0]", "a"),
    ("a.b.c[1].d", "a.b"),
    ("a.b", "a.b.c[1].d"),
    ("a.b", "a[0]"),
    ("a[0]", "a.b"),
    ("a[0].b", "a.b"),
    ("a.b.c", "a.b[0].c"),
    ("a.b[0].c", "a.b.c"),
]


@pytest.mark.parametrize(("first", "second"), OVERLAPPING)
@pytest.mark.parametrize("kinds", [("set", "remove"), ("set", "add"), ("remove", "append"), ("add", "append")])
def test_overlapping_paths_of_an_update_are_refused_by_name(first, second, kinds):
    value = {"set": 1, "add": 1, "append": [1]}
    changes = {
        kind: [path] if kind == "remove" else {path: value[kind]}
        for kind, path in zip(kinds, (first, second), strict=True)
    }
    first, second = ("".join(path) for path in (first, second))
    with pytest.raises(ValidationError) as refusal:
        compile_update(Placeholders(write_value), **changes)
    assert f"an update cannot take both {first!r} and {second!r}" in str(refusal.value)
    assert refusal.value.path == second


@pytest.mark.parametrize(
    ("changes", "fact", "path"),
    [
        ({}, "changes nothing", None),
        ({"set": {}, "remove": [], "add": None}, "changes nothing", None),
        ({"set": ["a"]}, "set takes a dict of paths and values, not list", None),
        ({"add": 5}, "add takes a dict", None),
        ({"append": "a"}, "append takes a dict", None),
        ({"remove": "name"}, "remove takes a list of paths, not str", None),
        ({"remove": b"name"}, "remove takes a list of paths, not bytes", None),
        ({"remove": None}, "remove takes a list of paths, not NoneType", None),
        ({"remove": ["a", "a"]}, "cannot take both", "a"),
        ({"set": {"": 1}}, "is empty", ""),
        ({"remove": [5]}, "a path is text", None),
        ({"add": {"a.b": "1"}}, "add takes a value of type N or SS or NS or BS, not S", "a.b"),
        ({"add": {"a": True}}, "not BOOL", "a"),
        ({"add": {"a": [1]}}, "not L", "a"),
        ({"add": {"a": None}}, "not NULL", "a"),
        ({"add": {"a": set()}}, "cannot be stored", "a"),
        ({"append": {"a": "x"}}, "append takes a value of type L, not S", "a"),
        ({"append": {"a": {"x"}}}, "not SS", "a"),
        ({"append": {"a": 1}}, "not N", "a"),
    ],
)
def test_bad_update_is_refused(changes, fact, path):
    with pytest.raises(ValidationError, match=fact) as refusal:
        compile_update(Placeholders(write_value), **changes)
    assert refusal.value.path == path


def test_update_leaves_its_arguments_alone():
    changes = {"set": {"a": {"x"}}, "remove": ["b"], "add": {"c": 1}, "append": {"d": [1, [2]]}}
    before = copy.deepcopy(changes)
    compile_update(Placeholders(write_value), **changes)
    assert changes == before


# ---------------------------------------------------------------------- projections


@pytest.mark.parametrize(
    ("paths", "required", "text", "names", "added"),
    [
        (["a"], (), "#n0", "a", ()),
        (["b", "a"], (), "#n0, #n1", "ba", ()),
        (["a.b", "a.c[0]", "a.c[1]"], (), "#n0.#n1, #n0.#n2[0], #n0.#n2[1]", "abc", ()),
        ([("a.b",), "c"], (), "#n0, #n1", ["a.b", "c"], ()),
        ({"a": 1}.keys(), (), "#n0", "a", ()),
        (["a"], ("a",), "#n0", "a", ()),
        (["a"], ("b", "a", "c", "b"), "#n0, #n1, #n2", "abc", ("b", "c")),
        (["a.x", "b", "a.y"], ("a", "b"), "#n0, #n1", "ba", ("a",)),
        (["a.x"], iter("ab"), "#n0, #n1", "ab", ("a", "b")),
    ],
)
def test_projection(paths, required, text, names, added):
    placeholders = Placeholders(write_value)
    assert compile_projection(paths, placeholders, required=required) == (text, added)
    assert placeholders.names == {f"#n{i}": name for i, name in enumerate(names)}
    assert placeholders.values == {}


@pytest.mark.parametrize(("first", "second"), OVERLAPPING)
def test_overlapping_paths_of_a_projection_are_refused_by_name(first, second):
    with pytest.raises(ValidationError, match="attributes cannot take both") as refusal:
        compile_projection(["z", first, second], Placeholders(write_value), required=("a",))
    assert refusal.value.path == "".join(second)


@pytest.mark.parametrize(
    ("paths", "fact"),
    [
        ([], "attributes is empty"),
        ("name", "attributes takes a list of paths, not str"),
        (None, "not NoneType"),
        (["a", ""], "is empty"),
        ([None], "a path is text"),
    ],
)
def test_bad_projection_is_refused(paths, fact):
    with pytest.raises(ValidationError, match=fact):
        compile_projection(paths, Placeholders(write_value))
