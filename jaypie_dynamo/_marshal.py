"""Python values ↔ DynamoDB attribute values. Pure: text in, text out.

Two forms of the same thing:

* the *typed form*, `{"S": "x"}` as Python objects: what `marshal` and `unmarshal` offer to users and what DynamoDB
  Streams deliver;
* *wire text*, the JSON text of the typed form: what requests are written in directly (`write_item`, `write_value`),
  because building typed dictionaries first costs three times as much. Answers are converted in place (`Reader`).

Never loses a digit, never guesses: a value that DynamoDB cannot hold is a `ValidationError` that names its place.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

import json
import sys
from binascii import Error as _Base64Error
from binascii import a2b_base64, b2a_base64
from json.encoder import encode_basestring as _quote

from ._errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_DEPTH = 32
MAX_DIGITS = 38
MAX_EXPONENT = 125
MIN_EXPONENT = -130

_PLAIN_INT_BOUND = 10**MAX_DIGITS
_MAX_INT_BITS = 419  # (10 ** 126).bit_length()
_MIN_FLOAT = 1e-130
_MAX_FLOAT = 1e126

# Attribute names repeat from item to item, so their quoted text is kept; the bound keeps maps whose keys are data
# (an entry per customer, say) from growing it for ever.
_MAX_QUOTED_NAMES = 4096


# --- writing -----------------------------------------------------------------------------------------------------


class _QuotedNames(dict[str, str]):
    """Attribute name → its JSON text with the colon."""

    def __missing__(self, name: str) -> str:
        if not isinstance(name, str):
            raise TypeError(f"a map key must be a str, not {type(name).__name__}")
        if not name:
            raise ValueError("an attribute name must not be empty")
        text = _quote(name) + ":"
        if len(self) < _MAX_QUOTED_NAMES:
            self[str.__str__(name)] = text  # the characters: str() of a str Enum's member is another text
        return text


def write_item(item: Mapping[str, Any], *, path: str = "") -> str:
    """Write the wire text of an item: `{"id":{"S":"1"},…}`.

    Measured on a 12-attribute item: 1.05 × `json.dumps` of the plain item, 0.3 × boto3's TypeSerializer with
    `json.dumps`. The inline branch for `str`, the most frequent type, is worth 8 % of that.

    Args:
        item: attribute names and values; nothing of it is kept or changed.
        path: what error messages put before the name of an attribute.

    Raises:
        ValidationError: a value cannot be stored; `.path` names the place.
    """
    try:
        text = _write_attributes(item, 1)
        if not text.isascii():
            text.encode()
    except (*_FAULTS, AttributeError) as fault:
        if not hasattr(item, "items"):
            raise ValidationError(
                f"{path or 'item'} must be a mapping of attribute names to values, not a {type(item).__name__}",
                path=path or None,
            ) from fault
        _raise_fault(dict(item), path, depth=1, fallback=fault)
    return text


def write_value(value: Any, path: str = "value") -> str:
    """Write the wire text of one attribute value: `{"S":"x"}`. `path` names it in errors."""
    try:
        text = _WRITERS[type(value)](value, 2)
        if not text.isascii():
            text.encode()
    except _FAULTS as fault:
        _raise_fault(value, path, depth=2, fallback=fault)
    return text


def quote(text: str) -> str:
    """Write a JSON string."""
    return _quote(text)


def _write_attributes(attributes: Mapping[str, Any], depth: int) -> str:
    names = _QUOTED_NAMES
    writers = _WRITERS
    return (
        "{"
        + ",".join(
            [
                f'{names[name]}{{"S":{_quote(value)}}}'
                if type(value) is str
                else names[name] + writers[type(value)](value, depth + 1)
                for name, value in attributes.items()
            ]
        )
        + "}"
    )


# A writer turns one value into wire text. `depth` counts the levels from the item (1) to the value itself.


def _write_str(value: str, _depth: int) -> str:
    return '{"S":' + _quote(value) + "}"


def _write_bool(value: bool, _depth: int) -> str:
    return '{"BOOL":true}' if value else '{"BOOL":false}'


def _write_none(_value: None, _depth: int) -> str:
    return '{"NULL":true}'


def _write_int(value: int, _depth: int) -> str:
    if -_PLAIN_INT_BOUND < value < _PLAIN_INT_BOUND:
        return f'{{"N":"{int.__repr__(value)}"}}'
    return '{"N":"' + _int_text(value) + '"}'


def _write_float(value: float, _depth: int) -> str:
    return '{"N":"' + _float_text(value) + '"}'


def _write_decimal(value: Any, _depth: int) -> str:
    return '{"N":"' + _decimal_text(value) + '"}'


def _write_bytes(value: bytes | bytearray, _depth: int) -> str:
    return '{"B":"' + b2a_base64(value, newline=False).decode() + '"}'


def _write_memoryview(value: memoryview, depth: int) -> str:
    return _write_bytes(value.tobytes(), depth)  # a view with steps is no buffer that base64 takes


def _write_list(value: list[Any] | tuple[Any, ...], depth: int) -> str:
    if depth > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)
    writers = _WRITERS
    depth += 1
    return '{"L":[' + ",".join([writers[type(element)](element, depth) for element in value]) + "]}"


def _write_map(value: dict[str, Any], depth: int) -> str:
    if depth > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)
    return '{"M":' + _write_attributes(value, depth) + "}"


def _write_set(value: set[Any] | frozenset[Any], _depth: int) -> str:
    tag, texts = _set_texts(value)
    # Sorted, so that one value has one text in every process: a resent or compared request is the same bytes.
    return '{"' + tag + '":[' + ",".join(sorted(map(_quote, texts))) + "]}"


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels, DynamoDB's limit; store the inner part as a JSON string"


def _int_text(value: int) -> str:
    if value.bit_length() <= _MAX_INT_BITS:
        digits = int.__repr__(abs(value))
        significant = digits.rstrip("0")
        if len(significant) <= MAX_DIGITS and len(digits) - 1 <= MAX_EXPONENT:
            return f"{'-' if value < 0 else ''}{significant}E+{len(digits) - len(significant)}"
    raise ValueError(
        f"an int of more than {MAX_DIGITS} significant digits or above 9.99E+{MAX_EXPONENT}; store it as a string"
    )


def _float_text(value: float) -> str:
    if _MIN_FLOAT <= abs(value) < _MAX_FLOAT or value == 0:
        return float.__repr__(value)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("NaN and infinity are no DynamoDB numbers; store None or a string")
    raise ValueError(f"a float outside 1E{MIN_EXPONENT} … 9.99E+{MAX_EXPONENT}, DynamoDB's range")


def _decimal_text(value: Any) -> str:
    if not value.is_finite():
        raise ValueError("NaN and infinity are no DynamoDB numbers; store None or a string")
    if not value:
        return "0"
    if not MIN_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        raise ValueError(f"a Decimal outside 1E{MIN_EXPONENT} … 9.99E+{MAX_EXPONENT}, DynamoDB's range")
    sign, digits, exponent = value.as_tuple()
    if len(digits) <= MAX_DIGITS:
        return str(value)
    significant = "".join(map(str, digits)).rstrip("0")
    if len(significant) > MAX_DIGITS:
        raise ValueError(
            f"a Decimal of {len(significant)} significant digits; DynamoDB holds {MAX_DIGITS}: "
            "round it, or store a string"
        )
    return f"{'-' if sign else ''}{significant}E{exponent + len(digits) - len(significant)}"


def _set_texts(value: Iterable[Any]) -> tuple[str, list[str]]:
    tags = set()
    texts = []
    for element in value:
        tag, text = _scalar(element)
        tags.add(tag)
        texts.append(text)
    if not texts:
        raise ValueError("an empty set cannot be stored; leave the attribute out")
    if len(tags) > 1:
        raise ValueError("a set must hold one kind of value: strings, numbers or bytes")
    (tag,) = tags
    if tag == "N":
        from decimal import Decimal

        distinct = len({Decimal(text) for text in texts})
    else:
        distinct = len(set(texts))
    if distinct < len(texts):
        raise ValueError("two elements of the set are stored as the same value; keep one of them")
    return tag + "S", texts


def _scalar(value: Any) -> tuple[str, str]:
    """A set element as (type tag, text)."""
    [(tag, text)] = json.loads(_WRITERS[type(value)](value, 2)).items()
    if tag not in ("S", "N", "B"):
        raise TypeError(f"a set holds strings, numbers or bytes, not {type(value).__name__}")
    return tag, text


def _write_other(value: Any, depth: int) -> str:
    """Write a value whose exact type has no writer: a subclass, or one of the types imported only on demand."""
    # Only a module that is loaded can have made the value, so nothing is imported to find out.
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(value, enum.Enum):
        return _WRITERS[type(value.value)](value.value, depth)
    for kind, writer in _BASES:
        if isinstance(value, kind):
            return writer(value, depth)
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        _WRITERS[decimal.Decimal] = _write_decimal
        return _write_decimal(value, depth)
    datetime = sys.modules.get("datetime")
    if datetime is not None:
        if isinstance(value, datetime.datetime):
            return _write_str(format_datetime(value), depth)
        if isinstance(value, datetime.date):
            return _write_str(value.isoformat(), depth)
    uuid = sys.modules.get("uuid")
    if uuid is not None and isinstance(value, uuid.UUID):
        return _write_str(str(value), depth)
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} cannot be stored; convert it first")


def format_datetime(value: Any) -> str:
    """Write an aware datetime as ISO 8601 in UTC: milliseconds, or microseconds where it has them."""
    from datetime import timezone

    if value.utcoffset() is None:
        raise ValueError("a naive datetime names no moment; give it a time zone, such as datetime.now(timezone.utc)")
    value = value.astimezone(timezone.utc)
    precision = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return str(value.replace(tzinfo=None).isoformat(timespec=precision)) + "Z"


class _Writers(dict[type, "Callable[[Any, int], str]"]):
    """Type → writer; a type that is not here takes the long way, which looks at its bases."""

    def __missing__(self, kind: type) -> Callable[[Any, int], str]:
        return _write_other


_QUOTED_NAMES = _QuotedNames()
_WRITERS = _Writers(
    {
        str: _write_str,
        bool: _write_bool,
        type(None): _write_none,
        int: _write_int,
        float: _write_float,
        bytes: _write_bytes,
        bytearray: _write_bytes,
        memoryview: _write_memoryview,
        list: _write_list,
        tuple: _write_list,
        dict: _write_map,
        set: _write_set,
        frozenset: _write_set,
    }
)
_BASES: tuple[tuple[type, Callable[[Any, int], str]], ...] = tuple(
    (kind, writer) for kind, writer in _WRITERS.items() if kind not in (bool, memoryview, type(None))
)

# What writing a value that cannot be stored may raise; OverflowError where a datetime lies before year 1 in UTC.
_FAULTS = (TypeError, ValueError, OverflowError, RecursionError)


def _raise_fault(value: Any, path: str, *, depth: int, fallback: Exception) -> NoReturn:
    _find_fault(value, path, depth)
    raise ValidationError(f"{path or 'item'}: {fallback}", path=path or None) from fallback


def _find_fault(value: Any, path: str, depth: int) -> None:
    """Walk to the first value that cannot be stored and raise a ValidationError that names its place.

    Slow and only ever run after the fast way has failed.
    """
    if isinstance(value, (dict, list, tuple)) and depth > MAX_DEPTH:
        raise ValidationError(f"{path}: {_TOO_DEEP} (or the value contains itself)", path=path)
    if isinstance(value, dict):
        for name, element in value.items():
            place = f"{path}.{name}" if path else str(name)
            try:
                _QUOTED_NAMES[name].encode()
            except UnicodeEncodeError as fault:
                place = place.encode("ascii", "backslashreplace").decode()
                raise ValidationError(f"{place}: {_SURROGATE}", path=place) from fault
            except (TypeError, ValueError) as fault:
                raise ValidationError(f"{place or path or 'item'}: {fault}", path=place or path) from fault
            _find_fault(element, place, depth + 1)
    elif isinstance(value, (list, tuple)):
        for position, element in enumerate(value):
            _find_fault(element, f"{path}[{position}]", depth + 1)
    else:
        try:
            _WRITERS[type(value)](value, depth).encode()
        except UnicodeEncodeError as fault:
            raise ValidationError(f"{path}: {_SURROGATE}", path=path) from fault
        except _FAULTS as fault:
            raise ValidationError(f"{path}: {fault}", path=path) from fault


_SURROGATE = "text with a lone surrogate is no UTF-8; clean it, or store bytes"


# --- reading -----------------------------------------------------------------------------------------------------


class Reader:
    """Turns typed attributes into plain values, in place; knows how the user wants numbers."""

    __slots__ = ("_number",)

    def __init__(self, parse_float: Callable[[str], Any] | None = None) -> None:
        self._number = _number_reader(parse_float)

    def convert(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Turn a map of typed attributes, fresh from `json.loads`, into plain values, in place, and return it.

        Raises ValueError where it is no such map.
        """
        return self.convert_all([attributes])[0]

    def convert_all(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do the same for each item of a list."""
        number = self._number
        try:
            for item in items:
                if type(item) is not dict:
                    raise ValueError(f"a map of attributes was expected, not {type(item).__name__}")
                _convert_map(item, number)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"an attribute is not in DynamoDB's typed form: {error!r}") from error
        return items

    def reread(self, value: Any) -> Any:
        """Give what a Python value reads as once it has been stored."""
        return self.convert({"value": json.loads(write_value(value))})["value"]


# Converting in place, the frequent types tested first and without a call each, costs 0.7 of `json.loads` on top of it;
# a table of readers 0.9, new dictionaries 1.0. Replacing scalars in the JSON text by a compiled pattern was tried in
# four forms: all slower than this, and 0.4 ms to compile.


def _convert_map(attributes: dict[str, Any], number: Callable[[str], Any]) -> dict[str, Any]:
    for name in attributes:
        typed = attributes[name]
        if "S" in typed:
            attributes[name] = typed["S"]
        elif "N" in typed:
            text = typed["N"]
            attributes[name] = int(text) if text.isdigit() else number(text)
        elif "M" in typed:
            attributes[name] = _convert_map(typed["M"], number)
        elif "L" in typed:
            attributes[name] = _convert_list(typed["L"], number)
        else:
            attributes[name] = _convert_other(typed, number)
    return attributes


def _convert_list(elements: list[dict[str, Any]], number: Callable[[str], Any]) -> list[Any]:
    return [typed["S"] if "S" in typed else _convert_element(typed, number) for typed in elements]


def _convert_element(typed: dict[str, Any], number: Callable[[str], Any]) -> Any:
    if "N" in typed:
        return number(typed["N"])
    if "M" in typed:
        return _convert_map(typed["M"], number)
    if "L" in typed:
        return _convert_list(typed["L"], number)
    return _convert_other(typed, number)


def _convert_other(typed: dict[str, Any], number: Callable[[str], Any]) -> Any:
    [(tag, value)] = typed.items()
    return _OTHER_READERS[tag](value, number)


def _read_bytes(value: str | bytes, _number: Any) -> bytes:
    if isinstance(value, str):
        try:
            return a2b_base64(value)
        except _Base64Error as error:
            raise ValueError(f"a binary attribute is not base64: {error}") from error
    return bytes(value)


def _read_number_set(texts: list[str], number: Callable[[str], Any]) -> set[Any]:
    values = {number(text) for text in texts}
    if len(values) < len(texts):
        # A float stands for its shortest text, but Python compares its exact binary value: two numbers that differ in
        # DynamoDB may be equal in Python. As Decimals they differ.
        from decimal import Decimal

        return {Decimal(text) for text in texts}
    return values


_OTHER_READERS: dict[str, Callable[[Any, Any], Any]] = {
    "BOOL": lambda value, _: value,
    "NULL": lambda _value, _: None,
    "B": _read_bytes,
    "SS": lambda value, _: set(value),
    "NS": _read_number_set,
    "BS": lambda value, number: {_read_bytes(element, number) for element in value},
}


def _number_reader(parse_float: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Make the function that turns the text of a number into int, and otherwise float, Decimal or `parse_float`."""

    def number(text: str) -> Any:
        if text.isdigit() or (text[:1] == "-" and text[1:].isdigit()):
            return int(text)
        as_float = float(text)
        if parse_float is None and float.__repr__(as_float) == text and not as_float.is_integer():
            return as_float
        from decimal import Decimal

        exact = Decimal(text)
        # Past 2 ** 53 a float is always integral; whether the text is, Decimal knows.
        if as_float.is_integer() and exact == exact.to_integral_value():
            return int(exact)
        if parse_float is not None:
            return parse_float(text)
        return as_float if Decimal(float.__repr__(as_float)) == exact else exact

    return number


# --- the typed form, for users -------------------------------------------------------------------------------------

_DEFAULT_READER = Reader()


def marshal(value: Any) -> dict[str, Any]:
    """Turn a Python value into DynamoDB's typed form.

        marshal({"score": 3})  # {"M": {"score": {"N": "3"}}}

    Args:
        value: str, int, float, Decimal, bool, None, bytes-like, list, tuple, dict with str keys, a non-empty set of
            one kind, an aware datetime, a date, a UUID or an Enum of these.

    Returns:
        A dictionary of one entry, type tag → value, as the low-level botocore client takes it (binary values as
        `bytes`).

    Raises:
        ValidationError: DynamoDB cannot hold the value; `.path` names the place, such as `"value.items[3].price"`.

    Cost: no request.
    Source: the developer guide's "Supported data types and naming rules".
    """
    return marshal_at(value, "value")


def unmarshal(attribute: Mapping[str, Any], *, parse_float: Callable[[str], Any] | None = None) -> Any:
    """Turn one typed attribute back into a Python value.

        unmarshal({"N": "3.5"})  # 3.5

    Args:
        attribute: one entry, type tag → value. Binary values may be `bytes` or base64 text, as Lambda receives them
            from DynamoDB Streams. Not changed.
        parse_float: called with the text of every number that is not integral, such as `decimal.Decimal`. By default
            a float where that loses no digit, else a Decimal.

    Raises:
        ValidationError: this is no typed attribute.

    Cost: no request.
    Source: the developer guide's "Supported data types and naming rules".
    """
    return unmarshal_item({"value": attribute}, parse_float=parse_float)["value"]


def marshal_item(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Turn an item into typed form, attribute by attribute; see `marshal`.

        marshal_item({"id": "1", "score": 3})  # {"id": {"S": "1"}, "score": {"N": "3"}}

    Raises:
        ValidationError: a value cannot be stored; `.path` names the place, such as `"items[3].price"`.

    Cost: no request.
    Source: the developer guide's "Supported data types and naming rules".
    """
    return marshal_item_at(item, "")


def marshal_at(value: Any, path: str) -> dict[str, Any]:
    """Marshal a value that errors are to find under `path`."""
    typed: dict[str, Any] = json.loads(write_value(value, path))
    return _decode_bytes(typed)


def marshal_item_at(item: Mapping[str, Any], path: str) -> dict[str, dict[str, Any]]:
    """Marshal an item that errors are to find under `path`."""
    return {name: _decode_bytes(typed) for name, typed in json.loads(write_item(item, path=path)).items()}


def unmarshal_item(
    typed: Mapping[str, Mapping[str, Any]], *, parse_float: Callable[[str], Any] | None = None
) -> dict[str, Any]:
    """Turn an item in typed form (a Streams image, a low-level client's answer) into plain values; see `unmarshal`.

        unmarshal_item(record["dynamodb"]["NewImage"])

    Raises:
        ValidationError: something in it is not a typed attribute.

    Cost: no request.
    Source: the developer guide's "Supported data types and naming rules".
    """
    reader = _DEFAULT_READER if parse_float is None else Reader(parse_float)
    try:
        copied = {name: _copy_typed(attribute) for name, attribute in typed.items()}
        return reader.convert(copied)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"not an item in DynamoDB's typed form ({{'name': {{'S': 'text'}}}}): {error}") from error


def _copy_typed(attribute: Mapping[str, Any]) -> dict[str, Any]:
    [(tag, value)] = attribute.items()
    if tag == "M":
        return {tag: {name: _copy_typed(element) for name, element in value.items()}}
    if tag == "L":
        return {tag: [_copy_typed(element) for element in value]}
    if tag not in _SCALAR_KINDS and tag not in _ELEMENT_TAGS:
        raise ValueError(f"{tag!r} is not one of DynamoDB's type tags")
    if tag in _ELEMENT_TAGS and not isinstance(value, (str, bytes)):
        return {tag: [_check_scalar(_ELEMENT_TAGS[tag], element) for element in value]}
    return {tag: _check_scalar(tag, value)}


# What users hand over is checked: `bytes(5)` is five zero bytes, `set("abc")` three strings.
_SCALAR_KINDS: dict[str, tuple[type, ...]] = {
    "S": (str,),
    "N": (str,),
    "BOOL": (bool,),
    "NULL": (bool,),
    "B": (str, bytes, bytearray, memoryview),
}
_ELEMENT_TAGS = {"SS": "S", "NS": "N", "BS": "B"}


def _check_scalar(tag: str, value: Any) -> Any:
    if not isinstance(value, _SCALAR_KINDS.get(tag, ())):
        raise TypeError(f"{tag} cannot hold {type(value).__name__}")
    return value


def _decode_bytes(typed: dict[str, Any]) -> dict[str, Any]:
    [(tag, value)] = typed.items()
    if tag == "B":
        return {tag: a2b_base64(value)}
    if tag == "BS":
        return {tag: [a2b_base64(element) for element in value]}
    if tag == "L":
        return {tag: [_decode_bytes(element) for element in value]}
    if tag == "M":
        return {tag: {name: _decode_bytes(element) for name, element in value.items()}}
    return typed
