"""Reading an index in pages: partitions by state, merged by sequence, resumed by a cursor.

The state of an entity is part of its index keys, so live, archived and deleted entities lie in partitions of their
own. A call that wants several states reads several partitions and merges them. Every entity has one position in the
whole, (`sequence`, partition in the order of `PARTITION_ORDER`, place inside its partition); the cursor is such a
position, so pages joined together are the whole.

Never reads a partition that the call did not ask for, whatever the cursor says.
"""

from __future__ import annotations

from ._errors import TransportError, ValidationError
from ._expressions import Placeholders, compile_condition, compile_projection
from ._keys import UNSET, check_id, check_sequence, exact_number, field_text, state_suffix
from ._marshal import MAX_DIGITS, MAX_EXPONENT, MIN_EXPONENT, write_item, write_value
from ._operations import query
from ._schema import ARCHIVED_SUFFIX, DELETED_SUFFIX, HASH_KEY, INDEX_RANGE_KEY, RANGE_KEY, SEPARATOR
from ._transport._deadline import is_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ._client import Client
    from ._expressions import Condition, Path

PARTITION_ORDER = ("", ARCHIVED_SUFFIX, DELETED_SUFFIX, ARCHIVED_SUFFIX + DELETED_SUFFIX)

# What does not belong or match is left out after reading: a small Limit would cost a request for every few items read.
MIN_SPARSE_LIMIT = 100

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#DDB-Query-request-Limit
# An Integer. Measured on AWS's DynamoDB Local 3.3.0: InternalFailure above it.
MAX_LIMIT = 2**31 - 1


class Selection:
    """What a call reads: an index, the partitions of it, and what is wanted of each item.

    Attributes:
        index: the index attribute; None for the base table, whose partition is a model.
        key: the partition key without state.
        suffixes: the states to read, in the order of `PARTITION_ORDER`; for the base table, the states to keep.
        scope: what the items' `scope` must be; None for any.
        model: what the items' `model` must be.
        field: the index field, None where the index has none.
        text: the text of the index field in the key.
        ascending: the order of `sequence` (base table: of `id`).
        after: items with a greater sequence only.
        before: items with a smaller sequence only.
        where: the filter.
        attributes: the projection; None for whole items.
    """

    __slots__ = (
        "after",
        "ascending",
        "attributes",
        "before",
        "field",
        "index",
        "key",
        "model",
        "scope",
        "suffixes",
        "text",
        "where",
    )

    def __init__(
        self,
        *,
        index: str | None,
        key: str,
        suffixes: tuple[str, ...],
        model: str,
        scope: str | None = None,
        field: str | None = None,
        text: str | None = None,
        ascending: bool = False,
        after: Any = None,
        before: Any = None,
        where: Condition | None = None,
        attributes: Sequence[Path] | None = None,
    ) -> None:
        self.index = index
        self.key = key
        self.suffixes = suffixes
        self.model = model
        self.scope = scope
        self.field = field
        self.text = text
        self.ascending = ascending
        self.after = after
        self.before = before
        self.where = where
        # Every request writes the projection anew, and an iterator would be used up by the first.
        self.attributes = attributes if attributes is None or not hasattr(attributes, "__next__") else list(attributes)

    @property
    def required(self) -> tuple[str, ...]:
        """The attributes that the cursor and the check of each item need."""
        field = () if self.field is None else (self.field,)
        return (HASH_KEY, RANGE_KEY, "scope", INDEX_RANGE_KEY, "archivedAt", "deletedAt", *field)

    def keep(self, items: Iterable[dict[str, Any]], suffix: str) -> list[dict[str, Any]]:
        """Keep the items that belong into a partition.

        Others get there by a key that reads alike (`a#b` + `c`, `a` + `b#c`) or by a state their keys do not show.
        """
        model, scope, field, text = self.model, self.scope, self.field, self.text
        if self.index is None:
            suffixes = self.suffixes
            return [item for item in items if item.get("model") == model and state_suffix(item) in suffixes]
        archived, deleted = ARCHIVED_SUFFIX in suffix, DELETED_SUFFIX in suffix
        return [
            item
            for item in items
            if item.get("scope") == scope
            and item.get("model") == model
            and (item.get("archivedAt") not in UNSET) is archived
            and (item.get("deletedAt") not in UNSET) is deleted
            and (field is None or field_text(item.get(field)) == text)
        ]


