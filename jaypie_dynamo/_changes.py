"""Changes to stored entities: single attributes, and the state. Nothing that is not named is written.

What an index key says follows from scope, alias, class, type, xid, archivedAt and deletedAt. A write that changes a key
is therefore conditional on all of these being exactly as they were read; whoever loses such a race starts again from
what the winner stored. So any number of writers leave keys that fit the fields, and no change undoes another.
"""

from __future__ import annotations

from ._client import current_client
from ._entities import EXISTS, OPTIONAL_FIELDS, STATE_FIELDS, build_key, make_token, refuse, require
from ._errors import ConflictError, ValidationError
from ._expressions import path_segments, where
from ._keys import check_sequence, index_entity, is_set
from ._operations import ConditionFailedError, check_update, get_item, update_item
from ._schema import APEX, HASH_KEY, INDEX_FIELDS, INDEX_RANGE_KEY, RANGE_KEY
from ._stamps import format_time, is_past, now_after, now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ._client import Client
    from ._expressions import Condition, Path

MAX_RACES = 5

# The fields that index keys are made of.
_KEY_FIELDS = ("scope", *(field for field in INDEX_FIELDS.values() if field is not None))
_GUARDED_FIELDS = (*_KEY_FIELDS, *STATE_FIELDS)


def patch_entity(
    *,
    model: str,
    id: str,
    set: Mapping[Any, Any] | None = None,
    remove: Sequence[Path] = (),
    add: Mapping[Any, Any] | None = None,
    append: Mapping[Any, Any] | None = None,
    condition: Condition | None = None,
    if_unchanged: Mapping[str, Any] | None = None,
    idempotent: bool | str = False,
) -> dict[str, Any]:
    """Change some attributes of one entity and return it as stored.

        patch_entity(model="job", id="1", set={"status": "complete"}, condition=where("status").eq("running"))

    Paths are as in `where`: `"state.count"`, `"lines[0].sku"`, or a tuple of segments. The parent of a nested path must
    exist. `updatedAt` is set, and index keys follow the fields they are made of.

    Args:
        model: the entity's model.
        id: the entity's id.
        set: path → new value. None removes `alias`, `class`, `type` or `xid`; elsewhere it is stored as NULL.
        remove: paths to remove.
        add: path → number to add, from 0 where there is none; or a set whose elements to add.
        append: path → list to append, to an empty one where there is none.
        condition: change it only if this is true of the stored entity.
        if_unchanged: the entity as it was read: change it only if its `updatedAt` is still stored. Two writes within
            one millisecond may have the same; a `condition` on a version attribute of your own tells them apart.
        idempotent: True sends it as a transaction that is applied once however often it has to be sent. Without it,
            `add`, `append` and paths with a place in a list (`"lines[0]"`) are not sent again. A token of your own (1
            to 36 characters) says the same across calls of the next 10 minutes: then `set` must hold `updatedAt`, and
            no index field can be set.

    Returns:
        The whole entity after the write; with `idempotent`, as a consistent read finds it after the write.

    Raises:
        NotFoundError: there is no such entity; nothing was stored.
        ConflictError: a condition was false, or five races for the index keys were lost; `.existing` holds the stored
            entity.
        ValidationError: a path, value or condition is wrong; `.path` names it. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was changed.
        AmbiguousWriteError: it may or may not have been changed; with `idempotent`, also where it was changed but could
            not be read afterwards.
        botocore.exceptions.ClientError: DynamoDB refused, such as for a nested path without a parent.

    Cost: one UpdateItem (one write unit for each KB, in the table and in each index); where `scope`, `alias`, `class`,
        `type` or `xid` is named, a consistent read before it. One more UpdateItem where the stored index keys are found
        to be wrong, which they can be after a write by the TypeScript package. With `idempotent`, two write units for
        each KB in the table, and a consistent read.
    Source: the DynamoDB API pages of UpdateItem and TransactWriteItems.
    """
    client = current_client()
    key = build_key(model, id)
    sets, removes = _check_changes(set, "set"), list(_check_paths(remove))
    changes = {"add": _check_changes(add, "add"), "append": _check_changes(append, "append")}
    fields = _check_fields(sets, removes, **changes)
    if not (sets or removes or add or append):
        raise ValidationError("patch_entity changes nothing: pass set, remove, add or append")
    required = require(EXISTS, condition, if_unchanged, entity=key)
    assert required is not None
    is_stamped = any(path_segments(path) == ("updatedAt",) for path in sets)
    if isinstance(idempotent, str) and (fields or not is_stamped):
        raise ValidationError(
            "idempotent: a token of your own needs the same request every time, so set must hold updatedAt, and no "
            "field that index keys are made of; idempotent=True has no such limits",
            path="idempotent",
        )
    previous = None if if_unchanged is None else if_unchanged["updatedAt"]
    stored: dict[str, Any] = {}
    if fields:
        # Whatever is wrong is to be said before anything is sent, the read included.
        key_sets, key_removes = _key_changes(index_entity({**key, "scope": APEX, **fields}))
        check_update(
            condition=required & _as_read({}), set={**sets, **key_sets}, remove=[*removes, *key_removes], **changes
        )
        found = get_item(client, key=key, consistent=True)
        if found is None:
            raise refuse(ConditionFailedError(None), key)
        stored = found
    is_constant = not (add or append or any(_is_in_list(path) for path in (*sets, *removes)))
    for _ in range(MAX_RACES):
        all_sets, all_removes, guarded = dict(sets), list(removes), required
        if fields:
            previous = stored.get("updatedAt")
            key_sets, key_removes = _key_changes(index_entity(_patched(stored, fields)))
            all_sets.update(key_sets)
            all_removes += key_removes
            guarded = required & _as_read(stored)
        # Where clocks differ, any other writer may have made the same time of the previous one.
        is_marked = not is_stamped and is_past(previous)
        if not is_stamped:
            all_sets[("updatedAt",)] = now_after(previous)
        try:
            changed = update_item(
                client,
                key=key,
                condition=guarded,
                may_resend=is_constant and (guarded is EXISTS or not is_stamped),
                recognise=_make_recogniser(client, all_sets, all_removes) if is_constant and is_marked else None,
                set=all_sets,
                remove=all_removes,
                add=add,
                append=append,
                token=make_token(idempotent),
            )
        except ConditionFailedError as failure:
            if not fields or failure.existing is None or _same_keys(stored, failure.existing):
                raise refuse(failure, key) from None
            stored = failure.existing
        else:
            return changed if fields else _mend_keys(client, key, changed)
    raise _lost_races(key, stored)


