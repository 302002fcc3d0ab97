"""What the entity functions do, said in plain Python: a dict for a table, one operation after the other.

The oracle of tests that compare. It shares no code with the library but the names of its errors.
"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from jaypie_dynamo import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    Item = dict[str, Any]

FIELD_OF_INDEX = {"indexAlias": "alias", "indexClass": "class", "indexType": "type", "indexXid": "xid"}
INDEXES = ("indexScope", *FIELD_OF_INDEX)
KEY_FIELDS = ("scope", *FIELD_OF_INDEX.values())
STATES = ("archivedAt", "deletedAt")
NOT_STORED_WHILE_NONE = (*FIELD_OF_INDEX.values(), *STATES)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def is_set(value: object) -> bool:
    return value not in (None, "")


def write_time(epoch_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=epoch_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(previous: str, epoch_ms: int) -> str:
    """Write the present time, or one millisecond after a previous one that is not behind it."""
    millisecond = timedelta(milliseconds=1)
    previous_ms = (datetime.fromisoformat(previous.replace("Z", "+00:00")) - _EPOCH) // millisecond
    return write_time(max(epoch_ms, previous_ms + 1))


def suffix_of(item: Item) -> str:
    return "#archived" * is_set(item.get("archivedAt")) + "#deleted" * is_set(item.get("deletedAt"))


def index_keys(item: Item) -> dict[str, str]:
    """Write the index keys an item must have."""
    parts = {"indexScope": [item["scope"], item["model"]]}
    for index, field in FIELD_OF_INDEX.items():
        if is_set(item.get(field)):
            parts[index] = [item["scope"], item["model"], str(item[field])]
    return {index: "#".join(key) + suffix_of(item) for index, key in parts.items()}


def with_keys(item: Item) -> Item:
    return {**{name: value for name, value in item.items() if name not in INDEXES}, **index_keys(item)}


class Model:
    """A table in memory.

    Args:
        clock: tells the epoch milliseconds that an operation happens at.
        items: (model, id) → item.
    """

    def __init__(self, clock: Callable[[], int], items: dict[tuple[str, str], Item] | None = None) -> None:
        self.clock = clock
        self.items = copy.deepcopy(items or {})

    def put(self, entity: Item) -> Item:
        now = self.clock()
        item = {"sequence": now, "createdAt": write_time(now), "updatedAt": write_time(now)}
        item |= {
            name: value
            for name, value in copy.deepcopy(entity).items()
            if value is not None or name not in NOT_STORED_WHILE_NONE
        }
        return self._store(item)

    def create(self, entity: Item) -> Item:
        existing = self.items.get((entity["model"], entity["id"]))
        if existing is not None:
            raise ConflictError("exists", existing=existing)
        return self.put(entity)

    def update(
        self,
        entity: Item,
        condition: Callable[[Item], bool] | None = None,
        if_unchanged: Item | None = None,
    ) -> Item:
        stored = self._existing(entity["model"], entity["id"])
        for state in STATES:
            if is_set(stored.get(state)) or is_set(entity.get(state)):
                _require(stored, stored.get(state) == entity.get(state))
        _check(stored, condition, if_unchanged)
        previous = max(known["updatedAt"] for known in (entity, if_unchanged or entity))
        return self.put({**entity, "updatedAt": later(previous, self.clock())})

    def patch(
        self,
        model: str,
        id: str,
        set: Item | None = None,
        remove: tuple[str, ...] = (),
        add: dict[str, int] | None = None,
        append: dict[str, list[Any]] | None = None,
        condition: Callable[[Item], bool] | None = None,
        if_unchanged: Item | None = None,
    ) -> Item:
        stored = self._existing(model, id)
        _check(stored, condition, if_unchanged)
        item = copy.deepcopy(stored)
        for name, value in (set or {}).items():
            if value is None and name in NOT_STORED_WHILE_NONE:
                remove = (*remove, name)
            else:
                item[name] = copy.deepcopy(value)
        for name in remove:
            item.pop(name, None)
        for name, amount in (add or {}).items():
            item[name] = item.get(name, 0) + amount
        for name, more in (append or {}).items():
            item[name] = [*item.get(name, []), *more]
        # Only a write that has read the entity knows what its own time must be later than.
        has_read = if_unchanged is not None or any(name in KEY_FIELDS for name in [*(set or ()), *remove])
        now = self.clock()
        item["updatedAt"] = later(stored["updatedAt"], now) if has_read else write_time(now)
        return self._store(item)

    def delete(self, model: str, id: str) -> bool:
        return self._change_state(model, id, "deletedAt", is_on=True)

    def restore(self, model: str, id: str) -> bool:
        return self._change_state(model, id, "deletedAt", is_on=False)

    def archive(self, model: str, id: str) -> bool:
        return self._change_state(model, id, "archivedAt", is_on=True)

    def unarchive(self, model: str, id: str) -> bool:
        return self._change_state(model, id, "archivedAt", is_on=False)

    def destroy(
        self,
        model: str,
        id: str,
        condition: Callable[[Item], bool] | None = None,
        if_unchanged: Item | None = None,
    ) -> bool:
        stored = self.items.get((model, id))
        if stored is None:
            return False
        _check(stored, condition, if_unchanged)
        del self.items[model, id]
        return True

    def _existing(self, model: str, id: str) -> Item:
        if (model, id) not in self.items:
            raise NotFoundError("missing")
        return self.items[model, id]

    def _change_state(self, model: str, id: str, state: str, *, is_on: bool) -> bool:
        if (model, id) not in self.items:
            return False
        item = copy.deepcopy(self.items[model, id])
        if is_set(item.get(state)) != is_on:
            now = self.clock()
            item["updatedAt"] = later(item["updatedAt"], now)
            if is_on:
                item[state] = write_time(now)
            else:
                del item[state]
        self._store(item)
        return True

    def _store(self, item: Item) -> Item:
        stored = self.items[item["model"], item["id"]] = with_keys(item)
        return copy.deepcopy(stored)


def _check(stored: Item, condition: Callable[[Item], bool] | None, if_unchanged: Item | None) -> None:
    _require(stored, condition is None or condition(stored))
    _require(stored, if_unchanged is None or stored["updatedAt"] == if_unchanged["updatedAt"])


def _require(stored: Item, is_true: bool) -> None:
    if not is_true:
        raise ConflictError("false", existing=copy.deepcopy(stored))
