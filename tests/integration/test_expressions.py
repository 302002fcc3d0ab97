"""What DynamoDB itself makes of the expressions; trusts AWS's DynamoDB Local alone.

Moto would not do: it takes 301 operators, any size of text, bounds and paths that contradict each other. The
predicate that says which items a condition is true of is written against the developer guide, on typed
values, and shares nothing with the compiler.
"""

from __future__ import annotations

import base64
import json
import random
import re
import uuid
from decimal import Decimal

import botocore.session
import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from jaypie_dynamo._errors import ValidationError
from jaypie_dynamo._expressions import (
    MAX_LIST_INDEX,
    MAX_NAME_BYTES,
    Placeholders,
    compile_condition,
    compile_projection,
    compile_update,
    where,
)

serialize = TypeSerializer().serialize


def base64_text(value):
    return base64.b64encode(value).decode()


class Table:
    """One table of DynamoDB Local, asked with botocore's own client."""

    def __init__(self, client):
        self.client = client
        self.name = f"expressions-{uuid.uuid4()}"
        self.typed = {}
        client.create_table(
            TableName=self.name,
            KeySchema=[
                {"AttributeName": "model", "KeyType": "HASH"},
                {"AttributeName": "id", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("model", "id")],
            BillingMode="PAY_PER_REQUEST",
        )

    def placeholders(self):
        return Placeholders(self.write_value)

    def write_value(self, value, _path):
        typed = serialize(value)
        text = json.dumps(typed, separators=(",", ":"), default=base64_text)
        self.typed[text] = typed
        return text

    def parameters(self, placeholders):
        values = {key: self.typed.get(text) or json.loads(text) for key, text in placeholders.values.items()}
        given = {"ExpressionAttributeNames": placeholders.names, "ExpressionAttributeValues": values}
        return {name: content for name, content in given.items() if content}

    def put(self, model, id, attributes):
        item = {name: serialize(value) for name, value in {"model": model, "id": id, **attributes}.items()}
        self.client.put_item(TableName=self.name, Item=item)
        return item

    def get(self, model, id, text, placeholders):
        answer = self.client.get_item(
            TableName=self.name,
            Key=key(model, id),
            ProjectionExpression=text,
            **self.parameters(placeholders),
        )
        return answer.get("Item")

    def select(self, model, condition):
        """Return the ids of the items a condition is true of."""
        placeholders = self.placeholders()
        model_key, model_value = placeholders.name("model"), placeholders.value(model, "model")
        answer = self.client.query(
            TableName=self.name,
            KeyConditionExpression=f"{model_key} = {model_value}",
            FilterExpression=compile_condition(condition, placeholders),
            **self.parameters(placeholders),
        )
        assert "LastEvaluatedKey" not in answer
        return [item["id"]["S"] for item in answer["Items"]]

    def update(self, model, id, **changes):
        placeholders = self.placeholders()
        answer = self.client.update_item(
            TableName=self.name,
            Key=key(model, id),
            UpdateExpression=compile_update(placeholders, **changes),
            ReturnValues="ALL_NEW",
            **self.parameters(placeholders),
        )
        return answer["Attributes"]

    def refusal(self, **parameters):
        """Return what DynamoDB says against a raw expression, or None."""
        operation = {"F": self.client.scan, "P": self.client.get_item, "U": self.client.update_item}
        [expression] = [name for name in parameters if name.endswith("Expression")]
        if expression[0] != "F":
            parameters["Key"] = key("nothing", "here")
        try:
            operation[expression[0]](TableName=self.name, **parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            return error.response["Error"]["Message"]
        return None


def key(model, id):
    return {"model": {"S": model}, "id": {"S": id}}


@pytest.fixture(scope="module")
def table(dynamodb_local_endpoint):
    client = botocore.session.Session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=dynamodb_local_endpoint,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    table = Table(client)
    yield table
    client.delete_table(TableName=table.name)
    client.close()


# ---------------------------------------------------------------------- which items a condition is true of

TEXTS = ["", "a", "ab", "abc", "b", "ba"]
NUMBERS = [0, 1, 2, 3, -1, Decimal("1.5"), Decimal("0.1"), 10**30]
BYTES = [b"", b"a", b"ab", b"b\xff"]
SCALARS = [*TEXTS, *NUMBERS, *BYTES, True, False, None]
SETS = [{"a"}, {"a", "ab"}, {1}, {1, 2, Decimal("1.5")}, {b"a", b"ab"}]
NESTED = [[], ["a", 1], [["a"]], {}, {"x": 1}, {"x": "ab", "y": {"x": 1}}]
VALUES = [*SCALARS, *SETS, *NESTED]
# The order of text is that of UTF-8: by UTF-16 the last two were the other way round.
UNICODE = ["é", "éa", "e", "￿", "\U00010000"]

PATHS = {
    "a": ("a",),
    "b": ("b",),
    "c": ("c",),
    ("d.t",): ("d.t",),
    "u": ("u",),
    "m": ("m",),
    "m.x": ("m", "x"),
    "m.y": ("m", "y"),
    "m.y.x": ("m", "y", "x"),
    "l": ("l",),
    "l[0]": ("l", 0),
    "l[1]": ("l", 1),
    "l[0].x": ("l", 0, "x"),
    "l[0][0]": ("l", 0, 0),
    "never": ("never",),
}


def random_item(pick):
    """An item with whatever attributes the paths above are about, or without them."""
    attributes = {name: pick.choice(VALUES) for name in ("a", "b", "c", "d.t")}
    attributes["u"] = pick.choice(UNICODE)
    attributes["m"] = pick.choice([pick.choice(VALUES), {name: pick.choice(VALUES) for name in "xy"}])
    attributes["l"] = pick.choice([pick.choice(VALUES), [pick.choice(VALUES) for _ in range(pick.randrange(3))]])
    return {name: value for name, value in attributes.items() if pick.random() < 0.75}


@pytest.fixture(scope="module")
def population(table):
    pick = random.Random(4)
    return [table.put("population", f"{number:02}", random_item(pick)) for number in range(40)]


def plain(typed):
    """Return a typed value in a form that Python compares as DynamoDB does: type first, numbers by value."""
    [(type_, value)] = typed.items()
    match type_:
        case "N":
            return type_, Decimal(value)
        case "NS":
            return type_, frozenset(Decimal(member) for member in value)
        case "SS" | "BS":
            return type_, frozenset(value)
        case "L":
            return type_, [plain(member) for member in value]
        case "M":
            return type_, {name: plain(member) for name, member in value.items()}
    return type_, value


def look_up(item, operand):
    """Return what an operand stands for in an item as (type, value), or None for nothing."""
    kind, what = operand
    if kind == "value":
        return plain(serialize(what))
    found = ("M", {name: plain(typed) for name, typed in item.items()})
    for segment in PATHS[what]:
        children = dict(enumerate(found[1])) if found[0] == "L" else found[1] if found[0] == "M" else {}
        if segment not in children:
            return None
        found = children[segment]
    if kind == "path":
        return found
    return ("N", Decimal(len(found[1]))) if found[0] not in ("N", "BOOL", "NULL") else None


def is_equal(x, y):
    return x is not None and x == y


def is_ordered(x, y, strictly):
    if x is None or y is None or x[0] != y[0] or x[0] not in ("S", "N", "B"):
        return False
    low, high = (value.encode() if isinstance(value, str) else value for value in (x[1], y[1]))
    return low < high or (low == high and not strictly)


def is_begun(x, y):
    return x is not None and y is not None and x[0] == y[0] and x[0] in ("S", "B") and x[1].startswith(y[1])


def is_member(x, y):
    if x is None or y is None:
        return False
    match x[0], y[0]:
        case ("S", "S") | ("B", "B") | ("SS", "S") | ("NS", "N") | ("BS", "B"):
            return y[1] in x[1]
        case ("L", _):
            return y in x[1]
    return False


# method → is it true of what the operands stand for?
PREDICATES = {
    "eq": is_equal,
    "ne": lambda x, y: not is_equal(x, y),
    "lt": lambda x, y: is_ordered(x, y, True),
    "le": lambda x, y: is_ordered(x, y, False),
    "gt": lambda x, y: is_ordered(y, x, True),
    "ge": lambda x, y: is_ordered(y, x, False),
    "between": lambda x, low, high: is_ordered(low, x, False) and is_ordered(x, high, False),
    "in_": lambda x, *members: any(is_equal(x, member) for member in members),
    "exists": lambda x: x is not None,
    "not_exists": lambda x: x is None,
    "begins_with": is_begun,
    "contains": is_member,
    "type_is": lambda x, type_: x is not None and x[0] == type_[1],
}


def is_true(specification, item):
    match specification:
        case "and", left, right:
            return is_true(left, item) and is_true(right, item)
        case "or", left, right:
            return is_true(left, item) or is_true(right, item)
        case "not", inner:
            return not is_true(inner, item)
    method, *operands = specification
    return PREDICATES[method](*[look_up(item, operand) for operand in operands])


def build(specification):
    match specification:
        case "and", left, right:
            return build(left) & build(right)
        case "or", left, right:
            return build(left) | build(right)
        case "not", inner:
            return ~build(inner)
    method, first, *others = specification
    arguments = [build_operand(operand) for operand in others]
    return getattr(build_operand(first), method)(*([arguments] if method == "in_" else arguments))


def build_operand(operand):
    kind, what = operand
    if kind == "value":
        return what
    return where(what) if kind == "path" else where(what).size()


def values(pool):
    return st.sampled_from(pool).map(lambda value: ("value", value))


# What DynamoDB takes for the length of text outside ASCII is not written down: no sizes of "u".
paths = st.sampled_from(list(PATHS)).map(lambda path: ("path", path))
sizes = st.sampled_from([path for path in PATHS if path != "u"]).map(lambda path: ("size", path))
any_value = values(VALUES) | values(TEXTS + NUMBERS)
ordered_value = values(TEXTS) | values(NUMBERS) | values(BYTES)
pairs = [st.lists(st.sampled_from(pool), min_size=2, max_size=2).map(sorted) for pool in (TEXTS, NUMBERS, BYTES)]
bounds = st.one_of(pairs).map(lambda pair: tuple(("value", value) for value in pair))
loose_bounds = st.tuples(paths | sizes | ordered_value, paths | sizes)


def leaves(first):
    compared = st.tuples(st.sampled_from(["eq", "ne"]), first, any_value | paths | sizes)
    ordered = st.tuples(st.sampled_from(["lt", "le", "gt", "ge"]), first, ordered_value | paths | sizes)
    between = st.tuples(st.just("between"), first, bounds | loose_bounds).map(lambda x: (*x[:2], *x[2]))
    members = st.lists(any_value | paths | sizes, min_size=1, max_size=5)
    within = st.tuples(st.just("in_"), first, members).map(lambda x: (*x[:2], *x[2]))
    return compared | ordered | between | within


types = values(["S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"])
in_unicode = st.tuples(
    st.sampled_from(["lt", "le", "gt", "ge", "eq", "ne", "begins_with", "contains"]),
    st.just(("path", "u")),
    values(UNICODE),
)
leaf = (
    leaves(paths)
    | leaves(sizes)
    | st.tuples(st.sampled_from(["exists", "not_exists"]), paths)
    | st.tuples(st.just("type_is"), paths, types)
    | st.tuples(st.just("begins_with"), paths, values(TEXTS) | values(BYTES) | paths)
    | st.tuples(st.just("contains"), paths, any_value | paths | sizes)
    | in_unicode
).filter(lambda specification: specification[1][0] == "size" or specification[1] not in specification[2:])
tree = st.recursive(
    leaf,
    lambda part: st.tuples(st.sampled_from(["and", "or"]), part, part) | st.tuples(st.just("not"), part),
    max_leaves=12,
)


@pytest.mark.parametrize("specifications", [leaf, tree], ids=["leaf", "tree"])
def test_a_condition_selects_the_items_it_is_true_of(table, population, specifications):
    selected = set()

    @settings(max_examples=350, deadline=None, database=None)
    @given(specifications)
    def check(specification):
        expected = [item["id"]["S"] for item in population if is_true(specification, item)]
        assert table.select("population", build(specification)) == expected
        selected.add(len(expected))

    check()
    # Conditions that are true of none or of all items would prove little.
    assert len(selected) > 12


# ---------------------------------------------------------------------- names and values


names = st.text(min_size=1, max_size=8).filter(lambda name: name not in ("model", "id"))


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(names, min_size=2, max_size=4, unique=True), st.text())
def test_any_text_serves_as_name_and_value(table, names, value):
    outer, inner, *others = names
    item = table.put("text", "1", {outer: {inner: [value]}, **dict.fromkeys(others, value)})
    condition = where((outer, inner, 0)).eq(value)
    for name in others:
        condition &= where((name,)).eq(value) & where((outer,)).ne(where((name,)))
    assert table.select("text", condition) == ["1"]
    assert table.select("text", ~condition) == []
    placeholders = table.placeholders()
    text, added = compile_projection([(outer, inner)], placeholders, required=("id",))
    assert table.get("text", "1", text, placeholders) == {outer: item[outer], "id": {"S": "1"}}
    assert added == ("id",)
    assert table.update("text", "1", set={(outer, inner, 0): 1}, remove=[(name,) for name in others]) == {
        **key("text", "1"),
        outer: serialize({inner: [1]}),
    }


# ---------------------------------------------------------------------- updates


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({}, {"set": {"a": 1, "m": {"x": []}}}, {"a": 1, "m": {"x": []}}),
        ({"m": {"x": 1, "y": 2}}, {"set": {"m.x": 3}, "remove": ["m.y"]}, {"m": {"x": 3}}),
        ({"l": [1, 2, 3]}, {"set": {"l[1]": "b"}, "remove": ["l[0]"]}, {"l": ["b", 3]}),
        ({"l": [1]}, {"set": {"l[9]": 2}}, {"l": [1, 2]}),
        ({"a": 1}, {"remove": ["a", "never", ("a.b",)]}, {}),
        ({}, {"add": {"a": 1}}, {"a": 1}),
        ({"a": 1}, {"add": {"a": Decimal("-2.5")}}, {"a": Decimal("-1.5")}),
        ({"m": {}}, {"add": {"m.a": 2}}, {"m": {"a": 2}}),
        ({"m": {"a": 1}}, {"add": {"m.a": 2}}, {"m": {"a": 3}}),
        ({"l": [1]}, {"add": {"l[0]": 2}}, {"l": [3]}),
        ({"l": [1]}, {"add": {"l[4]": 2}}, {"l": [1, 2]}),
        ({}, {"add": {"s": {"a"}}}, {"s": {"a"}}),
        ({"s": {1}}, {"add": {"s": {1, 2}}}, {"s": {1, 2}}),
        ({"m": {}}, {"add": {"m.s": {b"a"}}}, {"m": {"s": {b"a"}}}),
        ({"m": {"s": {"a"}}}, {"add": {"m.s": {"b"}}}, {"m": {"s": {"a", "b"}}}),
        ({"l": [{"a"}]}, {"add": {"l[0]": {"b"}}}, {"l": [{"a", "b"}]}),
        ({}, {"append": {"l": [1, "b"]}}, {"l": [1, "b"]}),
        ({"l": [0]}, {"append": {"l": (1, [2])}}, {"l": [0, 1, [2]]}),
        ({"m": {}}, {"append": {"m.l": [1]}}, {"m": {"l": [1]}}),
        ({"l": [[0]]}, {"append": {"l[0]": [1]}}, {"l": [[0, 1]]}),
        ({"l": [0]}, {"append": {"l": []}}, {"l": [0]}),
        (
            {"l": [0], "s": {1}, "b": 1},
            {"append": {"l": [1]}, "add": {"s": {2}, "n": 1}, "remove": ["b"], "set": {"a": "x"}},
            {"l": [0, 1], "s": {1, 2}, "n": 1, "a": "x"},
        ),
    ],
)
def test_update(table, before, changes, after):
    table.put("update", "1", before)
    stored = table.update("update", "1", **changes)
    assert plain({"M": stored}) == plain(serialize({"model": "update", "id": "1", **after}))


