"""One function per DynamoDB operation: write the request, send it, convert the answer.

Here and below, names keep AWS's spelling. Marshalling, expressions and transport meet in this module and nowhere else.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from time import time

from ._errors import AmbiguousWriteError, ValidationError
from ._expressions import Placeholders, compile_condition, compile_update
from ._marshal import quote, write_item, write_value
from ._transport._attempt import RefusalError, Request
from ._transport._policy import CANCELLED, client_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from ._client import Client
    from ._expressions import Condition, Path

    Answer = TypeVar("Answer")

CONDITION_FAILED = "ConditionalCheckFailedException"
TABLE_MISSING = "ResourceNotFoundException"

# DynamoDB remembers a token for 10 minutes; after that, the same transaction would be applied again.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MAX_RESEND_S = 9 * 60


class ConditionFailedError(Exception):
    """The condition of a write was false. Becomes a `ConflictError` or `NotFoundError` before it reaches a user.

    Attributes:
        existing: the item as it is stored, None where there is none.
    """

    def __init__(self, existing: dict[str, Any] | None) -> None:
        super().__init__(CONDITION_FAILED)
        self.existing = existing


class Page:
    """One answer of Query or Scan.

    Attributes:
        items: the items, converted.
        count: how many items matched.
        last_key: `LastEvaluatedKey`, converted; None at the end.
    """

    __slots__ = ("count", "items", "last_key")

    def __init__(self, items: list[dict[str, Any]], count: int, last_key: dict[str, Any] | None) -> None:
        self.items = items
        self.count = count
        self.last_key = last_key


def put_item(
    client: Client,
    *,
    item: Mapping[str, Any],
    condition: Condition | None = None,
    is_marked: bool = False,
    token: str | None = None,
) -> None:
    """PutItem. Raises ConditionFailedError where the condition is false.

    Args:
        client: whose table.
        item: the whole item.
        condition: what must be true of the item it replaces.
        is_marked: the item holds a value this very call made up, so that a stored item equal to it is its own.
        token: send it as a transaction that DynamoDB applies once for this token.
    """
    written = write_item(item)
    convert = client.reader.convert
    _write(
        client,
        "Put",
        f'{{"TableName":{client.table_json},"Item":{written}{_write_condition(condition)}}}',
        params={"TableName": client.table_name, "Item": {}},
        read=_read_object,
        may_resend=condition is None or is_marked,
        recognise=(lambda existing: existing == convert(json.loads(written))) if is_marked else None,
        token=token,
    )


def get_item(client: Client, *, key: Mapping[str, Any], consistent: bool) -> dict[str, Any] | None:
    """GetItem: the item, or None."""
    table_name = client.table_name
    convert = client.reader.convert

    def read(body: bytes) -> dict[str, Any] | None:
        item = _read_object(body).get("Item")
        return None if item is None else convert(item)

    return _send(
        client,
        "GetItem",
        f'{{"TableName":{client.table_json},"Key":{write_item(key)}{_CONSISTENT if consistent else ""}}}',
        params={"TableName": table_name, "Key": {}},
        read=read,
    )


def update_item(
    client: Client,
    *,
    key: Mapping[str, Any],
    condition: Condition,
    may_resend: bool,
    recognise: Callable[[dict[str, Any]], bool] | None = None,
    set: Mapping[Any, Any] | None = None,
    remove: Sequence[Path] = (),
    add: Mapping[Any, Any] | None = None,
    append: Mapping[Any, Any] | None = None,
    token: str | None = None,
) -> dict[str, Any]:
    """UpdateItem: the whole item afterwards. Raises ConditionFailedError where the condition is false.

    Args:
        client: whose table.
        key: the primary key.
        condition: what must be true of the item.
        may_resend: applying it twice is as good as once, or `recognise` tells.
        recognise: tells whether an item that fails the condition is the outcome of this very call.
        set: path → value.
        remove: paths.
        add: path → number or set.
        append: path → list.
        token: send it as a transaction that DynamoDB applies once for this token; the item is read afterwards.
    """
    convert = client.reader.convert
    placeholders = Placeholders(write_value)
    update = compile_update(placeholders, set=set, remove=remove, add=add, append=append)
    text = (
        f'{{"TableName":{client.table_json},"Key":{write_item(key)},"UpdateExpression":{quote(update)},'
        f'"ConditionExpression":{quote(compile_condition(condition, placeholders))}{write_placeholders(placeholders)}'
        f"{_TELL_EXISTING}"
    )
    if token is None:
        read = lambda body: convert(_read_object(body)["Attributes"])  # noqa: E731 - one of two readers
        text += ',"ReturnValues":"ALL_NEW"}'
    else:
        read = _read_object
        text += "}"
    updated = _write(
        client,
        "Update",
        text,
        params={"TableName": client.table_name, "Key": {}, "UpdateExpression": update},
        read=read,
        may_resend=may_resend,
        recognise=recognise,
        token=token,
    )
    return updated if token is None else _read_back(client, key=key)


def _read_back(client: Client, *, key: Mapping[str, Any]) -> dict[str, Any]:
    """Read an item that was just written; what stands in the way must not look as if the write had failed."""
    try:
        item = get_item(client, key=key, consistent=True)
    except Exception as error:
        raise AmbiguousWriteError(f"The write was applied, but the item could not be read after it: {error}") from error
    if item is None:
        raise AmbiguousWriteError("The write was applied, but the item is gone again.")
    return item


def check_update(
    *,
    condition: Condition,
    set: Mapping[Any, Any],
    remove: Sequence[Path],
    add: Mapping[Any, Any],
    append: Mapping[Any, Any],
) -> None:
    """Raise the ValidationError that `update_item` would raise, before anything is sent."""
    placeholders = Placeholders(write_value)
    compile_update(placeholders, set=set, remove=remove, add=add, append=append)
    compile_condition(condition, placeholders)


def delete_item(
    client: Client, *, key: Mapping[str, Any], condition: Condition | None = None, token: str | None = None
) -> bool:
    """DeleteItem: whether there was an item. Raises ConditionFailedError where the condition is false.

    True too where an earlier attempt of this call, whose answer was lost, may have been the one that removed it. A
    transaction (`token`) does not tell; its condition has to.
    """
    text = f'{{"TableName":{client.table_json},"Key":{write_item(key)}{_write_condition(condition)}'
    request, answer = _exchange_write(
        client,
        "Delete",
        text + ("}" if token is not None else ',"ReturnValues":"ALL_OLD"}'),
        params={"TableName": client.table_name, "Key": {}},
        read=_read_object,
        may_resend=condition is None,
        recognise=None,
        token=token,
    )
    return "Attributes" in answer or request.doubt or token is not None


def query(
    client: Client,
    *,
    index: str | None,
    key_condition: str,
    filter_text: str | None,
    projection: str | None,
    placeholders: Placeholders,
    ascending: bool,
    limit: int | None,
    start_key: Mapping[str, Any] | None,
    count: bool = False,
) -> Page:
    """Query: one page of at most 1 MB."""
    params = {"TableName": client.table_name}
    parts = [f'{{"TableName":{client.table_json}']
    if index is not None:
        params["IndexName"] = index
        parts.append(f'"IndexName":{quote(index)}')
    parts.append(f'"KeyConditionExpression":{quote(key_condition)}')
    if filter_text is not None:
        parts.append(f'"FilterExpression":{quote(filter_text)}')
    if projection is not None:
        parts.append(f'"ProjectionExpression":{quote(projection)}')
    if not ascending:
        parts.append('"ScanIndexForward":false')
    if limit is not None:
        parts.append(f'"Limit":{limit}')
    if start_key is not None:
        parts.append(f'"ExclusiveStartKey":{write_item(start_key)}')
    if count:
        parts.append('"Select":"COUNT"')
    reader = client.reader

    def read(body: bytes) -> Page:
        answer = _read_object(body)
        items = answer.get("Items", [])
        if type(items) is not list:
            raise ValueError(f"a list of items was expected, not {type(items).__name__}")
        reader.convert_all(items)
        last_key = answer.get("LastEvaluatedKey")
        return Page(items, answer["Count"], None if last_key is None else reader.convert(last_key))

    text = ",".join(parts) + write_placeholders(placeholders) + "}"
    return _send(client, "Query", text, params=params, read=read)


def call_plain(
    client: Client,
    operation: str,
    *,
    params: Mapping[str, Any],
    read: Callable[[dict[str, Any]], Answer],
    write: bool,
    resend: bool = False,
) -> Answer:
    """Call any operation with its parameters in typed form; a false condition is a ClientError here too."""
    request = Request(
        operation, _dump(params), params, client.max_attempts, is_write=write, may_resend=resend or not write
    )
    try:
        return client.call(request, read=lambda body: read(_read_object(body)))
    except RefusalError as refusal:
        raise client_error(refusal, hint=missing_table_hint(client, refusal)) from None


def _dump(params: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(params, separators=(",", ":"), default=_base64_text, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"the parameters cannot be written as JSON: {error}") from error


def _base64_text(value: Any) -> str:
    if isinstance(value, bytes):
        return b2a_base64(value, newline=False).decode()
    raise TypeError(f"{type(value).__name__} stands where no attribute value belongs")


def write_placeholders(placeholders: Placeholders) -> str:
    """Write names and values of a request, with a comma before each."""
    text = ""
    if placeholders.names:
        names = ",".join([f'"{key}":{quote(name)}' for key, name in placeholders.names.items()])
        text = f',"ExpressionAttributeNames":{{{names}}}'
    if placeholders.values:
        values = ",".join([f'"{key}":{value}' for key, value in placeholders.values.items()])
        text += f',"ExpressionAttributeValues":{{{values}}}'
    return text


_CONSISTENT = ',"ConsistentRead":true'
# The item that stood against the condition comes back with the refusal, at no further cost.
_TELL_EXISTING = ',"ReturnValuesOnConditionCheckFailure":"ALL_OLD"'


def _write_condition(condition: Condition | None) -> str:
    if condition is None:
        return ""
    placeholders = Placeholders(write_value)
    text = compile_condition(condition, placeholders)
    return f',"ConditionExpression":{quote(text)}{write_placeholders(placeholders)}{_TELL_EXISTING}'


def _send(
    client: Client, operation: str, text: str, *, params: Mapping[str, Any], read: Callable[[bytes], Answer]
) -> Answer:
    """Send a read."""
    return _exchange(client, Request(operation, _encode(text), params, client.max_attempts), read=read)


def _write(client: Client, kind: str, text: str, **options: Any) -> dict[str, Any]:
    """Send a single write; see `_exchange_write`."""
    return _exchange_write(client, kind, text, **options)[1]


def _exchange_write(
    client: Client,
    kind: str,
    text: str,
    *,
    params: Mapping[str, Any],
    read: Callable[[bytes], dict[str, Any]],
    may_resend: bool,
    recognise: Callable[[dict[str, Any]], bool] | None,
    token: str | None,
) -> tuple[Request, dict[str, Any]]:
    """Send a single write: as an operation of its own, or with a token as a transaction of one.

    Returns the request, whose `doubt` tells whether an answer was lost, and the answer; where the write was recognised
    as done by an attempt whose answer was lost, the item as it is stored.
    """
    operation, resend_until = f"{kind}Item", None
    if token is not None:
        operation, may_resend, resend_until = "TransactWriteItems", True, time() + MAX_RESEND_S
        text = f'{{"ClientRequestToken":{quote(token)},"TransactItems":[{{"{kind}":{text}}}]}}'
        params = {"TransactItems": [{kind: params}]}
    request = Request(
        operation,
        _encode(text),
        params,
        client.max_attempts,
        is_write=True,
        may_resend=may_resend,
        resend_until=resend_until,
    )
    try:
        return request, _exchange(client, request, read=read)
    except AmbiguousWriteError as error:
        failed = _failed_condition(error.__cause__, client)
        if failed is None or failed.existing is None:
            raise
        if recognise is not None and recognise(failed.existing):
            return request, failed.existing
        error.existing = failed.existing
        raise


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("an attribute name holds a lone surrogate, which is no UTF-8 text") from error


def _exchange(client: Client, request: Request, *, read: Callable[[bytes], Answer]) -> Answer:
    """Send a request and turn a refusal into what the caller, or the user, is to see."""
    try:
        return client.call(request, read=read)
    except RefusalError as refusal:
        failed = _failed_condition(refusal, client)
        if failed is not None:
            raise failed from None
        raise client_error(refusal, hint=missing_table_hint(client, refusal)) from None


def _failed_condition(refusal: BaseException | None, client: Client) -> ConditionFailedError | None:
    """Read a refusal whose reason is a condition, of a single write or of a transaction of one; None for any other."""
    if not isinstance(refusal, RefusalError):
        return None
    answer = refusal.answer
    try:
        if refusal.code == CANCELLED:
            [answer] = answer["CancellationReasons"]
            if answer["Code"] != "ConditionalCheckFailed":
                return None
        elif refusal.code != CONDITION_FAILED:
            return None
        item = answer.get("Item")
        return ConditionFailedError(None if not item else client.reader.convert(item))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # not in DynamoDB's form; that it is a refusal stands all the same


def missing_table_hint(client: Client, refusal: RefusalError) -> str:
    """Say where the table was looked for; DynamoDB's own message does not."""
    if refusal.code != TABLE_MISSING:
        return ""
    where = client.endpoint or client.region or "the region of the client passed"
    return (
        f" (table or index of {client.table_name!r} at {where}: check init_client(table_name=…, region=…), or create "
        "it with create_table())"
    )


class _Answer(dict[str, "Any"]):
    """A decoded answer; a member that must be there and is not makes it a corrupt one."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"the answer has no {name}")


def _read_object(body: bytes) -> dict[str, Any]:
    answer = json.loads(body)
    if type(answer) is not dict:
        raise ValueError(f"a JSON object was expected, not {type(answer).__name__}")
    return _Answer(answer)
