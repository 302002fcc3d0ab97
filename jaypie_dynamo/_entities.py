"""Entities: storing, reading and removing one at a time.

Every write derives the index keys from the entity's own fields and state, so the keys are always right after it.
"""

from __future__ import annotations

from ._client import current_client
from ._errors import ConflictError, NotFoundError, ValidationError
from ._expressions import Condition, where
from ._keys import check_id, check_model, index_entity, is_set
from ._operations import ConditionFailedError, delete_item, get_item, put_item
from ._schema import APEX, HASH_KEY, INDEX_RANGE_KEY, RANGE_KEY
from ._stamps import format_time, is_past, new_id, now_after, now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._errors import DynamoError

STATE_FIELDS = ("archivedAt", "deletedAt")

# Fields that are not stored while they are None.
OPTIONAL_FIELDS = ("alias", "class", "type", "xid", *STATE_FIELDS)

# What is made up for an entity that does not have it.
STAMPED_FIELDS = (INDEX_RANGE_KEY, "createdAt", "updatedAt")

MAX_TOKEN_CHARACTERS = 36

EXISTS = where((RANGE_KEY,)).exists()
_ABSENT = where((RANGE_KEY,)).not_exists()
_UNSET = {field: where((field,)).not_exists() | where((field,)).in_((None, "")) for field in STATE_FIELDS}


def put_entity(*, entity: Mapping[str, Any], idempotent: bool | str = False) -> dict[str, Any]:
    """Create an entity, or replace it whole.

        put_entity(entity={"model": "record", "id": "1", "scope": APEX, "name": "Daily Log", "alias": "2026-01-07"})

    The state follows the entity: with `deletedAt` or `archivedAt` it is stored as deleted or archived. Sent again where
    an answer was lost, which may overwrite somebody else's write in between; `idempotent` and `create_entity` never do.

    Args:
        entity: at least `model`, `id` and `scope`. `sequence` (epoch milliseconds), `createdAt` and `updatedAt` are
            filled in where absent. Not changed.
        idempotent: True sends it as a transaction that is applied once however often it has to be sent, and never over
            somebody else's later write. A token of your own (1 to 36 characters) says the same across calls of the next
            10 minutes: then `sequence`, `createdAt` and `updatedAt` must be given.

    Returns:
        The entity as it is stored, with its index keys.

    Raises:
        ValidationError: the entity cannot be stored; `.path` names the place. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was stored.
        AmbiguousWriteError: it may or may not have been stored.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one PutItem; one write unit for each KB, in the table and in each index it is or was in.
    Source: the DynamoDB API page of PutItem; `putEntity` of `@jaypie/dynamodb`.
    """
    client = current_client()
    stored = complete_entity(entity)
    _check_given(entity, idempotent)
    put_item(client, item=stored, token=make_token(idempotent))
    return stored


def create_entity(*, entity: Mapping[str, Any], idempotent: bool | str = False) -> dict[str, Any]:
    """Create an entity, only if there is none with its key.

        create_entity(entity={"model": "record", "id": "1", "scope": APEX, "name": "Daily Log"})

    Args:
        entity: as for `put_entity`. Where it has `sequence`, `createdAt` and `updatedAt` already, nothing would tell it
            from somebody else's, and a lost answer is an AmbiguousWriteError at once.
        idempotent: as for `put_entity`.

    Returns:
        The entity as it is stored, with its index keys.

    Raises:
        ConflictError: there is one already, in whatever state; `.existing` holds it.
        ValidationError: the entity cannot be stored; `.path` names the place. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was stored.
        AmbiguousWriteError: it may or may not have been stored.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one PutItem; one write unit for each KB, in the table and in each index it is in.
    Source: the DynamoDB API page of PutItem.
    """
    client = current_client()
    stored = complete_entity(entity)
    _check_given(entity, idempotent)
    is_marked = any(not entity.get(field) for field in STAMPED_FIELDS)
    try:
        put_item(client, item=stored, condition=_ABSENT, is_marked=is_marked, token=make_token(idempotent))
    except ConditionFailedError as failure:
        raise ConflictError(
            f"There is a {stored[HASH_KEY]!r} with this id already; use put_entity to replace it.",
            existing=failure.existing,
        ) from None
    return stored


def get_entity(*, model: str, id: str, consistent: bool = False) -> dict[str, Any] | None:
    """Read one entity, in whatever state it is.

        get_entity(model="record", id="1")

    Args:
        model: the entity's model.
        id: the entity's id.
        consistent: see every write that was acknowledged before; costs twice as much.

    Returns:
        The entity, or None.

    Raises:
        ValidationError: `model` or `id` cannot be a key. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one GetItem; 0.5 read units for each 4 KB, 1 if consistent.
    Source: the DynamoDB API page of GetItem; `getEntity` of `@jaypie/dynamodb`.
    """
    return get_item(current_client(), key=build_key(model, id), consistent=consistent)


