"""This library, through its public functions."""

from __future__ import annotations

import os

import jaypie_dynamo
from bench.items import MODEL, SCOPE, TABLE_NAME, plain_item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str, transport: str) -> dict[str, Callable[..., Any]]:
    environment = os.environ
    jaypie_dynamo.init_client(
        table_name=TABLE_NAME,
        endpoint=endpoint,
        # Given, because a loopback endpoint gets dummy credentials otherwise, and a token costs a header.
        credentials=(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment["AWS_SESSION_TOKEN"],
        ),
        transport=transport,
    )
    entity = plain_item()
    key = entity["id"]
    return {
        "put": lambda: jaypie_dynamo.put_entity(entity=entity),
        "get": lambda: jaypie_dynamo.get_entity(model=MODEL, id=key),
        "query": lambda limit: jaypie_dynamo.query_by_scope(model=MODEL, scope=SCOPE, limit=limit).items,
        "close": jaypie_dynamo.reset_client,
    }