def delete_entity(*, model: str, id: str) -> bool:
    """Mark an entity as deleted; `restore_entity` brings it back.

        delete_entity(model="record", id="1")

    Sets `deletedAt` and `updatedAt`; queries leave the entity out unless they ask for it.

    Args:
        model: the entity's model.
        id: the entity's id.

    Returns:
        True, also if it was deleted already (its first `deletedAt` is kept); False if there is no such entity.

    Raises:
        ConflictError: five races against other writers were lost; `.existing` holds the stored entity.
        ValidationError: `model` or `id` cannot be a key. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was changed.
        AmbiguousWriteError: it may or may not have been changed.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: a consistent GetItem and an UpdateItem; one write unit for each KB, in the table and twice in each index it is
        in, since it moves there.
    Source: the DynamoDB API page of UpdateItem; `deleteEntity` of `@jaypie/dynamodb`.
    """
    return _change_state(build_key(model, id), "deletedAt", is_on=True)


def restore_entity(*, model: str, id: str) -> bool:
    """Bring a deleted entity back; the way back of `delete_entity`.

        restore_entity(model="record", id="1")

    Removes `deletedAt`, sets `updatedAt`. An archived entity stays archived.

    Args:
        model: the entity's model.
        id: the entity's id.

    Returns:
        True, also if it was not deleted; False if there is no such entity.

    Raises:
        ConflictError: five races against other writers were lost; `.existing` holds the stored entity.
        ValidationError: `model` or `id` cannot be a key. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was changed.
        AmbiguousWriteError: it may or may not have been changed.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: as `delete_entity`.
    Source: the DynamoDB API page of UpdateItem.
    """
    return _change_state(build_key(model, id), "deletedAt", is_on=False)


