"""Conditions, updates and projections, written down as DynamoDB's expression text.

`where("status").eq("open")` builds a `Condition`; the `compile_*` functions write conditions, updates and
projections as text in which every attribute name is a `#n0` and every value a `:v0`. Names and values are
kept by the `Placeholders` of the request and are never part of the text: no input can change what it means.

Pure: text in, text out. It must never send anything, and never import `_marshal`: whoever makes a
`Placeholders` hands in the function that writes a value. On the import ladder it stands above `_operations`
and imports `_errors` alone.

Sources: the developer guide for the grammar, its precedence and the limits, linked where they are used. What
the guide leaves open (what counts as an operator, which parentheses and which pairs of paths are refused) was
measured on AWS's DynamoDB Local 3.3.0 and is held by `tests/integration/test_expressions.py`. Moto accepts
much that DynamoDB refuses and proves nothing here.
"""

from __future__ import annotations

import json
from itertools import islice

from ._errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, NoReturn

    Path = str | Sequence[str | int]
    Segments = tuple[Any, ...]  # an attribute name, then names (str) and list indexes (int)

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-expression-parameters
# Measured: an operator is each comparison, BETWEEN, IN (of any length), function, size(), NOT, AND and OR.
# An update runs out of text first: its shortest action with two operators takes 43 bytes.
MAX_OPERATORS = 300
MAX_TEXT_BYTES = 4096
MAX_IN_VALUES = 100
# Measured: the names and list indexes of a path count alike.
MAX_PATH_SEGMENTS = 32
MAX_LIST_INDEX = 2**31 - 1
MAX_NAME_BYTES = 65535

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
_EQ, _NE, _LT, _LE, _GT, _GE = "%s = %s", "%s <> %s", "%s < %s", "%s <= %s", "%s > %s", "%s >= %s"
_BETWEEN = "%s BETWEEN %s AND %s"
_EXISTS, _NOT_EXISTS = "attribute_exists(%s)", "attribute_not_exists(%s)"
_BEGINS_WITH, _CONTAINS, _TYPE_IS = "begins_with(%s, %s)", "contains(%s, %s)", "attribute_type(%s, %s)"
_AND, _OR, _NOT = " AND ", " OR ", "NOT "
_CONNECTIVES = (_AND, _OR, _NOT)

_TYPES = ("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS")
_ORDERED_TYPES = ("S", "N", "B")
_ADD_TYPES = ("N", "SS", "NS", "BS")
# Measured: the types of value a form takes. A form that is not listed takes every type.
_VALUE_TYPES = {
    _LT: _ORDERED_TYPES,
    _LE: _ORDERED_TYPES,
    _GT: _ORDERED_TYPES,
    _GE: _ORDERED_TYPES,
    _BETWEEN: _ORDERED_TYPES,
    _BEGINS_WITH: ("S", "B"),
}

# Two values of one of these classes have the same order here and on the wire; 0.1 and Decimal("0.1") do not.
_SELF_ORDERED = (str, int, float, bytes)

_BAD_INDEX = f"has an index that is no whole number from 0 to {MAX_LIST_INDEX}"
_EMPTY_LIST = '{"L":[]}'
_ZERO = '{"N":"0"}'


def where(path: Path) -> Operand:
    """Name an attribute, to make conditions about it.

        where("status").eq("open") & (where("score") > 3) | ~where("tags").contains("x")

    Args:
        path: `"status"`, `"state.count"`, `"lines[0].sku"`; or a list or tuple of attribute names, taken as
            they are, and list indexes: `("a.b", "lines", 0)`.

    Returns:
        The operand, whose methods and operators make conditions.

    Raises:
        ValidationError: the path is empty, has an empty name or a bad index, or is over a limit of DynamoDB.
    """
    return Operand(path_segments(path))