# ---------------------------------------------------------------------- what both refuse or neither


def refuses(make):
    try:
        make()
    except ValidationError:
        return True
    return False


def raw(typed_values):
    return {"ExpressionAttributeValues": typed_values} if typed_values else {}


ONE_OF_EACH_TYPE = ["a", 1, b"a", True, None, ["a"], {"k": 1}, {"a"}, {1}, {b"a"}]


@pytest.mark.parametrize("value", ONE_OF_EACH_TYPE, ids=lambda value: next(iter(serialize(value))))
@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("eq", "a = :v"),
        ("ne", "a <> :v"),
        ("lt", "a < :v"),
        ("le", "a <= :v"),
        ("gt", "a > :v"),
        ("ge", "a >= :v"),
        ("begins_with", "begins_with(a, :v)"),
        ("contains", "contains(a, :v)"),
    ],
)
def test_types_of_values(table, method, text, value):
    refusal = table.refusal(FilterExpression=text, **raw({":v": serialize(value)}))
    condition = getattr(where("a"), method)(value)
    assert refuses(lambda: compile_condition(condition, table.placeholders())) is (refusal is not None)
    assert refusal is None or "Incorrect operand type" in refusal


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.lists(
        st.sampled_from([*VALUES, *UNICODE]) | st.integers(-99, 99) | st.binary(max_size=2),
        min_size=2,
        max_size=2,
    )
)
def test_bounds_of_between(table, bounds):
    low, high = bounds
    refusal = table.refusal(
        FilterExpression="a BETWEEN :l AND :h", **raw({":l": serialize(low), ":h": serialize(high)})
    )
    ours = refuses(lambda: compile_condition(where("a").between(low, high), table.placeholders()))
    assert ours is (refusal is not None)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("a = a", lambda: where("a").eq(where("a"))),
        ("a <> a", lambda: where("a").ne(where("a"))),
        ("m.x < m.x", lambda: where("m.x").lt(where("m.x"))),
        ("a IN (b, a)", lambda: where("a").in_([where("b"), where("a")])),
        ("a BETWEEN a AND b", lambda: where("a").between(where("a"), where("b"))),
        ("a BETWEEN b AND a", lambda: where("a").between(where("b"), where("a"))),
        ("contains(a, a)", lambda: where("a").contains(where("a"))),
        ("begins_with(a, a)", lambda: where("a").begins_with(where("a"))),
        ("begins_with(a, size(b))", lambda: where("a").begins_with(where("b").size())),
        ("attribute_type(a, b)", lambda: where("a").type_is(where("b"))),
    ],
)
def test_operands_refused_by_both(table, text, make):
    assert table.refusal(FilterExpression=text) is not None
    assert refuses(make)


