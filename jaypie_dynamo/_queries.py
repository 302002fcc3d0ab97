"""Queries: reading entities through the five indexes.

Every function here reads one index; the state asked for decides which of its partitions. Index reads are eventually
consistent: a write shows up a moment later, and `get_entity(consistent=True)` is the way to see one's own.
"""

from __future__ import annotations

from collections import namedtuple
from contextvars import copy_context

from ._client import current_client, use_client
from ._errors import ConfigurationError, ValidationError
from ._expressions import Condition, condition_names
from ._expressions import where as attribute
from ._keys import build_field_key, build_index_scope, check_model, check_sequence, exact_number, field_text, is_set
from ._marshal import write_value
from ._pages import Selection, count_partition, read_page
from ._schema import (
    ARCHIVED_SUFFIX,
    DELETED_SUFFIX,
    HASH_KEY,
    INDEX_FIELDS,
    INDEX_RANGE_KEY,
    INDEX_SCOPE,
    RANGE_KEY,
    STATE_SUFFIXES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextvars import Context
    from datetime import datetime
    from typing import Any, NamedTuple

    from ._expressions import Path
    from ._types import Cursor

    class QueryResult(NamedTuple):
        """What a query returns; unpacks to `items, last_evaluated_key`.

        Attributes:
            items: the entities, in order of `sequence`.
            last_evaluated_key: pass it as `start_key` to go on; None at the end. JSON-serialisable.
        """

        items: list[dict[str, Any]]
        last_evaluated_key: Cursor | None

else:
    QueryResult = namedtuple("QueryResult", "items last_evaluated_key")

_FIELD_INDEXES = {field: index for index, field in INDEX_FIELDS.items() if field is not None}

# `query` reads the index that is likely to hold the fewest entities.
_PREFERENCE = ("alias", "xid", "class", "type")


def query_by_scope(
    *,
    model: str,
    scope: str,
    limit: int | None = None,
    ascending: bool = False,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    start_key: Cursor | None = None,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
    max_pages: int | None = None,
) -> QueryResult:
    """List the entities of a model under a parent, newest first.

        items, cursor = query_by_scope(model="message", scope="chat#abc-123", limit=25)

    Args:
        model: the model of the entities.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        limit: how many entities to return at most; pages are followed until it is reached or the data ends. None reads
            one page of at most 1 MB (of each state asked for).
        ascending: oldest `sequence` first.
        include_deleted: deleted entities too.
        include_archived: archived entities too; with `include_deleted` also those that are both.
        deleted: deleted entities only; with `archived` only those that are both.
        archived: archived entities only.
        start_key: `last_evaluated_key` of the page before.
        after: entities with a greater `sequence` only: a number, or an aware datetime for epoch milliseconds.
        before: entities with a smaller `sequence` only.
        where: a condition on other attributes; applied by DynamoDB after reading.
        attributes: paths of the attributes to return; None for all.
        max_pages: how many requests to make at most; a page comes back short only for this or for a deadline.

    Returns:
        `QueryResult(items, last_evaluated_key)`. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each page and state; 0.5 read units for each 4 KB read, filtered out or not.
    Source: the DynamoDB API page of Query; `queryByScope` of `@jaypie/dynamodb`.
    """
    return _read(
        _select(
            INDEX_SCOPE,
            build_index_scope(scope, model),
            model=model,
            scope=scope,
            suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
            ascending=ascending,
            after=after,
            before=before,
            where=where,
            attributes=attributes,
        ),
        limit=limit,
        start_key=start_key,
        max_pages=max_pages,
    )


def query_by_class(
    *,
    model: str,
    scope: str,
    record_class: str | int,
    limit: int | None = None,
    ascending: bool = False,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    start_key: Cursor | None = None,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
    max_pages: int | None = None,
) -> QueryResult:
    """List the entities of one class under a parent, newest first.

        query_by_class(model="record", scope=APEX, record_class="memory")

    Args:
        model: the model of the entities.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        record_class: what the entities have as `class`.
        limit: see `query_by_scope`, as for all that follow.
        ascending: oldest first.
        include_deleted: deleted entities too.
        include_archived: archived entities too.
        deleted: deleted entities only.
        archived: archived entities only.
        start_key: `last_evaluated_key` of the page before.
        after: greater `sequence` only.
        before: smaller `sequence` only.
        where: a condition on other attributes.
        attributes: paths of the attributes to return.
        max_pages: how many requests to make at most.

    Returns:
        `QueryResult(items, last_evaluated_key)`. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each page and state; 0.5 read units for each 4 KB read, filtered out or not.
    Source: the DynamoDB API page of Query; `queryByClass` of `@jaypie/dynamodb`.
    """
    return _read(
        _select_field(
            "class",
            record_class,
            model=model,
            scope=scope,
            suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
            ascending=ascending,
            after=after,
            before=before,
            where=where,
            attributes=attributes,
        ),
        limit=limit,
        start_key=start_key,
        max_pages=max_pages,
    )


def query_by_type(
    *,
    model: str,
    scope: str,
    type: str | int,
    limit: int | None = None,
    ascending: bool = False,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    start_key: Cursor | None = None,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
    max_pages: int | None = None,
) -> QueryResult:
    """List the entities of one type under a parent, newest first.

        query_by_type(model="record", scope=APEX, type="note")

    Args:
        model: the model of the entities.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        type: what the entities have as `type`.
        limit: see `query_by_scope`, as for all that follow.
        ascending: oldest first.
        include_deleted: deleted entities too.
        include_archived: archived entities too.
        deleted: deleted entities only.
        archived: archived entities only.
        start_key: `last_evaluated_key` of the page before.
        after: greater `sequence` only.
        before: smaller `sequence` only.
        where: a condition on other attributes.
        attributes: paths of the attributes to return.
        max_pages: how many requests to make at most.

    Returns:
        `QueryResult(items, last_evaluated_key)`. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each page and state; 0.5 read units for each 4 KB read, filtered out or not.
    Source: the DynamoDB API page of Query; `queryByType` of `@jaypie/dynamodb`.
    """
    return _read(
        _select_field(
            "type",
            type,
            model=model,
            scope=scope,
            suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
            ascending=ascending,
            after=after,
            before=before,
            where=where,
            attributes=attributes,
        ),
        limit=limit,
        start_key=start_key,
        max_pages=max_pages,
    )


def query_by_alias(
    *,
    model: str,
    scope: str,
    alias: str | int,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
) -> dict[str, Any] | None:
    """Find an entity by its alias.

        query_by_alias(model="record", scope=APEX, alias="2026-01-07")

    Where several have the alias: active before archived before deleted, then the highest `sequence`.

    Args:
        model: the model of the entity.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        alias: the alias.
        include_deleted: a deleted entity too.
        include_archived: an archived entity too.
        deleted: a deleted entity only.
        archived: an archived entity only.
        where: a condition on other attributes.
        attributes: paths of the attributes to return.

    Returns:
        The entity, or None. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each state until one is found; 0.5 read units for each 4 KB read.
    Source: the DynamoDB API page of Query; `queryByAlias` of `@jaypie/dynamodb`.
    """
    return _find(
        "alias",
        alias,
        model=model,
        scope=scope,
        suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
        where=where,
        attributes=attributes,
    )


def query_by_xid(
    *,
    model: str,
    scope: str,
    xid: str | int,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
) -> dict[str, Any] | None:
    """Find an entity by the id it has in another system.

        query_by_xid(model="record", scope=APEX, xid="ext-12345")

    Where several have the xid: active before archived before deleted, then the highest `sequence`.

    Args:
        model: the model of the entity.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        xid: the external id.
        include_deleted: a deleted entity too.
        include_archived: an archived entity too.
        deleted: a deleted entity only.
        archived: an archived entity only.
        where: a condition on other attributes.
        attributes: paths of the attributes to return.

    Returns:
        The entity, or None. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each state until one is found; 0.5 read units for each 4 KB read.
    Source: the DynamoDB API page of Query; `queryByXid` of `@jaypie/dynamodb`.
    """
    return _find(
        "xid",
        xid,
        model=model,
        scope=scope,
        suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
        where=where,
        attributes=attributes,
    )


def query(
    *,
    model: str | None = None,
    scope: str | None = None,
    filter: Mapping[str, Any] | None = None,
    limit: int | None = None,
    ascending: bool = False,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    start_key: Cursor | None = None,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
    max_pages: int | None = None,
) -> QueryResult:
    """List entities by what they have, through the index that fits.

        query(model="record", scope=APEX, filter={"class": "memory", "status": "open"})

    With `scope`, the index is that of the first of `alias`, `xid`, `class`, `type` in `filter`, else `indexScope`.
    Without `scope` the base table is read by `model`: all scopes and states of the model are read, and the order is
    that of `id`. Every other field of `filter` becomes a condition.

    Args:
        model: the model of the entities.
        scope: `APEX` for the root, or `calculate_scope(parent)`; None for every scope.
        filter: attribute names (taken as they are, no paths) and the values they must have; None means not set.
        limit: see `query_by_scope`, as for all that follow.
        ascending: oldest first.
        include_deleted: deleted entities too.
        include_archived: archived entities too.
        deleted: deleted entities only.
        archived: archived entities only.
        start_key: `last_evaluated_key` of the page before.
        after: greater `sequence` only.
        before: smaller `sequence` only.
        where: a condition on other attributes.
        attributes: paths of the attributes to return.
        max_pages: how many requests to make at most.

    Returns:
        `QueryResult(items, last_evaluated_key)`. Eventually consistent.

    Raises:
        ConfigurationError: no index fits; no client or no table name.
        ValidationError: an argument is wrong; nothing was sent.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each page and state; 0.5 read units for each 4 KB read, filtered out or not.
    Source: the DynamoDB API page of Query; `query` of `@jaypie/dynamodb`.
    """
    if not model:
        raise ConfigurationError(
            "query needs a model to choose an index: indexScope needs model and scope; indexAlias, indexXid, "
            "indexClass and indexType need alias, xid, class or type in filter as well; the base table needs model."
        )
    if filter is not None and not hasattr(filter, "keys"):
        raise ValidationError(
            f"filter must be a mapping of attribute names to values, not {_name_of(filter)}; conditions go into where=",
            path="filter",
        )
    fields = dict(filter or {})
    for name, given in (("model", model), ("scope", scope)):
        if name in fields and fields.pop(name) != given:
            raise ValidationError(f"filter has another {name} than the argument {name}=", path=f"filter.{name}")
    suffixes = _suffixes(include_deleted, include_archived, deleted, archived)
    chosen = next((field for field in _PREFERENCE if scope is not None and is_set(fields.get(field))), None)
    value = fields.pop(chosen) if chosen is not None else None
    for name, wanted in fields.items():
        where = _both(where, _equals(name, wanted))
    if scope is None:
        selection = _select_model(
            model,
            suffixes=suffixes,
            ascending=ascending,
            after=after,
            before=before,
            where=where,
            attributes=attributes,
        )
    elif chosen is None:
        selection = _select(
            INDEX_SCOPE,
            build_index_scope(scope, model),
            model=model,
            scope=scope,
            suffixes=suffixes,
            ascending=ascending,
            after=after,
            before=before,
            where=where,
            attributes=attributes,
        )
    else:
        selection = _select_field(
            chosen,
            value,
            model=model,
            scope=scope,
            suffixes=suffixes,
            ascending=ascending,
            after=after,
            before=before,
            where=where,
            attributes=attributes,
        )
    return _read(selection, limit=limit, start_key=start_key, max_pages=max_pages)


def count_by_scope(
    *,
    model: str,
    scope: str,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
) -> int:
    """Count the entities of a model under a parent, without fetching them.

        count_by_scope(model="message", scope="chat#abc-123")

    Args:
        model: see `query_by_scope`, as for all arguments.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        include_deleted: deleted entities too.
        include_archived: archived entities too.
        deleted: deleted entities only.
        archived: archived entities only.
        after: greater `sequence` only.
        before: smaller `sequence` only.
        where: a condition on other attributes.

    Returns:
        How many there are. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each MB and state; 0.5 read units for each 4 KB read.
    Source: the DynamoDB API page of Query, `Select=COUNT`.
    """
    return _count(
        _select(
            INDEX_SCOPE,
            build_index_scope(scope, model),
            model=model,
            scope=scope,
            suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
            after=after,
            before=before,
            where=where,
        )
    )


def count_by_class(
    *,
    model: str,
    scope: str,
    record_class: str | int,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
) -> int:
    """Count the entities of one class under a parent, without fetching them; see `count_by_scope`.

        count_by_class(model="record", scope=APEX, record_class="memory")

    Args:
        model: see `query_by_scope`, as for all arguments.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        record_class: what the entities have as `class`.
        include_deleted: deleted entities too.
        include_archived: archived entities too.
        deleted: deleted entities only.
        archived: archived entities only.
        after: greater `sequence` only.
        before: smaller `sequence` only.
        where: a condition on other attributes.

    Returns:
        How many there are. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each MB and state; 0.5 read units for each 4 KB read.
    Source: the DynamoDB API page of Query, `Select=COUNT`.
    """
    return _count(
        _select_field(
            "class",
            record_class,
            model=model,
            scope=scope,
            suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
            after=after,
            before=before,
            where=where,
        )
    )


def count_by_type(
    *,
    model: str,
    scope: str,
    type: str | int,
    include_deleted: bool = False,
    include_archived: bool = False,
    deleted: bool = False,
    archived: bool = False,
    after: float | datetime | None = None,
    before: float | datetime | None = None,
    where: Condition | None = None,
) -> int:
    """Count the entities of one type under a parent, without fetching them; see `count_by_scope`.

        count_by_type(model="record", scope=APEX, type="note")

    Args:
        model: see `query_by_scope`, as for all arguments.
        scope: `APEX` for the root, or `calculate_scope(parent)`.
        type: what the entities have as `type`.
        include_deleted: deleted entities too.
        include_archived: archived entities too.
        deleted: deleted entities only.
        archived: archived entities only.
        after: greater `sequence` only.
        before: smaller `sequence` only.
        where: a condition on other attributes.

    Returns:
        How many there are. Eventually consistent.

    Raises:
        ValidationError: an argument is wrong; nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one Query for each MB and state; 0.5 read units for each 4 KB read.
    Source: the DynamoDB API page of Query, `Select=COUNT`.
    """
    return _count(
        _select_field(
            "type",
            type,
            model=model,
            scope=scope,
            suffixes=_suffixes(include_deleted, include_archived, deleted, archived),
            after=after,
            before=before,
            where=where,
        )
    )


def iter_query(
    query_function: Callable[..., QueryResult],
    *,
    limit: int | None = None,
    page_size: int | None = None,
    **params: Any,
) -> Iterator[dict[str, Any]]:
    """Iterate over the entities of a query, page after page; one page is in memory at a time.

        for message in iter_query(query_by_scope, model="message", scope="chat#abc-123"):
            ...

    Args:
        query_function: `query_by_scope`, `query_by_class`, `query_by_type` or `query`.
        limit: how many entities in all; None for all there are.
        page_size: how many entities to ask for at a time; None for pages of at most 1 MB.
        params: what the query function takes.

    Returns:
        An iterator, bound to the client and the deadline that are current when `iter_query` is called.

    Raises:
        ValidationError: an argument is wrong.
        ConfigurationError: no client.

    Cost: what the query function costs, page by page, as far as the iterator is drained.
    Source: the DynamoDB API page of Query.
    """
    if query_function not in (query_by_scope, query_by_class, query_by_type, query):
        raise ValidationError(
            "iter_query takes query_by_scope, query_by_class, query_by_type or query; "
            "query_by_alias and query_by_xid return one entity",
            path="query_function",
        )
    _check_count("limit", limit)
    _check_count("page_size", page_size)
    context = copy_context()
    context.run(use_client(current_client()).__enter__)
    return _iterate(context, query_function, limit, page_size, params)


# Entities asked for at a time where `iter_query` has a limit but no page size.
_ITER_PAGE = 1000


def _iterate(
    context: Context,
    query_function: Callable[..., QueryResult],
    limit: int | None,
    page_size: int | None,
    params: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    left = limit
    while True:
        size = page_size if left is None else min(left, page_size or _ITER_PAGE)
        page = context.run(query_function, limit=size, **params)
        yield from page.items
        if left is not None:
            left -= len(page.items)
        if page.last_evaluated_key is None or left == 0:
            return
        params = {**params, "start_key": page.last_evaluated_key}


def _read(selection: Selection, *, limit: int | None, start_key: Cursor | None, max_pages: int | None) -> QueryResult:
    _check_count("limit", limit)
    _check_count("max_pages", max_pages)
    items, cursor = read_page(current_client(), selection, limit=limit, start_key=start_key, max_pages=max_pages)
    return QueryResult(items, cursor)


def _find(
    field: str,
    value: str | int,
    *,
    model: str,
    scope: str,
    suffixes: tuple[str, ...],
    where: Condition | None,
    attributes: Sequence[Path] | None,
) -> dict[str, Any] | None:
    client = current_client()
    selection = _select_field(
        field, value, model=model, scope=scope, suffixes=suffixes, where=where, attributes=attributes
    )
    for suffix in suffixes:
        selection.suffixes = (suffix,)
        items, _ = read_page(client, selection, limit=1)
        if items:
            return items[0]
    return None


def _count(selection: Selection) -> int:
    # No item comes back to be looked at, so whether it belongs into the partition it lies in is asked by a filter.
    client = current_client()
    belongs = attribute((HASH_KEY,)).eq(selection.model) & attribute(("scope",)).eq(selection.scope)
    if selection.field is not None and selection.text is not None:
        belongs &= attribute((selection.field,)).in_(_values_of(selection.text))
    belongs = _both(selection.where, belongs)
    total = 0
    for suffix in selection.suffixes:
        selection.where = belongs & _state_condition(suffix)
        total += count_partition(client, selection, suffix)
    return total


def _values_of(text: str) -> list[str | int]:
    """List the values that may stand in an index key as this text."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return [text]
    try:
        write_value(int(text))
    except ValidationError:
        return [text]
    return [text, int(text)]


def _select(
    index: str,
    key: str,
    *,
    model: str,
    scope: str,
    suffixes: tuple[str, ...],
    field: str | None = None,
    text: str | None = None,
    ascending: bool = False,
    after: Any = None,
    before: Any = None,
    where: Condition | None = None,
    attributes: Sequence[Path] | None = None,
) -> Selection:
    _check_where(where, keys=(index, INDEX_RANGE_KEY))
    after, before = _check_range(after, before)
    return Selection(
        index=index,
        key=key,
        suffixes=suffixes,
        model=model,
        scope=scope,
        field=field,
        text=text,
        ascending=ascending,
        after=after,
        before=before,
        where=where,
        attributes=attributes,
    )


def _select_field(field: str, value: Any, *, model: str, scope: str, **options: Any) -> Selection:
    key = build_field_key(field, scope=scope, model=model, value=value)
    return _select(_FIELD_INDEXES[field], key, model=model, scope=scope, field=field, text=field_text(value), **options)


def _select_model(
    model: str,
    *,
    suffixes: tuple[str, ...],
    ascending: bool,
    after: Any,
    before: Any,
    where: Condition | None,
    attributes: Sequence[Path] | None,
) -> Selection:
    _check_where(where, keys=(HASH_KEY, RANGE_KEY))
    after, before = _check_range(after, before)
    # In the base table neither sequence nor state is part of a key, so they are asked of each item.
    if after is not None:
        where = _both(where, attribute((INDEX_RANGE_KEY,)).gt(after))
    if before is not None:
        where = _both(where, attribute((INDEX_RANGE_KEY,)).lt(before))
    if len(suffixes) < len(STATE_SUFFIXES):
        states = [_state_condition(suffix) for suffix in suffixes]
        state = states[0]
        for other in states[1:]:
            state |= other
        where = _both(where, state)
    return Selection(
        index=None,
        key=check_model(model),
        suffixes=suffixes,
        model=model,
        ascending=ascending,
        where=where,
        attributes=attributes,
    )


def _state_condition(suffix: str) -> Condition:
    archived, deleted = _unset("archivedAt"), _unset("deletedAt")
    if ARCHIVED_SUFFIX in suffix:
        archived = ~archived
    if DELETED_SUFFIX in suffix:
        deleted = ~deleted
    return archived & deleted


def _equals(name: str, value: Any) -> Condition:
    return _unset(name) if value is None else attribute((name,)).eq(value)


def _unset(name: str) -> Condition:
    return attribute((name,)).not_exists() | attribute((name,)).in_((None, ""))


def _both(condition: Condition | None, other: Condition) -> Condition:
    return other if condition is None else condition & other


def _suffixes(include_deleted: bool, include_archived: bool, deleted: bool, archived: bool) -> tuple[str, ...]:
    """Tell which states a call reads."""
    if deleted or archived:
        if include_deleted or include_archived:
            raise ValidationError(
                "deleted= and archived= read one state only; include_deleted= and include_archived= read it beside the "
                "active one: use the one or the other",
                path="deleted" if deleted else "archived",
            )
        return (STATE_SUFFIXES[bool(archived), bool(deleted)],)
    return tuple(
        suffix
        for (is_archived, is_deleted), suffix in STATE_SUFFIXES.items()
        if (include_archived or not is_archived) and (include_deleted or not is_deleted)
    )


def _check_where(where: Condition | None, *, keys: tuple[str, ...]) -> None:
    if where is None:
        return
    if not isinstance(where, Condition):
        raise ValidationError(
            f'where must be a condition, such as where("status").eq("open"), not {_name_of(where)}', path="where"
        )
    named = condition_names(where)
    for key in keys:
        if key in named:
            instead = {INDEX_RANGE_KEY: "use after= and before=", RANGE_KEY: "use get_entity"}.get(
                key, "it is what the query reads by"
            )
            raise ValidationError(f"where cannot ask for {key!r}, a key of the index that is read: {instead}", path=key)


def _check_range(after: Any, before: Any) -> tuple[Any, Any]:
    after, before = _read_moment("after", after), _read_moment("before", before)
    if after is not None and before is not None and exact_number(after) >= exact_number(before):
        raise ValidationError("after must be smaller than before: nothing lies between them", path="after")
    return after, before


def _read_moment(name: str, value: Any) -> Any:
    """Take a sequence as it is, a datetime as epoch milliseconds."""
    if value is None:
        return None
    if not hasattr(value, "timestamp"):
        write_value(check_sequence(value, path=name), name)
        return value
    if value.utcoffset() is None:
        raise ValidationError(f"{name} is a naive datetime; give it a time zone", path=name)
    from datetime import datetime, timedelta, timezone

    milliseconds = (value - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(milliseconds=1)
    return int(milliseconds) if milliseconds.is_integer() else milliseconds


def _check_count(name: str, value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValidationError(f"{name} must be a whole number from 1, or None, not {value!r}", path=name)


def _name_of(value: object) -> str:
    return f"a {type(value).__name__}"