class Condition:
    """What is to be true of an item; made by the methods of `where(…)`, joined with `&`, `|` and `~`.

    Put every comparison in parentheses: `(where("a") == 1) & (where("b") > 2)`. Python's own `and`, `or` and
    `not` would lose a half unseen, and raise `TypeError`.

    Raises:
        ValidationError: joining went over DynamoDB's limit of 300 operators.
    """

    # A leaf is a form with its operands; a node is AND, OR or NOT with conditions. A chain of one connective
    # is one flat node, and no tree holds over 300 operators: recursing over one is shallow.
    __slots__ = ("_form", "_operands", "_operators")

    def __init__(self, form: str, operands: tuple[Any, ...], operators: int) -> None:
        if operators > MAX_OPERATORS:
            raise ValidationError(
                f"a condition of {operators} operators: DynamoDB takes {MAX_OPERATORS}; "
                "ask for less, or filter what comes back"
            )
        self._form = form
        self._operands = operands
        self._operators = operators

    def __and__(self, other: Condition) -> Condition:
        return _join_conditions(self, _AND, other)

    def __or__(self, other: Condition) -> Condition:
        return _join_conditions(self, _OR, other)

    def __rand__(self, other: object) -> NoReturn:
        raise _not_joinable(other)

    __ror__ = __rand__

    def __invert__(self) -> Condition:
        if self._form == _NOT:
            negated: Condition = self._operands[0]
            return negated
        return Condition(_NOT, (self,), self._operators + 1)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a condition is true or false of an item, not in Python: join conditions with &, | and ~, "
            "each in parentheses, instead of and, or and not; instead of a < x < b use between"
        )

    def __repr__(self) -> str:
        return f"<Condition {_write_tree(self, _describe_leaf)}>"


class _Comparable:
    """What can stand on either side of a comparison. Internal: made by `where` and `Operand.size`."""

    __slots__ = ("_path", "_segments")

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._path: str = segments[0] if len(segments) == 1 else _join_path(segments)

    def eq(self, other: Any) -> Condition:
        """Equal, type included: `1` is not `"1"`. Also `==`."""
        return _make_leaf(_EQ, self, other)

    def ne(self, other: Any) -> Condition:
        """Not equal; true too where the attribute is missing or of another type. Also `!=`."""
        return _make_leaf(_NE, self, other)

    def lt(self, other: Any) -> Condition:
        """Less than a string, number or bytes. Also `<`."""
        return _make_leaf(_LT, self, other)

    def le(self, other: Any) -> Condition:
        """Less than or equal to a string, number or bytes. Also `<=`."""
        return _make_leaf(_LE, self, other)

    def gt(self, other: Any) -> Condition:
        """Greater than a string, number or bytes. Also `>`."""
        return _make_leaf(_GT, self, other)

    def ge(self, other: Any) -> Condition:
        """Greater than or equal to a string, number or bytes. Also `>=`."""
        return _make_leaf(_GE, self, other)

    def between(self, low: Any, high: Any) -> Condition:
        """From `low` to `high`, both included; two strings, two numbers or two bytes.

        Raises:
            ValidationError: `low` is greater than `high`.
        """
        if _are_self_ordered(low, high) and low > high:
            raise _descending(self._path)
        return _make_leaf(_BETWEEN, self, low, high)

    def in_(self, values: Iterable[Any]) -> Condition:
        """Equal to one of 1 to 100 values.

        Raises:
            ValidationError: `values` is no collection, is text or a dict, is empty, or holds more than 100.
        """
        # Text and dicts have an __iter__ too, but not one of values to compare with.
        if isinstance(values, (str, bytes, bytearray, memoryview, dict)) or not hasattr(values, "__iter__"):
            message = f"{self._path}: in_ takes a list, tuple or set of values, not {type(values).__name__}"
            raise ValidationError(message, path=self._path)
        members = tuple(islice(values, MAX_IN_VALUES + 1))
        if not members:
            raise ValidationError(f"{self._path}: in_ of no values is never true", path=self._path)
        if len(members) > MAX_IN_VALUES:
            message = f"{self._path}: in_ takes {MAX_IN_VALUES} values at most; join several in_ with |"
            raise ValidationError(message, path=self._path)
        return _make_leaf(f"%s IN ({', '.join(['%s'] * len(members))})", self, *members)

    __eq__ = eq  # type: ignore[assignment]
    __ne__ = ne  # type: ignore[assignment]
    __lt__ = lt
    __le__ = le
    __gt__ = gt
    __ge__ = ge
    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: object) -> NoReturn:
        raise _not_joinable(self)

    __rand__ = __or__ = __ror__ = __and__

    def __invert__(self) -> NoReturn:
        raise _not_joinable(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"where({self._path!r}) alone is no condition: compare it, or ask whether it .exists()")

    def __contains__(self, member: object) -> NoReturn:
        raise TypeError(f'"in" asks Python, not DynamoDB: use where({self._path!r}).contains(…)')

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_describe(self)}>"