@pytest.mark.parametrize("type", ["S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS", "s", "str", ""])
def test_names_of_types(table, type):
    refusal = table.refusal(FilterExpression="attribute_type(a, :v)", **raw({":v": {"S": type}}))
    assert refuses(lambda: where("a").type_is(type)) is (refusal is not None)


segments = st.sampled_from([".a", ".b", "[0]", "[1]"])
some_paths = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(segments, max_size=3)).map(lambda path: path[0] + "".join(path[1])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None, database=None)
@given(some_paths)
def test_overlapping_paths(table, paths):
    refusal = table.refusal(ProjectionExpression=", ".join(paths))
    assert refuses(lambda: compile_projection(paths, table.placeholders())) is (refusal is not None)
    assert refusal is None or "Two document paths" in refusal
    # A path that is no more than not there is another thing that an update says.
    refusal = table.refusal(UpdateExpression="REMOVE " + ", ".join(paths))
    assert refuses(lambda: compile_update(table.placeholders(), remove=paths)) is (
        "Two document paths" in (refusal or "")
    )


@pytest.mark.parametrize(
    "path",
    [
        "a.b[0].c",
        "a..b",
        ".a",
        "a.",
        "[0]",
        "a[]",
        "a[-1]",
        "a[01]",
        "a[b]",
        "a[1.0]",
        "a[0]b",
        "a[0",
        "a0]",
        "a[[0]]",
        f"a[{MAX_LIST_INDEX}]",
        f"a[{MAX_LIST_INDEX + 1}]",
        "a" + ".a" * 31,
        "a" + ".a" * 32,
        "a" + "[0]" * 31,
        "a" + "[0]" * 32,
    ],
)
def test_paths(table, path):
    refusal = table.refusal(FilterExpression=f"attribute_exists({path})")
    assert refuses(lambda: where(path)) is (refusal is not None)


