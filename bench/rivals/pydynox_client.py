"""pydynox: its dict client, which is leaner than its models."""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

from pydynox import DynamoDBClient

from bench.items import INDEX_KEY, INDEX_NAME, TABLE_NAME, key_of, plain_item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    client = DynamoDBClient(endpoint_url=endpoint)
    item = plain_item()

    def query(limit: int) -> list[Any]:
        return list(
            client.sync_query(
                TABLE_NAME,
                "#index = :key",
                expression_attribute_names={"#index": INDEX_NAME},
                expression_attribute_values={":key": INDEX_KEY},
                scan_index_forward=False,
                index_name=INDEX_NAME,
                limit=limit,
            )
        )

    return {
        "put": lambda: client.sync_put_item(TABLE_NAME, item),
        "get": lambda: client.sync_get_item(TABLE_NAME, key_of(item)),
        "query": query,
        "close": lambda: None,  # its runtime lives as long as the process
    }