class Operand(_Comparable):
    """An attribute, as `where` names it: its methods and operators make conditions.

    The other side of a comparison is a value, or another operand. Comparing an attribute with itself raises
    `ValidationError`, as DynamoDB refuses it. Whether values are of a type that the operator takes is checked
    when the request is built, before it is sent: `ValidationError`, whose `.path` is this path.
    """

    __slots__ = ()

    def exists(self) -> Condition:
        """The attribute is there, whatever its value (NULL too)."""
        return _make_leaf(_EXISTS, self)

    def not_exists(self) -> Condition:
        """The attribute is not there."""
        return _make_leaf(_NOT_EXISTS, self)

    def begins_with(self, prefix: Any) -> Condition:
        """A string or bytes that begin with `prefix`."""
        return _make_leaf(_BEGINS_WITH, self, prefix)

    def contains(self, member: Any) -> Condition:
        """A string or bytes with `member` as a part, or a set or list with `member` as an element."""
        return _make_leaf(_CONTAINS, self, member)

    def type_is(self, type: str) -> Condition:
        """The attribute is of a DynamoDB type: `S`, `N`, `B`, `BOOL`, `NULL`, `L`, `M`, `SS`, `NS` or `BS`.

        Raises:
            ValidationError: there is no such type.
        """
        if not isinstance(type, str) or type not in _TYPES:
            message = f"{self._path}: {_quote(type)} is no type of DynamoDB's: {', '.join(_TYPES)}"
            raise ValidationError(message, path=self._path)
        return _make_leaf(_TYPE_IS, self, type)

    def size(self) -> Size:
        """The length of a string or bytes, or the element count of a set, list or dict; compares only."""
        return Size(self._segments)


class Size(_Comparable):
    """The size of an attribute: it can be compared, and nothing else. Made by `where(…).size()`."""

    __slots__ = ()


class Placeholders:
    """The names and values of one request; key condition, filter, update and projection share it.

    Equal names share a placeholder; values do if they are written alike, type included. Everything placed has
    to be used: DynamoDB refuses a request with a name or value that its expressions do not mention.

    Args:
        write_value: returns a value as the JSON text of a typed attribute, `{"S":"open"}`; its second
            argument is the path to name in the `ValidationError` for what DynamoDB cannot store.

    Attributes:
        names: `ExpressionAttributeNames`, `#n0` → name.
        values: `ExpressionAttributeValues`, `:v0` → JSON text of the typed attribute.
    """

    __slots__ = ("_keys_of_names", "_keys_of_values", "names", "values", "write_value")

    def __init__(self, write_value: Callable[[Any, str], str]) -> None:
        self.write_value = write_value
        self.names: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self._keys_of_names: dict[str, str] = {}
        self._keys_of_values: dict[str, str] = {}

    def name(self, name: str) -> str:
        """Place one attribute name, unchecked; return `#n0`."""
        key = self._keys_of_names.get(name)
        if key is None:
            key = self._keys_of_names[name] = f"#n{len(self.names)}"
            self.names[key] = name
        return key

    def value(self, value: Any, path: str) -> str:
        """Place one value; return `:v0`."""
        return self.written(self.write_value(value, path))

    def written(self, text: str) -> str:
        """Place one value that is already the JSON text of a typed attribute; return `:v0`."""
        key = self._keys_of_values.get(text)
        if key is None:
            key = self._keys_of_values[text] = f":v{len(self.values)}"
            self.values[key] = text
        return key


def compile_condition(condition: Condition, placeholders: Placeholders) -> str:
    """Write a condition, without parentheses around it; to join two, join the conditions before."""
    _check_condition(condition)
    return _check_text(_write_tree(condition, lambda leaf: _write_leaf(leaf, placeholders)), "a condition")


def condition_names(condition: Condition) -> frozenset[str]:
    """Return the top-level attributes a condition is about."""
    _check_condition(condition)
    names: set[str] = set()
    pending = [condition]
    while pending:
        for operand in pending.pop()._operands:
            if isinstance(operand, Condition):
                pending.append(operand)
            elif isinstance(operand, _Comparable):
                names.add(operand._segments[0])
    return frozenset(names)