@pytest.mark.parametrize("character", ["a", "é"])
@pytest.mark.parametrize("too_long", [False, True])
def test_sizes_of_names(table, character, too_long):
    name = character * ((MAX_NAME_BYTES // len(character.encode())) + too_long)
    refusal = table.refusal(FilterExpression="attribute_exists(#n)", ExpressionAttributeNames={"#n": name})
    assert refuses(lambda: where((name,))) is (refusal is not None) is too_long


def test_number_of_values_of_in(table):
    for count in (0, 1, 100, 101):
        values = {f":v{i}": {"N": str(i)} for i in range(count)}
        refusal = table.refusal(FilterExpression=f"a IN ({', '.join(values)})", **raw(values))
        assert refuses(lambda: where("a").in_(range(count))) is (refusal is not None)  # noqa: B023


def test_parentheses_around_parentheses_are_refused(table):
    refusal = table.refusal(FilterExpression="((a = b OR b = a)) AND a = c")
    assert "redundant parentheses" in refusal


SIZED = where("a").size()


@pytest.mark.parametrize("leaf", [where("a").exists(), where("a") == 1, where("a").in_([1, 2]), SIZED == SIZED])
@pytest.mark.parametrize("turn", [lambda leaf: leaf, lambda leaf: ~leaf], ids=["plain", "negated"])
@pytest.mark.parametrize("connective", ["&", "|"])
def test_number_of_operators(table, leaf, turn, connective):
    """The longest condition that ours allows passes, and its text with one leaf more does not."""
    condition = turn(leaf)
    try:
        while True:
            longest = condition
            condition = condition & turn(leaf) if connective == "&" else condition | turn(leaf)
    except ValidationError:
        assert table.select("operators", longest) == []
    placeholders = table.placeholders()
    text = compile_condition(longest, placeholders)
    more = f"{text} {'AND' if connective == '&' else 'OR'} {compile_condition(turn(leaf), placeholders)}"
    refusal = table.refusal(FilterExpression=more, **table.parameters(placeholders))
    assert re.search(r"too many operators; operator count: 30[1-4]$", refusal)


def test_nesting(table):
    condition = where("a").exists()
    for _ in range(99):
        condition = ~(condition & where("a").exists())
    assert table.select("nesting", condition) == []


def test_size_of_text(table):
    """The longest texts that ours lets through are exactly the longest that DynamoDB takes."""
    condition = where(("a", *[0] * 20, 0)).exists()
    for _ in range(34):
        condition |= where(("a", *[0] * 31)).exists()
    placeholders = table.placeholders()
    text = compile_condition(condition, placeholders)
    assert len(text) == 4096
    assert table.select("size", condition) == []
    refusal = table.refusal(FilterExpression=text + " ", **table.parameters(placeholders))
    assert "Expression size has exceeded the maximum allowed size" in refusal
    paths = [f"a{i}" for i in range(601)]
    placeholders = table.placeholders()
    text, _ = compile_projection(paths, placeholders)
    assert len(text) == 4095
    assert table.get("size", "1", text, placeholders) is None
    refusal = table.refusal(ProjectionExpression=text + "  ", **table.parameters(placeholders))
    assert "Expression size has exceeded the maximum allowed size" in refusal


def test_no_update_reaches_300_operators_before_4096_bytes(table):
    """What ours does not count cannot be too much."""
    table.put("counts", "1", {"m": {}})
    paths = [f"m[{i}]" for i in range(300)]
    longest = max(
        count
        for count in range(1, 200)
        if not refuses(lambda: compile_update(table.placeholders(), add=dict.fromkeys(paths[:count], 1)))  # noqa: B023
    )
    assert 2 * longest < 300
