"""aiodynamo on httpx, driven from synchronous code by one event loop, as a Lambda handler has to."""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import asyncio
import os

import httpx
from aiodynamo.client import Client
from aiodynamo.credentials import Credentials
from aiodynamo.expressions import HashKey
from aiodynamo.http.httpx import HTTPX
from yarl import URL

from bench.items import INDEX_KEY, INDEX_NAME, TABLE_NAME, key_of, plain_item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def connect(endpoint: str) -> dict[str, Callable[..., Any]]:
    loop = asyncio.new_event_loop()
    http = httpx.AsyncClient()
    client = Client(HTTPX(http), Credentials.auto(), os.environ["AWS_REGION"], endpoint=URL(endpoint))
    table = client.table(TABLE_NAME)
    item = plain_item()
    run = loop.run_until_complete

    async def query(limit: int) -> list[Any]:
        condition = HashKey(INDEX_NAME, INDEX_KEY)
        rows = table.query(condition, index=INDEX_NAME, scan_forward=False, limit=limit)
        return [row async for row in rows]

    def close() -> None:
        run(http.aclose())
        run(loop.shutdown_asyncgens())
        loop.close()

    return {
        "put": lambda: run(table.put_item(item)),
        "get": lambda: run(table.get_item(key_of(item))),
        "query": lambda limit: run(query(limit)),
        "close": close,
    }