def compile_projection(
    paths: Sequence[Path], placeholders: Placeholders, *, required: Iterable[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Write a projection.

    Args:
        paths: what the caller wants.
        placeholders: of the request.
        required: top-level attributes that must come back besides; scalars: a path below one finds nothing.

    Returns:
        The text, and those of `required` that the caller did not ask for, to be taken out of the answer.
    """
    tree: dict[str | int, Any] = {}
    targets = [_claim_path(tree, path, "attributes") for path in _check_paths(paths, "attributes")]
    if not targets:
        raise ValidationError("attributes is empty: name what to read, or leave it out to read everything")
    added = tuple([name for name in dict.fromkeys(required) if not isinstance(tree.get(name), Operand)])
    # DynamoDB refuses to be asked for a part beside the whole.
    texts = [_write_path(target, placeholders) for target in targets if target._segments[0] not in added]
    texts += [placeholders.name(name) for name in added]
    return _check_text(", ".join(texts), "a projection"), added


def compile_update(
    placeholders: Placeholders,
    *,
    set: Mapping[Any, Any] | None = None,
    remove: Sequence[Path] = (),
    add: Mapping[Any, Any] | None = None,
    append: Mapping[Any, Any] | None = None,
) -> str:
    """Write an update.

    Args:
        placeholders: of the request.
        set: path → new value.
        remove: paths to remove.
        add: path → number to add (from 0 where there is none), or set whose elements to add.
        append: path → list or tuple to append (to an empty list where there is none).
    """
    tree: dict[str | int, Any] = {}
    sets, adds = [], []
    for path, value in _check_mapping(set, "set"):
        target = _claim_path(tree, path, "an update")
        sets.append(f"{_write_path(target, placeholders)} = {placeholders.value(value, target._path)}")
    targets = [_claim_path(tree, path, "an update") for path in _check_paths(remove, "remove")]
    removes = [_write_path(target, placeholders) for target in targets]
    for path, value in _check_mapping(add, "add"):
        target = _claim_path(tree, path, "an update")
        written = placeholders.write_value(value, target._path)
        _check_type(written, _ADD_TYPES, target._path, "add")
        name, amount = _write_path(target, placeholders), placeholders.written(written)
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
        # documents ADD for top-level attributes alone. Below them a number has another way; a set has none,
        # but ADD works there too (measured).
        if len(target._segments) > 1 and _type_of(written) == "N":
            sets.append(f"{name} = if_not_exists({name}, {placeholders.written(_ZERO)}) + {amount}")
        else:
            adds.append(f"{name} {amount}")
    for path, value in _check_mapping(append, "append"):
        target = _claim_path(tree, path, "an update")
        written = placeholders.write_value(value, target._path)
        _check_type(written, ("L",), target._path, "append")
        name, empty = _write_path(target, placeholders), placeholders.written(_EMPTY_LIST)
        sets.append(f"{name} = list_append(if_not_exists({name}, {empty}), {placeholders.written(written)})")
    clauses = [("SET", sets), ("REMOVE", removes), ("ADD", adds)]
    text = " ".join([f"{verb} {', '.join(actions)}" for verb, actions in clauses if actions])
    if not text:
        raise ValidationError("an update that changes nothing: pass set, remove, add or append")
    return _check_text(text, "an update")


def path_segments(path: Path) -> Segments:
    """Take a path apart: `"lines[0].sku"` → `("lines", 0, "sku")`."""
    # A plain name is known by one call; searching for each reserved character costs half as much again.
    if path.__class__ is str and path.isidentifier() and len(path) <= MAX_NAME_BYTES // 4:
        return (path,)
    if isinstance(path, str):
        segments = _split_path(path)
    elif isinstance(path, (tuple, list)):
        segments = tuple([_check_segment(segment, path) for segment in path])
    else:
        raise ValidationError(f"a path is text, or a list or tuple of names and indexes, not {type(path).__name__}")
    if not segments or not isinstance(segments[0], str):
        raise _bad_path(path, "does not begin with an attribute name")
    if len(segments) > MAX_PATH_SEGMENTS:
        raise _bad_path(path, f"has {len(segments)} names and indexes: DynamoDB takes {MAX_PATH_SEGMENTS}")
    return segments


def _split_path(path: str) -> Segments:
    segments: list[str | int] = []
    for part in path.split("."):
        name, bracket, rest = part.partition("[")
        if "]" in name or (bracket and not rest.endswith("]")):
            raise _bad_path(path, "has a bracket without its other half")
        segments.append(_check_name(name, path))
        if bracket:
            segments += [_read_index(digits, path) for digits in rest[:-1].split("][")]
    return tuple(segments)


def _read_index(digits: str, path: str) -> int:
    # int() takes what DynamoDB does not ([01], [ 1], [1_0]) and refuses thousands of digits in its own way.
    if len(digits) <= 10 and digits.isdecimal() and str(int(digits)) == digits:
        return _check_index(int(digits), path)
    raise _bad_path(path, _BAD_INDEX)


def _check_segment(segment: Any, path: Path) -> str | int:
    if isinstance(segment, str):
        return _check_name(str.__str__(segment), path)
    if isinstance(segment, int) and not isinstance(segment, bool):
        return _check_index(int(segment), path)
    raise _bad_path(path, f"holds a {type(segment).__name__} where a name or an index belongs")


def _check_index(index: int, path: Path) -> int:
    if 0 <= index <= MAX_LIST_INDEX:
        return index
    raise _bad_path(path, _BAD_INDEX)


def _check_name(name: str, path: Path) -> str:
    if not name:
        raise _bad_path(path, "is empty, or has an empty name in it")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError as error:
        raise _bad_path(path, "holds a lone surrogate, which is no text") from error
    if size_bytes > MAX_NAME_BYTES:
        raise _bad_path(path, f"has a name of {size_bytes} bytes: DynamoDB takes {MAX_NAME_BYTES}")
    return name


def _bad_path(path: Path, fact: str) -> ValidationError:
    hint = " (a tuple takes names as they are: where(('a.b', 'c', 0)))" if isinstance(path, str) else ""
    text = path if isinstance(path, str) else _join_path(path)
    return ValidationError(f"the path {_quote(path)} {fact}{hint}", path=text)


def _join_path(segments: Iterable[object]) -> str:
    parts = [f"[{segment}]" if isinstance(segment, int) else f".{segment}" for segment in segments]
    return "".join(parts).removeprefix(".")


def _quote(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _make_leaf(form: str, first: _Comparable, *others: Any) -> Condition:
    operators = 1 + isinstance(first, Size)
    for other in others:
        if isinstance(other, Size):
            operators += 1
            if "N" not in _VALUE_TYPES.get(form, _TYPES):
                message = f"{first._path}: {_show(form)} takes no size, which is a number"
                raise ValidationError(message, path=first._path)
        elif isinstance(other, Operand) and isinstance(first, Operand) and other._segments == first._segments:
            message = f"{first._path} is compared with itself, which DynamoDB refuses; is exists() meant?"
            raise ValidationError(message, path=first._path)
    return Condition(form, (first, *others), operators)


def _join_conditions(left: Condition, connective: str, right: Condition) -> Condition:
    if not isinstance(right, Condition):
        raise _not_joinable(right)
    operands: tuple[Condition, ...] = ()
    for side in (left, right):
        operands += side._operands if side._form == connective else (side,)
    return Condition(connective, operands, left._operators + right._operators + 1)


def _not_joinable(thing: object) -> TypeError:
    return TypeError(
        f"& | ~ are for conditions, not for {type(thing).__name__}: put each comparison in parentheses, "
        "(where('a') == 1) & (where('b') > 2)"
    )


def _write_tree(condition: Condition, write_leaf: Callable[[Condition], str]) -> str:
    form = condition._form
    if form not in _CONNECTIVES:
        return write_leaf(condition)
    texts = []
    for operand in condition._operands:
        text = _write_tree(operand, write_leaf)
        # NOT binds before AND, and AND before OR. Parentheses around parentheses are refused (measured).
        if operand._form == _OR or (operand._form == _AND and form == _NOT):
            text = f"({text})"
        texts.append(text)
    return _NOT + texts[0] if form == _NOT else form.join(texts)


def _write_leaf(leaf: Condition, placeholders: Placeholders) -> str:
    form = leaf._form
    path = leaf._operands[0]._path
    types = _VALUE_TYPES.get(form)
    texts, values = [], []
    for operand in leaf._operands:
        if isinstance(operand, _Comparable):
            text = _write_path(operand, placeholders)
            texts.append(f"size({text})" if isinstance(operand, Size) else text)
        else:
            written = placeholders.write_value(operand, path)
            if types is not None:
                _check_type(written, types, path, _show(form))
            values.append(written)
            texts.append(placeholders.written(written))
    if form == _BETWEEN and len(values) == 2 and not _are_self_ordered(*leaf._operands[1:]):
        _check_bounds(*values, path=path)
    return form % tuple(texts)


def _write_path(operand: _Comparable, placeholders: Placeholders) -> str:
    name, *below = operand._segments
    text = placeholders.name(name)
    for segment in below:
        text += f"[{segment}]" if isinstance(segment, int) else f".{placeholders.name(segment)}"
    return text


def _show(form: str) -> str:
    return form.replace("%s", "…")


def _describe_leaf(leaf: Condition) -> str:
    return leaf._form % tuple([_describe(operand) for operand in leaf._operands])


def _describe(operand: object) -> str:
    # A repr lands in logs and tracebacks, where values may be somebody's data: names and types alone.
    if isinstance(operand, Size):
        return f"size({operand._path})"
    return operand._path if isinstance(operand, Operand) else f"<{type(operand).__name__}>"


def _type_of(written: str) -> str:
    return written.split('"', 2)[1]


def _check_type(written: str, types: Iterable[str], path: str, taker: str) -> None:
    if _type_of(written) not in types:
        message = f"{path}: {taker} takes a value of type {' or '.join(types)}, not {_type_of(written)}"
        raise ValidationError(message, path=path)


def _are_self_ordered(low: Any, high: Any) -> bool:
    return low.__class__ is high.__class__ and low.__class__ in _SELF_ORDERED


def _check_bounds(low: str, high: str, *, path: str) -> None:
    from binascii import a2b_base64
    from decimal import Decimal

    if _type_of(low) != _type_of(high):
        message = f"{path}: between takes two values of one type, not {_type_of(low)} and {_type_of(high)}"
        raise ValidationError(message, path=path)
    # Python orders text by code point and DynamoDB by UTF-8 byte, which is the same order.
    read: Any = {"S": str, "N": Decimal, "B": a2b_base64}[_type_of(low)]
    [low_text], [high_text] = json.loads(low).values(), json.loads(high).values()
    if read(low_text) > read(high_text):
        raise _descending(path)


def _descending(path: str) -> ValidationError:
    return ValidationError(f"{path}: between takes the lower value first", path=path)


def _check_text(text: str, kind: str) -> str:
    if len(text) > MAX_TEXT_BYTES:
        raise ValidationError(
            f"{kind} of {len(text)} bytes without its names and values: DynamoDB takes {MAX_TEXT_BYTES}; "
            "ask for less at once"
        )
    return text


def _check_condition(condition: Condition) -> None:
    if not isinstance(condition, Condition):
        what = type(condition).__name__
        raise ValidationError(f'a condition is made as in where("status").eq("open"), not of {what}')


def _check_mapping(changes: Mapping[Any, Any] | None, name: str) -> Iterable[tuple[Any, Any]]:
    if changes is None:
        return ()
    if not hasattr(changes, "items"):
        raise ValidationError(f"{name} takes a dict of paths and values, not {type(changes).__name__}")
    return changes.items()


def _check_paths(paths: Sequence[Path], name: str) -> Sequence[Path]:
    if isinstance(paths, (str, bytes)) or not hasattr(paths, "__iter__"):
        raise ValidationError(f"{name} takes a list of paths, not {type(paths).__name__}")
    return paths


def _claim_path(tree: dict[str | int, Any], path: Path, taker: str) -> Operand:
    """Put a path into a tree of those taken so far, where no two may overlap.

    Measured, for updates and projections alike: DynamoDB refuses a path twice, a path within another, and two
    paths that take the same value for a dict and for a list.
    """
    target = where(path)
    *above, last = target._segments
    node: Any = tree
    for segment in above:
        _check_kin(node, segment, target, taker)
        node = node.setdefault(segment, {})
        if isinstance(node, Operand):
            raise _overlapping(node, target, taker)
    _check_kin(node, last, target, taker)
    if last in node:
        raise _overlapping(node[last], target, taker)
    node[last] = target
    return target


def _check_kin(node: dict[str | int, Any], segment: str | int, target: Operand, taker: str) -> None:
    sibling = next(iter(node), segment)
    if isinstance(sibling, int) is not isinstance(segment, int):
        raise _overlapping(node[sibling], target, taker)


def _overlapping(node: Any, target: Operand, taker: str) -> ValidationError:
    while not isinstance(node, Operand):
        node = next(iter(node.values()))
    return ValidationError(
        f"{taker} cannot take both {_quote(node._path)} and {_quote(target._path)}: "
        "they overlap, or take one value for a dict and for a list",
        path=target._path,
    )