def archive_entity(*, model: str, id: str) -> bool:
    """Mark an entity as archived; `unarchive_entity` brings it back.

        archive_entity(model="record", id="1")

    Sets `archivedAt` and `updatedAt`; queries leave the entity out unless they ask for it.

    Args:
        model: the entity's model.
        id: the entity's id.

    Returns:
        True, also if it was archived already (its first `archivedAt` is kept); False if there is no such entity.

    Raises:
        ConflictError: five races against other writers were lost; `.existing` holds the stored entity.
        ValidationError: `model` or `id` cannot be a key. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was changed.
        AmbiguousWriteError: it may or may not have been changed.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: as `delete_entity`.
    Source: the DynamoDB API page of UpdateItem; `archiveEntity` of `@jaypie/dynamodb`.
    """
    return _change_state(build_key(model, id), "archivedAt", is_on=True)


def unarchive_entity(*, model: str, id: str) -> bool:
    """Bring an archived entity back; the way back of `archive_entity`.

        unarchive_entity(model="record", id="1")

    Removes `archivedAt`, sets `updatedAt`. A deleted entity stays deleted.

    Args:
        model: the entity's model.
        id: the entity's id.

    Returns:
        True, also if it was not archived; False if there is no such entity.

    Raises:
        ConflictError: five races against other writers were lost; `.existing` holds the stored entity.
        ValidationError: `model` or `id` cannot be a key. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was changed.
        AmbiguousWriteError: it may or may not have been changed.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: as `delete_entity`.
    Source: the DynamoDB API page of UpdateItem.
    """
    return _change_state(build_key(model, id), "archivedAt", is_on=False)


def _change_state(key: dict[str, str], field: str, *, is_on: bool) -> bool:
    client = current_client()
    stored = get_item(client, key=key, consistent=True)
    if stored is None:
        return False
    for _ in range(MAX_RACES):
        changed = dict(stored)
        sets: dict[str, Any] = {}
        removes: list[Any] = []
        if is_set(stored.get(field)) is not is_on:
            now = format_time(now_ms())
            sets["updatedAt"] = now_after(stored.get("updatedAt"))
            if is_on:
                changed[field] = sets[field] = now
            else:
                del changed[field]
                removes.append((field,))
        indexed = index_entity(changed)
        if not sets and _fit(stored, indexed):
            return True
        key_sets, key_removes = _key_changes(indexed)
        all_sets, all_removes = {**sets, **key_sets}, [*removes, *key_removes]
        try:
            update_item(
                client,
                key=key,
                set=all_sets,
                remove=all_removes,
                condition=EXISTS & _as_read(stored),
                may_resend=True,
                recognise=_make_recogniser(client, all_sets, all_removes) if sets else None,
            )
        except ConditionFailedError as failure:
            if failure.existing is None:
                return False
            stored = failure.existing
        else:
            return True
    raise _lost_races(key, stored)


def _mend_keys(client: Client, key: dict[str, str], stored: dict[str, Any]) -> dict[str, Any]:
    """Correct index keys that do not fit their entity, as the TypeScript package leaves them.

    The write before this one is done and must not seem to have failed, so whatever stands in the way here (another
    writer, throttling, the network) is left to the next write. What other writers did since is not part of its answer.
    """
    try:
        indexed = index_entity(stored)
    except ValidationError:
        return stored  # not an entity of ours: nothing says what its keys should be
    if _fit(stored, indexed):
        return stored
    sets, removes = _key_changes(indexed)
    try:
        update_item(client, key=key, set=sets, remove=removes, condition=EXISTS & _as_read(stored), may_resend=True)
    except Exception:
        return stored
    return indexed


def _is_in_list(path: Path) -> bool:
    """Tell whether what a path leads to depends on what stands in a list.

    Removing an element moves the others up, and setting one behind the end appends it: the second time, another element
    is met.
    """
    return any(isinstance(segment, int) for segment in path_segments(path))


