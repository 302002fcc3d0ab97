"""PynamoDB: a declared model."""

# mypy: disable-error-code="import-untyped,import-not-found,no-untyped-call,type-arg,attr-defined,misc"
# ruff: noqa: N815 - the attributes' names are the table's

from __future__ import annotations

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from bench.items import INDEX_KEY, INDEX_NAME, TABLE_NAME, plain_item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class ScopeIndex(GlobalSecondaryIndex):
    class Meta:
        index_name = INDEX_NAME
        projection = AllProjection()

    indexScope = UnicodeAttribute(hash_key=True)
    sequence = NumberAttribute(range_key=True)


class State(MapAttribute):
    active = BooleanAttribute()
    score = NumberAttribute()


class Record(Model):
    class Meta:
        table_name = TABLE_NAME

    model = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    scope = UnicodeAttribute()
    sequence = NumberAttribute()
    name = UnicodeAttribute()
    alias = UnicodeAttribute()
    createdAt = UnicodeAttribute()
    updatedAt = UnicodeAttribute()
    state = State()
    tags = ListAttribute(of=UnicodeAttribute)
    indexScope = UnicodeAttribute()
    indexAlias = UnicodeAttribute()
    by_scope = ScopeIndex()


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    # The connection is made on first use, from the host named here, and kept on the class.
    Record.Meta.host = endpoint
    Record._connection = None
    record = Record(**plain_item())
    return {
        "put": record.save,
        "get": lambda: Record.get(record.model, record.id),
        "query": lambda limit: list(Record.by_scope.query(INDEX_KEY, scan_index_forward=False, limit=limit)),
        "close": lambda: Record._get_connection().connection.client.close(),
    }
