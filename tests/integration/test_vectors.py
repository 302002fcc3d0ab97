"""Items as the TypeScript package stores them. `data/put_entity.json` was measured there."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from jaypie_dynamo import get_client, get_entity, get_table_name, put_entity

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "put_entity.json").read_text())


def test_items_are_stored_as_by_the_typescript_package(client):
    assert len(VECTORS) == 25
    for vector in VECTORS:
        before = json.dumps(vector["entity"])
        returned = put_entity(entity=vector["entity"])
        assert json.dumps(vector["entity"]) == before
        stored = read_typed(client, vector["entity"])
        assert comparable(stored) == comparable(vector["stored"]), vector["name"]
        # what is returned is what is stored
        assert get_entity(model=returned["model"], id=returned["id"], consistent=True) == returned


def read_typed(client: Any, entity: Any) -> Any:
    assert get_table_name() == client.table_name
    key = {"model": {"S": entity["model"]}, "id": {"S": entity["id"]}}
    return get_client().get_item(TableName=client.table_name, Key=key, ConsistentRead=True)["Item"]


def comparable(item: Any) -> Any:
    # JavaScript writes 5 where Python may write 5.0.
    return {
        name: {tag: Decimal(value) if tag == "N" else value for tag, value in typed.items()}
        for name, typed in item.items()
    }