def _patched(stored: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an entity will be, as far as its index keys are concerned."""
    patched = {**stored, **fields}
    for name in fields:
        if not is_set(fields[name]):
            del patched[name]
    return patched


def _make_recogniser(
    client: Client, sets: Mapping[Any, Any], removes: Sequence[Path]
) -> Callable[[dict[str, Any]], bool]:
    """Make the function that tells whether a stored item shows this very change: all of it, its own time included."""

    def recognise(existing: dict[str, Any]) -> bool:
        return all(_at(existing, path) == client.reader.reread(value) for path, value in sets.items()) and all(
            _at(existing, path) is _NOTHING for path in removes
        )

    return recognise


_NOTHING = object()


def _at(item: Any, path: Path) -> Any:
    """Give the value at a path of an item."""
    try:
        for segment in path_segments(path):
            item = item[segment]
    except (KeyError, IndexError, TypeError):
        return _NOTHING
    return item


def _key_changes(indexed: Mapping[str, Any]) -> tuple[dict[Any, Any], list[Path]]:
    """Tell which index keys to set and which to remove.

    Every key is one or the other, also where it seems right already: another writer may have corrected it since it was
    read, for fields that are about to change.
    """
    sets: dict[Any, Any] = {(index,): indexed[index] for index in INDEX_FIELDS if index in indexed}
    removes: list[Path] = [(index,) for index in INDEX_FIELDS if index not in indexed]
    return sets, removes


def _fit(stored: Mapping[str, Any], indexed: Mapping[str, Any]) -> bool:
    return all(stored.get(index) == indexed.get(index) for index in INDEX_FIELDS)


def _as_read(stored: Mapping[str, Any]) -> Condition:
    """Require the fields that index keys are made of to be as they were read: absent, NULL or the value."""
    first, *others = [
        where((field,)).eq(stored[field]) if field in stored else where((field,)).not_exists()
        for field in _GUARDED_FIELDS
    ]
    for other in others:
        first &= other
    return first


def _same_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    absent = object()
    return all(one.get(field, absent) == other.get(field, absent) for field in _GUARDED_FIELDS)


def _check_changes(changes: Any, name: str) -> dict[Any, Any]:
    if changes is not None and not hasattr(changes, "items"):
        raise ValidationError(f"{name} takes a dict of paths and values, not a {type(changes).__name__}", path=name)
    return dict(changes or {})


def _check_paths(paths: Any) -> Iterable[Path]:
    if isinstance(paths, (str, bytes)) or not hasattr(paths, "__iter__"):
        raise ValidationError(f"remove takes a list of paths, not a {type(paths).__name__}", path="remove")
    checked: Iterable[Path] = paths
    return checked


def _check_fields(
    sets: dict[Any, Any], removes: list[Path], *, add: Mapping[Any, Any], append: Mapping[Any, Any]
) -> dict[str, Any]:
    """Check what a patch names; return the new values of the fields that index keys are made of (None: removed).

    Moves fields set to None, which are not stored, from `sets` to `removes`.
    """
    fields: dict[str, Any] = {}
    for path in list(sets):
        name = _check_name(path)
        if name == INDEX_RANGE_KEY:
            check_sequence(sets[path])
        if name == "updatedAt" and not is_set(sets[path]):
            raise ValidationError("updatedAt cannot be empty: leave it out, and the patch sets it", path=name)
        if name in _KEY_FIELDS:
            fields[name] = sets[path]
        if name in OPTIONAL_FIELDS and sets[path] is None:
            del sets[path]
            removes.append(path)
    for path in removes:
        name = _check_name(path)
        if name in ("scope", INDEX_RANGE_KEY):
            raise ValidationError(f"{name} cannot be removed: without it no index finds the entity", path=name)
        if name == "updatedAt":
            raise ValidationError("updatedAt cannot be removed: every patch sets it", path=name)
        if name in _KEY_FIELDS:
            fields[name] = None
    for path in (*add, *append):
        name = _check_name(path)
        if name in (*_KEY_FIELDS, "updatedAt"):
            raise ValidationError(f"{name} can only be replaced: use set", path=name)
        if name == INDEX_RANGE_KEY:
            check_sequence(add.get(path, append.get(path)))
    return fields


def _check_name(path: Path) -> str:
    name, *below = path_segments(path)
    if name in (HASH_KEY, RANGE_KEY):
        raise ValidationError(f"{name} is the entity's key and cannot change; create another entity", path=str(name))
    if name in INDEX_FIELDS:
        raise ValidationError(f"{name} is derived from the entity's fields; patch those", path=str(name))
    if name in STATE_FIELDS:
        raise ValidationError(
            f"{name} is the entity's state: use delete_entity, restore_entity, archive_entity or unarchive_entity",
            path=str(name),
        )
    if below and name in (*_KEY_FIELDS, INDEX_RANGE_KEY, "updatedAt"):
        raise ValidationError(f"{name} is no map or list; set it as a whole", path=str(name))
    return str(name)


def _lost_races(key: Mapping[str, str], stored: Mapping[str, Any]) -> ConflictError:
    return ConflictError(
        f"Other writers changed this {key[HASH_KEY]!r} {MAX_RACES} times in between; nothing was changed. Try again.",
        existing=stored,
    )