class _Partition:
    """One partition being read: what has been fetched and not yet given out, and where to go on."""

    __slots__ = ("bounds", "done", "fetched", "frontier", "items", "limit", "order", "sparse", "start_key", "suffix")

    def __init__(self, suffix: str, order: int, bounds: _Bounds, start_key: Mapping[str, Any] | None) -> None:
        self.suffix = suffix
        self.order = order
        self.bounds = bounds
        self.start_key = start_key
        self.items: list[dict[str, Any]] = []
        self.fetched = 0
        self.frontier: dict[str, Any] | None = None
        self.limit = MIN_SPARSE_LIMIT
        self.sparse = False
        self.done = bounds.is_empty()

    def fetch(self, client: Client, selection: Selection, *, wanted: int | None) -> tuple[str, ...]:
        """Read the next page; return the attributes that were read only for the cursor and the checks."""
        limit = wanted
        if wanted is not None and (self.sparse or selection.where is not None):
            limit = max(self.limit, wanted)
            self.limit = 2 * limit
        placeholders = Placeholders(write_value)
        key_condition = write_key_condition(selection, self.suffix, self.bounds, placeholders=placeholders)
        filter_text = None if selection.where is None else compile_condition(selection.where, placeholders)
        projection: str | None = None
        added: tuple[str, ...] = ()
        if selection.attributes is not None:
            projection, added = compile_projection(selection.attributes, placeholders, required=selection.required)
        page = query(
            client,
            index=selection.index,
            key_condition=key_condition,
            filter_text=filter_text,
            projection=projection,
            placeholders=placeholders,
            ascending=selection.ascending,
            limit=None if limit is None else min(limit, MAX_LIMIT),
            start_key=self.start_key,
        )
        self.fetched += 1
        self.items = selection.keep(page.items, self.suffix)
        self.sparse |= len(self.items) < len(page.items)
        self.start_key = self.frontier = page.last_key
        self.done = page.last_key is None
        return added


class _Bounds:
    """The stretch of `sequence` to read in one partition; an open end is not part of it."""

    __slots__ = ("high", "high_open", "low", "low_open")

    def __init__(self, low: Any, high: Any) -> None:
        self.low = low
        self.low_open = True
        self.high = high
        self.high_open = True

    def is_empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        low, high = self.closed_ends()
        return bool(low > high)

    def closed_ends(self) -> tuple[Any, Any]:
        """Give both ends as BETWEEN takes them, which reads its ends too: an open one is moved by one number.

        Leaving out what lies on an open end afterwards is no way: a page may hold nothing else, and where such a page
        stops is not a position of what is read.
        """
        low, high = exact_number(self.low), exact_number(self.high)
        return (
            next_number(low, above=True) if self.low_open else low,
            next_number(high, above=False) if self.high_open else high,
        )


def next_number(number: Any, *, above: bool) -> Any:
    """Give the neighbour of a number among those that DynamoDB holds: no item lies between the two."""
    from decimal import Context, Decimal

    context = Context(prec=MAX_DIGITS, Emin=MIN_EXPONENT, Emax=MAX_EXPONENT, traps=[])
    number = Decimal(number)
    neighbor = number.next_plus(context) if above else number.next_minus(context)
    if not neighbor.is_subnormal(context):
        return neighbor
    return Decimal(0) if number else Decimal((not above, (1,), MIN_EXPONENT))


def write_key_condition(selection: Selection, suffix: str, bounds: _Bounds, *, placeholders: Placeholders) -> str:
    """Write the key condition that reads one partition."""
    text = f"{placeholders.name(selection.index or HASH_KEY)} = {placeholders.value(selection.key + suffix, 'key')}"
    low, high = bounds.low, bounds.high
    if low is None and high is None:
        return text
    sequence = placeholders.name(INDEX_RANGE_KEY)
    if low is None:
        return f"{text} AND {sequence} {'<' if bounds.high_open else '<='} {placeholders.value(high, 'before')}"
    if high is None:
        return f"{text} AND {sequence} {'>' if bounds.low_open else '>='} {placeholders.value(low, 'after')}"
    low, high = bounds.closed_ends()
    return f"{text} AND {sequence} BETWEEN {placeholders.value(low, 'after')} AND {placeholders.value(high, 'before')}"


