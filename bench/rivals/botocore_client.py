"""botocore's client, typed items in and out: no conversion of values at all."""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import botocore.session

from bench.items import TABLE_NAME, key_of, typed_item, typed_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    return operations(botocore.session.get_session().create_client("dynamodb", endpoint_url=endpoint))


def operations(client: Any) -> dict[str, Callable[..., Any]]:
    item = typed_item()
    return {
        "put": lambda: client.put_item(TableName=TABLE_NAME, Item=item),
        "get": lambda: client.get_item(TableName=TABLE_NAME, Key=key_of(item))["Item"],
        "query": lambda limit: client.query(**typed_query(limit))["Items"],
        "close": client.close,
    }
