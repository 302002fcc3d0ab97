"""boto3's resource, plain items in and out: what most Python code uses, and the 1 of every ratio."""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import boto3
from boto3.dynamodb.conditions import Key

from bench.items import INDEX_KEY, INDEX_NAME, TABLE_NAME, decimal_item, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table(TABLE_NAME)
    item = decimal_item()

    def query(limit: int) -> Any:
        return table.query(
            IndexName=INDEX_NAME,
            KeyConditionExpression=Key(INDEX_NAME).eq(INDEX_KEY),
            ScanIndexForward=False,
            Limit=limit,
        )["Items"]

    return {
        "put": lambda: table.put_item(Item=item),
        "get": lambda: table.get_item(Key=key_of(item))["Item"],
        "query": query,
        "close": table.meta.client.close,
    }