def read_page(
    client: Client,
    selection: Selection,
    *,
    limit: int | None = None,
    start_key: Mapping[str, Any] | None = None,
    max_pages: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Read items in order.

    Args:
        client: whose table.
        selection: what to read.
        limit: how many items at most; None for one page of each partition.
        start_key: the cursor of the page before.
        max_pages: how many requests at most.

    Returns:
        The items, and the cursor to go on with; None at the end.
    """
    cursor = None if start_key is None else check_cursor(start_key, selection)
    partitions = _open_partitions(selection, cursor)
    if max_pages is not None and max_pages < len(partitions):
        raise ValidationError(
            f"max_pages={max_pages} cannot read {len(partitions)} partitions, one for each state asked for: "
            f"make it at least {len(partitions)}",
            path="max_pages",
        )
    items: list[dict[str, Any]] = []
    added: tuple[str, ...] = ()
    # An entity that changes while it is being read may be met again: in another partition, or further on in its own.
    seen: set[str] = set()
    if cursor is not None and cursor[HASH_KEY] == selection.model:
        seen.add(cursor[RANGE_KEY])
    requests = 0
    while limit is None or len(items) < limit:
        room = None if limit is None else limit - len(items)
        taken = _take_next(partitions, ascending=selection.ascending, room=room)
        if taken:
            items += taken if requests == 1 else _unseen(taken, seen)
            continue
        waiting = [
            partition
            for partition in partitions
            if not partition.done and not partition.items and (limit is not None or not partition.fetched)
        ]
        if not waiting or requests == max_pages:
            break
        if requests == 1:
            seen.update([item[RANGE_KEY] for item in items])
        partition = _hindmost(waiting, ascending=selection.ascending)
        try:
            added = partition.fetch(client, selection, wanted=room)
        except TransportError:
            # What has been read so far is worth more than an error, once there is a position to go on from.
            if is_over() and all(partition.done or partition.fetched for partition in partitions):
                break
            raise
        requests += 1
    following = _make_cursor(selection, partitions, items, is_full=limit is not None and len(items) >= limit)
    for name in added:
        for item in items:
            item.pop(name, None)
    return items, following


def count_partition(client: Client, selection: Selection, suffix: str) -> int:
    """Count the items of one partition that match, on the server; nothing but numbers comes back."""
    bounds = _Bounds(selection.after, selection.before)
    if bounds.is_empty():
        return 0
    total = 0
    start_key: Mapping[str, Any] | None = None
    while True:
        placeholders = Placeholders(write_value)
        key_condition = write_key_condition(selection, suffix, bounds, placeholders=placeholders)
        page = query(
            client,
            index=selection.index,
            key_condition=key_condition,
            filter_text=None if selection.where is None else compile_condition(selection.where, placeholders),
            projection=None,
            placeholders=placeholders,
            ascending=True,
            limit=None,
            start_key=start_key,
            count=True,
        )
        total += page.count
        start_key = page.last_key
        if start_key is None:
            return total


# --- merging -------------------------------------------------------------------------------------------------------


def _open_partitions(selection: Selection, cursor: Mapping[str, Any] | None) -> list[_Partition]:
    if selection.index is None:
        return [_Partition("", 0, _Bounds(None, None), cursor)]
    resumed = None if cursor is None else PARTITION_ORDER.index(cursor[selection.index][len(selection.key) :])
    partitions = []
    for suffix in selection.suffixes:
        order = PARTITION_ORDER.index(suffix)
        bounds = _Bounds(selection.after, selection.before)
        start_key = None
        if cursor is not None and resumed is not None:
            if order == resumed:
                start_key = cursor
            elif selection.ascending:
                bounds.low, bounds.low_open = cursor[INDEX_RANGE_KEY], order < resumed
            else:
                bounds.high, bounds.high_open = cursor[INDEX_RANGE_KEY], order > resumed
        partitions.append(_Partition(suffix, order, bounds, start_key))
    return partitions


def _take_next(partitions: list[_Partition], *, ascending: bool, room: int | None) -> list[dict[str, Any]]:
    """Take the items that certainly come next; none where a partition must be read on before that is known."""
    if len(partitions) == 1:
        return _take(partitions[0], room)
    source: _Partition | None = None
    first: tuple[Any, int] | None = None
    bound: tuple[Any, int] | None = None  # nothing at or behind this position is certain to come next
    for partition in partitions:
        if partition.items:
            position = _position(partition.items[0], partition, ascending=ascending)
            if first is None or position < first:
                source, first, position = partition, position, first
        elif partition.done:
            continue
        elif partition.frontier is None:
            return []
        else:
            position = _position(partition.frontier, partition, ascending=ascending)
        if position is not None and (bound is None or position < bound):
            bound = position
    if source is None or (bound is not None and first is not None and bound < first):
        return []
    count = 1
    while count < len(source.items) and (
        bound is None or _position(source.items[count], source, ascending=ascending) < bound
    ):
        count += 1
    return _take(source, count if room is None else min(count, room))


def _take(partition: _Partition, count: int | None) -> list[dict[str, Any]]:
    items = partition.items
    if count is None or count >= len(items):
        partition.items = []
        return items
    partition.items = items[count:]
    return items[:count]


def _unseen(items: list[dict[str, Any]], seen: set[str]) -> list[dict[str, Any]]:
    unseen = []
    for item in items:
        if item[RANGE_KEY] not in seen:
            seen.add(item[RANGE_KEY])
            unseen.append(item)
    return unseen


def _hindmost(partitions: list[_Partition], *, ascending: bool) -> _Partition:
    """Find the partition that has been read the least far; one that has not been read at all comes first."""
    hindmost = partitions[0]
    for partition in partitions[1:]:
        if hindmost.frontier is None:
            break
        if partition.frontier is None or (
            _position(partition.frontier, partition, ascending=ascending)
            < _position(hindmost.frontier, hindmost, ascending=ascending)
        ):
            hindmost = partition
    return hindmost


def _position(item: Mapping[str, Any], partition: _Partition, *, ascending: bool) -> tuple[Any, int]:
    """Give the place of an item in the whole, so that what comes earlier is smaller."""
    sequence = exact_number(item[INDEX_RANGE_KEY])
    if ascending:
        return sequence, partition.order
    # The minus sign would round a Decimal to the precision of the caller's context.
    return -sequence if isinstance(sequence, int) else sequence.copy_negate(), -partition.order


# --- cursors -------------------------------------------------------------------------------------------------------


def check_cursor(cursor: Mapping[str, Any], selection: Selection) -> dict[str, Any]:
    """Return the cursor as DynamoDB takes it, if it is one this selection could have given out.

    The partition it names must be one of the call's own, so that a forged cursor reads nothing else.
    """
    names = (
        {HASH_KEY, RANGE_KEY} if selection.index is None else {HASH_KEY, RANGE_KEY, INDEX_RANGE_KEY, selection.index}
    )
    if not hasattr(cursor, "keys") or set(cursor) != names:
        raise _bad_cursor(f"it must have exactly {', '.join(sorted(names))}")
    model = cursor[HASH_KEY]
    if model != selection.model and (selection.index is None or not _reads_alike(model, cursor[selection.index])):
        raise _bad_cursor("its model is another than the one queried")
    try:
        key = {HASH_KEY: model, RANGE_KEY: check_id(cursor[RANGE_KEY])}
        if selection.index is not None:
            key[INDEX_RANGE_KEY] = check_sequence(_read_sequence(cursor[INDEX_RANGE_KEY]))
        write_item(key)  # or another partition would be read before what cannot be written is found out
    except ValidationError as error:
        raise _bad_cursor(str(error)) from error
    if selection.index is None:
        return key
    index_key = cursor[selection.index]
    if index_key not in [selection.key + suffix for suffix in selection.suffixes]:
        raise _bad_cursor(
            f"its {selection.index} is none of the partitions queried; the query, with its include_deleted, "
            "include_archived, deleted and archived, must be the same for every page"
        )
    place, after, before = exact_number(key[INDEX_RANGE_KEY]), selection.after, selection.before
    if (after is not None and place <= exact_number(after)) or (before is not None and place >= exact_number(before)):
        raise _bad_cursor("its sequence is outside after … before; these must be the same for every page")
    key[selection.index] = index_key
    return key


def _reads_alike(model: Any, index_key: Any) -> bool:
    """Tell whether an item of another model can lie in a partition, so that a page may have stopped at it."""
    if not isinstance(model, str) or not isinstance(index_key, str):
        return False
    return SEPARATOR + model + SEPARATOR in index_key + SEPARATOR


def _make_cursor(
    selection: Selection, partitions: list[_Partition], items: list[dict[str, Any]], *, is_full: bool
) -> dict[str, Any] | None:
    """Make the cursor: the last position up to which everything has been given out; None at the end."""
    if is_full and any(partition.items for partition in partitions):
        return _cursor_of(items[-1], selection)
    unread = [partition for partition in partitions if not partition.done and not partition.items]
    if not unread:
        return None
    # What other partitions still hold comes after this position, or it would have been given out.
    frontier = _hindmost(unread, ascending=selection.ascending).frontier
    assert frontier is not None  # every partition is read once before anything is given out
    return _portable(frontier)


def _cursor_of(item: Mapping[str, Any], selection: Selection) -> dict[str, Any]:
    cursor = {HASH_KEY: item[HASH_KEY], RANGE_KEY: item[RANGE_KEY]}
    if selection.index is not None:
        cursor[INDEX_RANGE_KEY] = item[INDEX_RANGE_KEY]
        cursor[selection.index] = selection.key + state_suffix(item)
    return _portable(cursor)


def _portable(cursor: dict[str, Any]) -> dict[str, Any]:
    """Make a cursor JSON can carry: a sequence that only a Decimal holds becomes text."""
    if not isinstance(cursor.get(INDEX_RANGE_KEY, 0), (int, float)):
        return {**cursor, INDEX_RANGE_KEY: str(cursor[INDEX_RANGE_KEY])}
    return cursor


def _read_sequence(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    from decimal import Decimal, InvalidOperation

    try:
        return Decimal(value)
    except InvalidOperation:
        return value


def _bad_cursor(fact: str) -> ValidationError:
    return ValidationError(
        f"start_key does not belong to this query: {fact}. Pass last_evaluated_key of the page before, unchanged.",
        path="start_key",
    )