def update_entity(
    *,
    entity: Mapping[str, Any],
    condition: Condition | None = None,
    if_unchanged: Mapping[str, Any] | None = None,
    idempotent: bool = False,
) -> dict[str, Any]:
    """Replace an entity that exists, by one read before and changed.

        update_entity(entity={**record, "name": "Updated"}, if_unchanged=record)

    Never brings back what was destroyed, deleted, archived, restored or unarchived since it was read. Other changes
    made since then are overwritten, unless `if_unchanged` or `condition` says otherwise; `patch_entity` changes single
    attributes and leaves all others alone.

    Args:
        entity: the whole entity, as read and changed. Not changed itself.
        condition: replace it only if this is true of the stored one.
        if_unchanged: the entity as it was read: replace it only if its `updatedAt` is still stored. Two writes within
            one millisecond may have the same; a `condition` on a version attribute of your own tells them apart.
        idempotent: True sends it as a transaction that is applied once however often it has to be sent.

    Returns:
        The entity as it is stored, with a later `updatedAt` and its index keys.

    Raises:
        NotFoundError: there is no such entity; nothing was stored.
        ConflictError: the stored state is another than the entity's, or a condition was false; `.existing` holds what
            is stored.
        ValidationError: the entity cannot be stored; `.path` names the place. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was stored.
        AmbiguousWriteError: it may or may not have been stored.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one PutItem; one write unit for each KB, in the table and in each index it is or was in.
    Source: the DynamoDB API page of PutItem; `updateEntity` of `@jaypie/dynamodb`.
    """
    client = current_client()
    check_entity(entity)
    for field in (INDEX_RANGE_KEY, "createdAt"):
        if entity.get(field) is None:
            raise ValidationError(
                f"{field} is missing: update_entity replaces the whole entity, so pass it as it was read; "
                "patch_entity changes single attributes",
                path=field,
            )
    required = EXISTS
    for field in STATE_FIELDS:
        value = entity.get(field)
        required &= where((field,)).eq(value) if is_set(value) else _UNSET[field]
    joined = require(required, condition, if_unchanged, entity=entity)
    previous = entity.get("updatedAt")
    # Where clocks differ, any other writer may have made the same time of the previous one.
    is_marked = is_past(previous) and (if_unchanged is None or is_past(if_unchanged["updatedAt"]))
    time = now_after(previous)
    if if_unchanged is not None:
        time = max(time, now_after(if_unchanged["updatedAt"]))
    stored = complete_entity({**entity, "updatedAt": time})
    try:
        put_item(client, item=stored, condition=joined, is_marked=is_marked, token=make_token(idempotent))
    except ConditionFailedError as failure:
        raise refuse(failure, entity) from None
    return stored


def destroy_entity(
    *,
    model: str,
    id: str,
    condition: Condition | None = None,
    if_unchanged: Mapping[str, Any] | None = None,
    idempotent: bool | str = False,
) -> bool:
    """Remove an entity for good. `delete_entity` is the way that can be undone.

        destroy_entity(model="record", id="1", condition=where("status").eq("done"))

    Args:
        model: the entity's model.
        id: the entity's id.
        condition: remove it only if this is true of it.
        if_unchanged: the entity as it was read: remove it only if its `updatedAt` is still stored.
        idempotent: True sends it as a transaction that is applied once however often it has to be sent, and never to an
            entity created later. A token of your own (1 to 36 characters) says the same across calls of the next 10
            minutes.

    Returns:
        True if there was one (also where an answer was lost and the entity is gone), else False.

    Raises:
        ConflictError: a condition was false; `.existing` holds the entity.
        ValidationError: `model`, `id` or a condition is wrong. Nothing was sent.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back; nothing was removed.
        AmbiguousWriteError: it may or may not have been removed.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one DeleteItem; one write unit for each KB, in the table and in each index it was in.
    Source: the DynamoDB API page of DeleteItem; `destroyEntity` of `@jaypie/dynamodb`.
    """
    key = build_key(model, id)
    try:
        token = make_token(idempotent)
        # A transaction does not tell whether there was an item; the condition does.
        required = require(EXISTS if token is not None else None, condition, if_unchanged, entity=key)
        return delete_item(current_client(), key=key, condition=required, token=token)
    except ConditionFailedError as failure:
        if failure.existing is None:
            return False
        raise refuse(failure, key) from None


