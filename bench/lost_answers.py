"""Lost answers: DynamoDB carries a write out and its answer never comes. What is told, and what is in the table?

    python -m bench.lost_answers [--runs 200] [--transport direct]

Not a matter of speed but of truth, side by side with boto3 on AWS's DynamoDB Local. In half of the runs the connection
is reset after the first attempt was committed, in the other half a 500 comes back. Proxy and engine are the tests'.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import engines
from faults import COMMIT_THEN_500, COMMIT_THEN_RESET, FaultServer, Upstream

from jaypie_dynamo import (
    DynamoError,
    create_entity,
    destroy_entity,
    make_client,
    patch_entity,
    put_entity,
    use_client,
    where,
)
from jaypie_dynamo._transport import _policy

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 200
LOCAL = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}

Typed = dict[str, Any]


class Write(NamedTuple):
    """The same write in both libraries, the item it meets, and how often an item shows it to have been done."""

    name: str
    before: Typed | None
    boto3: Callable[[Any, dict[str, Any]], Any]
    ours: Callable[[str], Any]
    count: Callable[[Typed | None], int]


BASE: Typed = {
    "model": {"S": "record"},
    "scope": {"S": "@"},
    "indexScope": {"S": "@#record"},
    "sequence": {"N": "1"},
    "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
    "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
    "status": {"S": "open"},
    "n": {"N": "0"},
    "lines": {"L": []},
}


def _update(expression: str, **options: Any) -> Callable[[Any, dict[str, Any]], Any]:
    return lambda client, key: client.update_item(
        Key=key["Key"], TableName=key["TableName"], UpdateExpression=expression, **options
    )


def _patch(**changes: Any) -> Callable[[str], Any]:
    return lambda key: patch_entity(model="record", id=key, **changes)


def _entity(key: str) -> dict[str, Any]:
    return {"model": "record", "id": key, "scope": "@"}


def _added(item: Typed | None) -> int:
    return int(item["n"]["N"]) if item else 0


def _appended(item: Typed | None) -> int:
    return len(item["lines"]["L"]) if item else 0


_CLAIM = {
    "ConditionExpression": "#s = :open",
    "ExpressionAttributeNames": {"#s": "status"},
    "ExpressionAttributeValues": {":open": {"S": "open"}, ":taken": {"S": "taken"}},
}
_ONE = {"ExpressionAttributeValues": {":one": {"N": "1"}}}
_LINE = {
    "ExpressionAttributeNames": {"#l": "lines"},
    "ExpressionAttributeValues": {":line": {"L": [{"S": "x"}]}},
}

WRITES = (
    Write(
        "put",
        None,
        lambda client, key: client.put_item(TableName=key["TableName"], Item={**BASE, **key["Key"]}),
        lambda key: put_entity(entity=_entity(key)),
        lambda item: int(item is not None),
    ),
    Write(
        "delete",
        BASE,
        lambda client, key: client.delete_item(**key),
        lambda key: destroy_entity(model="record", id=key),
        lambda item: int(item is None),
    ),
    Write("add 1 to 0", BASE, _update("ADD n :one", **_ONE), _patch(add={"n": 1}), _added),
    Write(
        "the same, idempotent=True", BASE, _update("ADD n :one", **_ONE), _patch(add={"n": 1}, idempotent=True), _added
    ),
    Write(
        "append to a list",
        BASE,
        _update("SET #l = list_append(#l, :line)", **_LINE),
        _patch(append={"lines": ["x"]}),
        _appended,
    ),
    Write(
        "create (no such item)",
        None,
        lambda client, key: client.put_item(
            TableName=key["TableName"], Item={**BASE, **key["Key"]}, ConditionExpression="attribute_not_exists(id)"
        ),
        lambda key: create_entity(entity=_entity(key)),
        lambda item: int(item is not None),
    ),
    Write(
        "claim (status is open)",
        BASE,
        _update("SET #s = :taken", **_CLAIM),
        _patch(set={"status": "taken"}, condition=where("status").eq("open")),
        lambda item: int(item is not None and item["status"]["S"] == "taken"),
    ),
)


class Stage(NamedTuple):
    """The table, the proxy before it, and a client that goes straight."""

    table: str
    proxy: FaultServer
    straight: Any


def measure(write: Write, call: Callable[[str], Any], stage: Stage, *, runs: int) -> Counter[str]:
    """Tell how often which outcome came up."""
    outcomes: Counter[str] = Counter()
    draw = random.Random(write.name)
    for _ in range(runs):
        key = uuid.uuid4().hex
        if write.before is not None:
            stage.straight.put_item(TableName=stage.table, Item={**write.before, "id": {"S": key}})
        stage.proxy.then([draw.choice((COMMIT_THEN_RESET, COMMIT_THEN_500))])
        told = "success"
        try:
            call(key)
        except ClientError as error:
            told = error.response["Error"]["Code"]
        except (DynamoError, BotoCoreError) as error:
            told = type(error).__name__
        found = stage.straight.get_item(
            TableName=stage.table, Key={"model": {"S": "record"}, "id": {"S": key}}, ConsistentRead=True
        )
        done = ("not done", "done once", "done TWICE")[write.count(found.get("Item"))]
        outcomes[f"{told}, {done}"] += 1
    return outcomes


def show(outcomes: Counter[str]) -> str:
    return "; ".join(f"{count} × {outcome}" for outcome, count in outcomes.most_common())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--transport", choices=["direct", "botocore"], default="direct")
    options = parser.parse_args(arguments)
    run = engines.EngineRun()
    upstream = None
    try:
        endpoint = engines.dynamodb_local(run.path)
        upstream = Upstream(endpoint)
        table = f"lost-answers-{uuid.uuid4().hex}"
        straight = boto3.client("dynamodb", endpoint_url=endpoint, **LOCAL)
        straight.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("model", "id")],
            KeySchema=[{"AttributeName": "model", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
        )
        with (
            FaultServer(upstream=upstream) as proxy,
            make_client(table_name=table, endpoint=proxy.url, transport=options.transport) as client,
            use_client(client),
            # Waiting between attempts changes nothing here.
            mock.patch("botocore.endpoint.time.sleep"),
            mock.patch.object(_policy, "urandom", bytes),
        ):
            stage = Stage(table, proxy, straight)
            print(f"| {options.runs} runs each | boto3 | boto3, `standard` retries | jaypie_dynamo |")
            print("|---|---|---|---|")
            for write in WRITES:
                calls = [_bind(write, proxy.url, table, mode=mode) for mode in ("legacy", "standard")]
                cells = [show(measure(write, call, stage, runs=options.runs)) for call in (*calls, write.ours)]
                print(f"| {write.name} | {' | '.join(cells)} |", flush=True)
    finally:
        if upstream is not None:
            upstream.close()
        run.close()


# A client of boto3's in `standard` mode stops retrying after some dozens of failures in a row.
CLIENT_RUNS = 20


def _bind(write: Write, endpoint: str, table: str, *, mode: Any) -> Callable[[str], Any]:
    clients: list[Any] = []
    count = itertools.count()

    def call(key: str) -> Any:
        if next(count) % CLIENT_RUNS == 0:
            clients.append(
                boto3.client("dynamodb", endpoint_url=endpoint, config=Config(retries={"mode": mode}), **LOCAL)
            )
        return write.boto3(clients[-1], {"TableName": table, "Key": {"model": {"S": "record"}, "id": {"S": key}}})

    return call


if __name__ == "__main__":
    main()
