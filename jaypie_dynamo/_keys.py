"""Index keys: how scope, model and a field become the text that an index is read by. Pure.

The text is shared with the TypeScript package: `{scope}#{model}` and `{scope}#{model}#{field}`, followed by the state
(`#archived`, `#deleted`), so that live items, archived items and deleted items lie in partitions of their own.

Source: the storage format of `@jaypie/dynamodb`.
"""

from __future__ import annotations

import sys

from ._errors import ValidationError
from ._schema import (
    APEX,
    ARCHIVED_SUFFIX,
    DELETED_SUFFIX,
    INDEX_FIELDS,
    INDEX_RANGE_KEY,
    INDEX_SCOPE,
    MAX_HASH_KEY_BYTES,
    MAX_RANGE_KEY_BYTES,
    SEPARATOR,
    STATE_SUFFIXES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_STATE_ENDINGS = (ARCHIVED_SUFFIX, DELETED_SUFFIX)
_FIELD_INDEXES = tuple((index, field) for index, field in INDEX_FIELDS.items() if field is not None)


def build_index_scope(scope: str, model: str) -> str:
    """Build the key of `indexScope`.

        build_index_scope("@", "record")  # "@#record"

    Args:
        scope: `APEX`, or what `calculate_scope` returns for the parent.
        model: the entity's model.

    Raises:
        ValidationError: an argument is empty, no str, or would collide with another key.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    return _check_size(_check_scope(scope) + SEPARATOR + _check_model(model), INDEX_SCOPE)


def build_index_alias(scope: str, model: str, alias: str | int) -> str:
    """Build the key of `indexAlias`.

        build_index_alias("@", "record", "my-alias")  # "@#record#my-alias"

    Args:
        scope: `APEX`, or what `calculate_scope` returns for the parent.
        model: the entity's model.
        alias: the human-friendly name.

    Raises:
        ValidationError: an argument is empty, of another type, or would collide with another key.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    return build_field_key("alias", scope=scope, model=model, value=alias)


def build_index_class(scope: str, model: str, record_class: str | int) -> str:
    """Build the key of `indexClass`.

        build_index_class("@", "record", "memory")  # "@#record#memory"

    Args:
        scope: `APEX`, or what `calculate_scope` returns for the parent.
        model: the entity's model.
        record_class: the entity's `class`.

    Raises:
        ValidationError: an argument is empty, of another type, or would collide with another key.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    return build_field_key("class", scope=scope, model=model, value=record_class)


def build_index_type(scope: str, model: str, type: str | int) -> str:
    """Build the key of `indexType`.

        build_index_type("@", "record", "note")  # "@#record#note"

    Args:
        scope: `APEX`, or what `calculate_scope` returns for the parent.
        model: the entity's model.
        type: the entity's `type`.

    Raises:
        ValidationError: an argument is empty, of another type, or would collide with another key.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    return build_field_key("type", scope=scope, model=model, value=type)


def build_index_xid(scope: str, model: str, xid: str | int) -> str:
    """Build the key of `indexXid`.

        build_index_xid("@", "record", "ext-123")  # "@#record#ext-123"

    Args:
        scope: `APEX`, or what `calculate_scope` returns for the parent.
        model: the entity's model.
        xid: the id the entity has in another system.

    Raises:
        ValidationError: an argument is empty, of another type, or would collide with another key.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    return build_field_key("xid", scope=scope, model=model, value=xid)


def build_composite_key(entity: Mapping[str, Any], fields: Sequence[str], suffix: str = "") -> str:
    """Join fields of an entity to one key.

        build_composite_key({"scope": "@", "model": "record"}, ["scope", "model"])  # "@#record"

    Args:
        entity: where the fields are read.
        fields: names of the fields, in order.
        suffix: put at the end as it is.

    Raises:
        ValidationError: a field is missing, empty, or neither str nor int.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    if isinstance(fields, str) or not fields:
        raise ValidationError("fields must be a list of one field name or more", path="fields")
    return SEPARATOR.join([_field_text(field, entity.get(field)) for field in fields]) + suffix


def calculate_scope(parent: Mapping[str, Any] | None = None) -> str:
    """Derive the scope of an entity from its parent.

        calculate_scope({"model": "chat", "id": "abc-123"})  # "chat#abc-123"

    Args:
        parent: a mapping with `model` and `id`, such as an entity; None for the root.

    Returns:
        `{model}#{id}`, or `APEX` without a parent.

    Raises:
        ValidationError: the parent lacks `model` or `id`.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    if parent is None:
        return APEX
    for name in ("model", "id"):
        if not isinstance(parent.get(name), str) or not parent[name]:
            raise ValidationError(f"parent.{name} must be a non-empty str", path=f"parent.{name}")
    return SEPARATOR.join((parent["model"], parent["id"]))


def index_entity(entity: Mapping[str, Any], suffix: str | None = None) -> dict[str, Any]:
    """Return a copy of an entity with its index keys.

        index_entity({"model": "record", "id": "1", "scope": "@", "alias": "x"})
        # {…, "indexScope": "@#record", "indexAlias": "@#record#x"}

    `indexScope` is always there, each other key only while its field is set (present, not None, not empty); a key left
    behind by a field that is no longer set is removed.

    Args:
        entity: the entity; not changed.
        suffix: put behind every key. None derives it from the entity's own `archivedAt` and `deletedAt`.

    Raises:
        ValidationError: a field is missing, of the wrong type, too long, or would collide with another key; `.path`
            names it.

    Cost: no request.
    Source: the storage format of `@jaypie/dynamodb`.
    """
    indexed = dict(entity)
    base = _check_scope(entity.get("scope")) + SEPARATOR + _check_model(entity.get("model"))
    check_id(entity.get("id"))
    if INDEX_RANGE_KEY in entity:
        check_sequence(entity[INDEX_RANGE_KEY])
    if suffix is None:
        suffix = state_suffix(entity)
    indexed[INDEX_SCOPE] = _check_size(base + suffix, INDEX_SCOPE)
    for index, field in _FIELD_INDEXES:
        value = entity.get(field)
        if value is None or value == "":
            indexed.pop(index, None)
        else:
            indexed[index] = _check_size(base + SEPARATOR + _field_text(field, value) + suffix, field)
    return indexed


def build_field_key(field: str, *, scope: Any, model: Any, value: Any) -> str:
    """Build the key of the index that belongs to a field, without a state suffix."""
    base = _check_scope(scope) + SEPARATOR + _check_model(model)
    return _check_size(base + SEPARATOR + _field_text(field, value), field)


def state_suffix(entity: Mapping[str, Any]) -> str:
    """Derive the suffix of an entity's index keys from its own state."""
    return STATE_SUFFIXES[is_set(entity.get("archivedAt")), is_set(entity.get("deletedAt"))]


# A reserved field with one of these counts as not set.
UNSET = (None, "")


def is_set(value: Any) -> bool:
    """Tell whether a reserved field counts as set: present, not None, not empty."""
    return value not in UNSET


def field_text(value: Any) -> str | None:
    """Write an index field as it stands in its key; None where it is not set or has no such text."""
    if isinstance(value, str):
        return str.__str__(value) or None  # an Enum's own __str__ is its name; what is stored is its text
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    return None


def check_id(value: Any) -> str:
    """Return the id if it can be the table's range key."""
    if not isinstance(value, str) or not value:
        raise ValidationError(_missing("id", value), path="id")
    if len(value) * 4 > MAX_RANGE_KEY_BYTES and _size_bytes(value) > MAX_RANGE_KEY_BYTES:
        raise ValidationError(f"id has {_size_bytes(value)} bytes; DynamoDB allows {MAX_RANGE_KEY_BYTES}", path="id")
    return value


def check_model(value: Any) -> str:
    """Return the model if it can be the table's hash key."""
    return _check_size(_check_model(value), "model")


def check_sequence(value: Any, *, path: str = INDEX_RANGE_KEY) -> Any:
    """Return the sequence if it can be the range key of the indexes: a finite number, no bool."""
    if type(value) is int:
        return value
    decimal = sys.modules.get("decimal")  # only a loaded module can have made a Decimal
    numbers = (int, float) if decimal is None else (int, float, decimal.Decimal)
    if isinstance(value, bool) or not isinstance(value, numbers):
        raise ValidationError(
            f"{path} must be a number, such as epoch milliseconds, not {type(value).__name__}", path=path
        )
    # A Decimal is asked itself: comparing a signalling NaN raises.
    if not (value.is_finite() if hasattr(value, "is_finite") else float("-inf") < value < float("inf")):
        raise ValidationError(f"{path} must be a finite number", path=path)
    return value


def exact_number(value: Any) -> Any:
    """Give the number as DynamoDB holds it, to be compared: a float is its shortest text there, no binary fraction."""
    if isinstance(value, int):
        return value
    from decimal import Decimal

    return Decimal(float.__repr__(value) if isinstance(value, float) else str(value))


def _check_scope(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValidationError(_missing("scope", value) + '; the root is APEX, "@"', path="scope")
    return value


def _check_model(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValidationError(_missing("model", value), path="model")
    if SEPARATOR in value:
        raise ValidationError(
            f"model must not contain {SEPARATOR!r}, the separator of index keys; use '-' or '_'", path="model"
        )
    return value


def _field_text(field: str, value: Any) -> str:
    text = field_text(value)
    if text is None:
        raise ValidationError(f"{_missing(field, value)} or int", path=field)
    if text.endswith(_STATE_ENDINGS):
        raise ValidationError(
            f"{field} must not end in {' or '.join(_STATE_ENDINGS)}: its index key would mean that state", path=field
        )
    return text


def _check_size(key: str, field: str) -> str:
    # A character takes at most 4 bytes, so most keys need no encoding to know.
    if len(key) * 4 > MAX_HASH_KEY_BYTES and _size_bytes(key) > MAX_HASH_KEY_BYTES:
        raise ValidationError(
            f"{field} makes a key of {_size_bytes(key)} bytes; DynamoDB allows {MAX_HASH_KEY_BYTES}: shorten it",
            path=field,
        )
    return key


def _size_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _missing(field: str, value: Any) -> str:
    if value is None or value == "":
        return f"{field} is missing or empty; it must be a non-empty str"
    return f"{field} is a {type(value).__name__}; it must be a non-empty str"
