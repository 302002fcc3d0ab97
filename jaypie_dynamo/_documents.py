"""The document client: any of DynamoDB's data-plane operations, with plain Python values in and out.

For what the entity and query functions do not cover. The tables below say where attribute values stand in each
operation's request and answer; everything else passes as it is.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

from __future__ import annotations

from ._client import current_client
from ._errors import ValidationError
from ._marshal import marshal_at, marshal_item_at
from ._operations import call_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ._client import Client

    Places = Mapping[str, Any]

# What stands at a place: a map of attributes (`_ITEM`), or a list of single values (`_VALUES`).
_ITEM = "item"
_VALUES = "values"

# A place is described by its shape: a name leads to the value under it, "*" to every value of a map, "[]" to every
# element of a list.
_KEY: Places = {"Key": _ITEM}
_EXPRESSION: Places = {"ExpressionAttributeValues": _ITEM}
_COLLECTION: Places = {"ItemKey": _ITEM, "ItemCollectionKey": _ITEM}
_COLLECTIONS: Places = {"ItemCollectionMetrics": {"*": {"[]": _COLLECTION}}}
_WRITES: Places = {"*": {"[]": {"PutRequest": {"Item": _ITEM}, "DeleteRequest": _KEY}}}
_KEYS: Places = {"*": {"Keys": {"[]": _ITEM}}}
_READ_ITEMS: Places = {"Items": {"[]": _ITEM}, "LastEvaluatedKey": _ITEM}
_ANSWERED_ITEMS: Places = {"Responses": {"[]": {"Item": _ITEM, "Error": {"Item": _ITEM}}}}

_REQUEST_PLACES: dict[str, Places] = {
    "BatchExecuteStatement": {"Statements": {"[]": {"Parameters": _VALUES}}},
    "BatchGetItem": {"RequestItems": _KEYS},
    "BatchWriteItem": {"RequestItems": _WRITES},
    "DeleteItem": {**_KEY, **_EXPRESSION},
    "ExecuteStatement": {"Parameters": _VALUES},
    "ExecuteTransaction": {"TransactStatements": {"[]": {"Parameters": _VALUES}}},
    "GetItem": _KEY,
    "PutItem": {"Item": _ITEM, **_EXPRESSION},
    "Query": {"ExclusiveStartKey": _ITEM, **_EXPRESSION},
    "Scan": {"ExclusiveStartKey": _ITEM, **_EXPRESSION},
    "SearchVectors": {"SearchVector": _VALUES, **_EXPRESSION},
    "TransactGetItems": {"TransactItems": {"[]": {"Get": _KEY}}},
    "TransactWriteItems": {
        "TransactItems": {
            "[]": {
                "ConditionCheck": {**_KEY, **_EXPRESSION},
                "Delete": {**_KEY, **_EXPRESSION},
                "Put": {"Item": _ITEM, **_EXPRESSION},
                "Update": {**_KEY, **_EXPRESSION},
            }
        }
    },
    "UpdateItem": {**_KEY, **_EXPRESSION},
}

_ANSWER_PLACES: dict[str, Places] = {
    "BatchExecuteStatement": _ANSWERED_ITEMS,
    "BatchGetItem": {"Responses": {"*": {"[]": _ITEM}}, "UnprocessedKeys": _KEYS},
    "BatchWriteItem": {"UnprocessedItems": _WRITES, **_COLLECTIONS},
    "DeleteItem": {"Attributes": _ITEM, "ItemCollectionMetrics": _COLLECTION},
    "ExecuteStatement": _READ_ITEMS,
    "ExecuteTransaction": _ANSWERED_ITEMS,
    "GetItem": {"Item": _ITEM},
    "PutItem": {"Attributes": _ITEM, "ItemCollectionMetrics": _COLLECTION},
    "Query": _READ_ITEMS,
    "Scan": _READ_ITEMS,
    "SearchVectors": {"SearchResults": {"[]": {"Item": _ITEM}}},
    "TransactGetItems": _ANSWERED_ITEMS,
    "TransactWriteItems": _COLLECTIONS,
    "UpdateItem": {"Attributes": _ITEM, "ItemCollectionMetrics": _COLLECTION},
}

# The parameters that expressions replaced.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
_LEGACY = frozenset({"AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter"})

_READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan", "SearchVectors", "TransactGetItems"})
_ONE_TABLE = frozenset({"DeleteItem", "GetItem", "PutItem", "Query", "Scan", "SearchVectors", "UpdateItem"})


class DocumentClient:
    """Calls DynamoDB's data-plane operations with plain values. Made by `get_doc_client`."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Call an operation.

            get_doc_client().call("Query", IndexName="indexScope", KeyConditionExpression="indexScope = :k",
                                  ExpressionAttributeValues={":k": "@#record"})

        A write whose answer was lost is not sent again: this layer does not know whether that would be safe.

        Args:
            operation: DynamoDB's name of it, such as `"Query"`.
            params: its parameters, in AWS's spelling. `TableName` is the client's table where the operation takes one
                and none is given.

        Returns:
            The answer, with plain values.

        Raises:
            ValidationError: no such operation, a legacy parameter, or a value that cannot be stored.
            ConfigurationError: no table name.
            TransportError: no answer came back.
            AmbiguousWriteError: the write may or may not have happened.
            botocore.exceptions.ClientError: DynamoDB refused; a condition that was false too.

        Cost: one request.
        Source: the DynamoDB API reference.
        """
        if operation not in _REQUEST_PLACES:
            raise ValidationError(
                f"{operation!r} is not one of {', '.join(_REQUEST_PLACES)}; get_client() has all others",
                path="operation",
            )
        for name in sorted(_LEGACY & params.keys()):
            raise ValidationError(f"{name} is a legacy parameter; use an expression instead", path=name)
        if operation in _ONE_TABLE and "TableName" not in params:
            params = {"TableName": self._client.table_name, **params}
        typed = _convert(params, _REQUEST_PLACES[operation], _write_values, path="")
        read_map = self._client.reader.convert

        def read_values(kind: str, value: Any, _path: str) -> Any:
            return read_map(value) if kind == _ITEM else value

        def read(answer: dict[str, Any]) -> dict[str, Any]:
            converted: dict[str, Any] = _convert(answer, _ANSWER_PLACES[operation], read_values, path="")
            return converted

        return call_plain(self._client, operation, params=typed, read=read, write=operation not in _READS)


def get_doc_client() -> DocumentClient:
    """Give the document client of the current client.

        get_doc_client().call("GetItem", Key={"model": "record", "id": "1"})

    Raises:
        ConfigurationError: no client.

    Cost: no request.
    Source: `getDocClient` of `@jaypie/dynamodb`.
    """
    return DocumentClient(current_client())


def _write_values(kind: str, value: Any, path: str) -> Any:
    if kind == _ITEM:
        if not isinstance(value, dict):
            raise ValidationError(f"{path} must be a dict of attributes, not a {type(value).__name__}", path=path)
        return marshal_item_at(value, path)
    if not isinstance(value, (list, tuple)):
        raise ValidationError(f"{path} must be a list of values, not a {type(value).__name__}", path=path)
    return [marshal_at(element, f"{path}[{position}]") for position, element in enumerate(value)]


def _convert(node: Any, places: Any, convert: Callable[[str, Any, str], Any], *, path: str) -> Any:
    """Copy a request or an answer with the values at the given places converted."""
    if isinstance(places, str):
        return convert(places, node, path)
    if "*" in places and isinstance(node, dict):
        return {name: _convert(element, places["*"], convert, path=f"{path}.{name}") for name, element in node.items()}
    if "[]" in places and isinstance(node, (list, tuple)):
        return [
            _convert(element, places["[]"], convert, path=f"{path}[{position}]")
            for position, element in enumerate(node)
        ]
    if not isinstance(node, dict):
        return node
    return {
        name: _convert(element, places[name], convert, path=f"{path}.{name}".lstrip(".")) if name in places else element
        for name, element in node.items()
    }
