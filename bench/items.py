"""The one item that every contestant stores and reads: 12 attributes, its index keys included.

Plain and typed form are written out by hand, so that no contestant's own conversion decides what is right. Loads
nothing but `decimal`, which a Lambda runtime has loaded already.
"""

from __future__ import annotations

from decimal import Decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TABLE_NAME = "bench"
MODEL = "record"
SCOPE = "@"
INDEX_NAME = "indexScope"
INDEX_KEY = "@#record"
NEWEST_SEQUENCE = 1767744000000
QUERY_SIZES = (1, 100, 1000)


def plain_item(number: int = 0) -> dict[str, Any]:
    """The item as Python values; a higher number is an older item."""
    return {
        "model": MODEL,
        "id": f"7c9e6679-7425-40de-944b-{number:012d}",
        "scope": SCOPE,
        "sequence": NEWEST_SEQUENCE - number,
        "name": "Daily log of the observatory",
        "alias": f"log-{number:06d}",
        "createdAt": "2026-01-07T00:00:00.000Z",
        "updatedAt": "2026-01-07T09:30:15.250Z",
        "state": {"active": True, "score": 98.6},
        "tags": ["night", "clear sky"],
        "indexScope": INDEX_KEY,
        "indexAlias": f"{INDEX_KEY}#log-{number:06d}",
    }


def typed_item(number: int = 0) -> dict[str, Any]:
    """The same item in DynamoDB's typed form."""
    return {
        "model": {"S": MODEL},
        "id": {"S": f"7c9e6679-7425-40de-944b-{number:012d}"},
        "scope": {"S": SCOPE},
        "sequence": {"N": str(NEWEST_SEQUENCE - number)},
        "name": {"S": "Daily log of the observatory"},
        "alias": {"S": f"log-{number:06d}"},
        "createdAt": {"S": "2026-01-07T00:00:00.000Z"},
        "updatedAt": {"S": "2026-01-07T09:30:15.250Z"},
        "state": {"M": {"active": {"BOOL": True}, "score": {"N": "98.6"}}},
        "tags": {"L": [{"S": "night"}, {"S": "clear sky"}]},
        "indexScope": {"S": INDEX_KEY},
        "indexAlias": {"S": f"{INDEX_KEY}#log-{number:06d}"},
    }


def decimal_item(number: int = 0) -> dict[str, Any]:
    """The plain item for libraries that refuse `float` (boto3's resource)."""
    item = plain_item(number)
    item["state"] = {"active": True, "score": Decimal("98.6")}
    return item


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    """The primary key of an item, in whichever form the item is."""
    return {"model": item["model"], "id": item["id"]}


def typed_query(limit: int) -> dict[str, Any]:
    """The query every contestant makes, in DynamoDB's own parameters: one index key, newest first."""
    return {
        "TableName": TABLE_NAME,
        "IndexName": INDEX_NAME,
        "KeyConditionExpression": "#index = :key",
        "ExpressionAttributeNames": {"#index": INDEX_NAME},
        "ExpressionAttributeValues": {":key": {"S": INDEX_KEY}},
        "ScanIndexForward": False,
        "Limit": limit,
    }