def new_entity(*, model: str, name: str, scope: str = APEX, **fields: Any) -> dict[str, Any]:
    """Make a complete entity in memory, ready for `create_entity`.

        create_entity(entity=new_entity(model="record", name="Daily Log", alias="2026-01-07", **{"class": "memory"}))

    Args:
        model: the entity's model.
        name: its name.
        scope: `APEX`, or `calculate_scope(parent)`.
        fields: further attributes; `id`, `sequence`, `createdAt` and `updatedAt` may be among them.

    Returns:
        The entity, with a random UUID as `id`, and the time as `sequence`, `createdAt` and `updatedAt`.

    Raises:
        ValidationError: a field cannot be part of a key; `.path` names it.

    Cost: no request.
    Source: the entity interface of `@jaypie/dynamodb`.
    """
    moment = now_ms()
    time = format_time(moment)
    entity: dict[str, Any] = {
        HASH_KEY: model,
        RANGE_KEY: new_id(),
        "name": name,
        "scope": scope,
        INDEX_RANGE_KEY: moment,
        "createdAt": time,
        "updatedAt": time,
        **fields,
    }
    index_entity(entity)
    return entity


def complete_entity(entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an entity as it is to be stored: stamped, indexed, without empty optional fields."""
    check_entity(entity)
    completed = dict(entity)
    if completed.get(INDEX_RANGE_KEY) is None:
        completed[INDEX_RANGE_KEY] = now_ms()
    if not completed.get("createdAt") or not completed.get("updatedAt"):
        time = format_time(now_ms())
        completed["createdAt"] = completed.get("createdAt") or time
        completed["updatedAt"] = completed.get("updatedAt") or time
    for field in OPTIONAL_FIELDS:
        if field in completed and completed[field] is None:
            del completed[field]
    return index_entity(completed)


def check_entity(entity: Any) -> None:
    """Raise ValidationError for what is no mapping."""
    if not hasattr(entity, "keys"):
        raise ValidationError(
            f"entity must be a mapping of attribute names to values, not a {type(entity).__name__}", path="entity"
        )


def build_key(model: str, id: str) -> dict[str, str]:
    """Build the primary key of an entity."""
    return {HASH_KEY: check_model(model), RANGE_KEY: check_id(id)}


def make_token(idempotent: bool | str) -> str | None:
    """Make the token of a write that is applied once; None for a plain write."""
    if isinstance(idempotent, str):
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
        if not 0 < len(idempotent) <= MAX_TOKEN_CHARACTERS:
            raise ValidationError(
                f"idempotent: a token has 1 to {MAX_TOKEN_CHARACTERS} characters, not {len(idempotent)}",
                path="idempotent",
            )
        return idempotent
    return new_id() if idempotent else None


def _check_given(entity: Mapping[str, Any], idempotent: bool | str) -> None:
    if isinstance(idempotent, str):
        for field in STAMPED_FIELDS:
            if not entity.get(field):
                raise ValidationError(
                    f"{field} is missing: a token of your own needs the same entity every time, nothing made up",
                    path=field,
                )


def require(
    required: Condition | None,
    condition: Condition | None,
    if_unchanged: Mapping[str, Any] | None,
    *,
    entity: Mapping[str, Any],
) -> Condition | None:
    """Join what a write requires itself with what its caller requires."""
    if condition is not None:
        if not isinstance(condition, Condition):
            raise ValidationError(
                f'condition must be a condition, such as where("status").eq("open"), not a {type(condition).__name__}',
                path="condition",
            )
        required = condition if required is None else required & condition
    if if_unchanged is not None:
        unchanged = _unchanged(if_unchanged, entity=entity)
        required = unchanged if required is None else required & unchanged
    return required


def refuse(failure: ConditionFailedError, entity: Mapping[str, Any]) -> DynamoError:
    """Make the error that says why a conditional write was not done."""
    if failure.existing is None:
        return NotFoundError(
            f"There is no {entity[HASH_KEY]!r} with the id {entity[RANGE_KEY]!r}; nothing was stored. "
            "create_entity stores a new one."
        )
    return ConflictError(
        f"The stored {entity[HASH_KEY]!r} is not as this write requires; nothing was changed. "
        "Look at .existing, and decide again from there.",
        existing=failure.existing,
    )


def _unchanged(read: Mapping[str, Any], *, entity: Mapping[str, Any]) -> Condition:
    if not hasattr(read, "keys") or not read.get("updatedAt"):
        raise ValidationError("if_unchanged must be the entity as it was read, with its updatedAt", path="if_unchanged")
    for field in (HASH_KEY, RANGE_KEY):
        if read.get(field) != entity.get(field):
            raise ValidationError(
                f"if_unchanged has another {field} than the entity to write", path=f"if_unchanged.{field}"
            )
    return where(("updatedAt",)).eq(read["updatedAt"])
